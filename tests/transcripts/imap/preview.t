# PREVIEW: the beginning of what a reader would see, and LAZY                       RFC 8970
given 2 messages in INBOX
given file mime.eml in INBOX
1> a login alice@demo.test alice-secret
1<~ a OK …
1> b capability
1<~ * CAPABILITY … PREVIEW…
1<~ b OK …
1> c select inbox
1<~ c OK …
# Section 4.1: what is not known yet is NIL to those who are in a hurry, and to nobody else.
1> d fetch 1:2 (preview (lazy) uid)
1< * 1 FETCH (PREVIEW NIL UID 1)
1< * 2 FETCH (PREVIEW NIL UID 2)
1< d OK …
# Section 3.3: decoded, in UTF-8; the text part, not the preamble and not the HTML.
1> e fetch 1:3 (uid preview)
1< * 1 FETCH (UID 1 PREVIEW "body 1")
1< * 2 FETCH (UID 2 PREVIEW "body 2")
1< * 3 FETCH (UID 3 PREVIEW {15}
1< Schöne Grüße)
1< e OK …
1> f fetch 2:3 (preview (lazy))
1< * 2 FETCH (PREVIEW "body 2")
1< * 3 FETCH (PREVIEW {15}
1< Schöne Grüße)
1< f OK …
# Together with what must be read from the file.
1> g fetch 1 (preview body.peek[text])
1< * 1 FETCH (PREVIEW "body 1" BODY[TEXT] {8}
1< body 1
1< )
1< g OK …
1> h fetch 1 (preview (lazy) rfc822.size bodystructure)
1< * 1 FETCH (PREVIEW "body 1" RFC822.SIZE 153 BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 1 NIL NIL NIL NIL))
1< h OK …
1> i fetch 1 (preview (eager))
1< i BAD …
1> j fetch 1 preview ()
# dovecot: differs, because it takes an empty list of modifiers, which section 6 does not have
1< j BAD …
