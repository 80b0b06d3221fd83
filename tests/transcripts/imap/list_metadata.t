# LIST RETURN (METADATA ...)                                           RFC 9590 3
# dovecot: lacks LIST-METADATA
given folder foo
given folder gone/child
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> a setmetadata INBOX (/shared/vendor/cmu/cyrus-imapd/color "#b71c1c")
1< a OK …
1> b delete gone
1< b OK …
1> c list "" (INBOX foo gone) return (metadata ("/shared/vendor/cmu/cyrus-imapd/color" /private/comment))
1< * LIST (\\HasNoChildren) "/" INBOX
1< * METADATA INBOX (/shared/vendor/cmu/cyrus-imapd/color "#b71c1c" /private/comment NIL)
1< * LIST (\\HasNoChildren) "/" foo
1< * METADATA foo (/shared/vendor/cmu/cyrus-imapd/color NIL /private/comment NIL)
1< * LIST (\\NonExistent \\HasChildren) "/" gone
1< c OK …
1> d list "" INBOX return (metadata (color))
1< d BAD …
1> e list "" INBOX return (metadata)
1< e BAD …
1> f list "" INBOX return (status (messages) metadata (/private/comment))
1< * LIST (\\HasNoChildren) "/" INBOX
1< * STATUS INBOX (MESSAGES 0)
1< * METADATA INBOX (/private/comment NIL)
1< f OK …
