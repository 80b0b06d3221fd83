# LIST RETURN (MYRIGHTS)                                               RFC 8440 4
# dovecot: lacks LIST-MYRIGHTS
given folder foo
given folder bar/x
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> a setacl foo owner lrs
1< a OK …
1> b delete bar
1< b OK …
1> A01 LIST "" (INBOX foo bar) RETURN (MYRIGHTS)
1< * LIST (\\HasNoChildren) "/" INBOX
1< * MYRIGHTS INBOX lrswipkxteacd
1< * LIST (\\NonExistent \\HasChildren) "/" bar
1< * LIST (\\HasNoChildren) "/" foo
1< * MYRIGHTS foo lrsa
1< A01 OK …
# Only for what meets the selection itself
1> c subscribe bar/x
1< c OK …
1> A02 LIST (SUBSCRIBED RECURSIVEMATCH) "" (INBOX foo bar) RETURN (MYRIGHTS)
1< * LIST (\\NonExistent \\HasChildren) "/" bar ("CHILDINFO" ("SUBSCRIBED"))
1< A02 OK …
