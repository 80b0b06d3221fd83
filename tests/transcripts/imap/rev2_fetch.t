# message/global has the structure and the sections of message/rfc822; 63-bit places   RFC 9051 6.4.5, 7.5.2, 9 media-message
# dovecot: lacks IMAP4rev2
given file global.eml in INBOX
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> b select INBOX
1<~ b OK …
1> c fetch 1 body
1< * 1 FETCH (BODY (("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0)("message" "global" NIL NIL NIL "8bit" 97) "mixed"))
1< c OK …
1> d fetch 1 (body.peek[2.text] body.peek[2.1])
1< * 1 FETCH (BODY[2.TEXT] NIL BODY[2.1] NIL)
1< d OK …
1> e enable IMAP4rev2
1< * ENABLED IMAP4rev2
1< e OK …
1> f fetch 1 body
1< * 1 FETCH (BODY (("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0)("message" "global" NIL NIL NIL "8bit" 97 (NIL {6}
1< Grüß NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 4 0) 4) "mixed"))
1< f OK …
1> g fetch 1 (body.peek[2.text] body.peek[2.1] body.peek[2.header.fields (subject)])
1< * 1 FETCH (BODY[2.TEXT] {4}
1< öä BODY[2.1] {4}
1< öä BODY[2.HEADER.FIELDS (subject)] {19}
1< Subject: Grüß
1< 
1< )
1< g OK …
1> h fetch 1 body.peek[1]<4294967296.9223372036854775807>
1< * 1 FETCH (BODY[1]<4294967296> {0}
1< )
1< h OK …
1> i fetch 1 body.peek[1]<0.9223372036854775808>
1< i BAD …
1> j fetch 1 body.peek[1]<2.9223372036854775807>
1< * 1 FETCH (BODY[1]<2> {3}
1< ter)
1< j OK …
1> k fetch 1 (binary.size[1] binary.peek[1])
1< * 1 FETCH (BINARY.SIZE[1] 5 BINARY[1] {5}
1< outer)
1< k OK …
