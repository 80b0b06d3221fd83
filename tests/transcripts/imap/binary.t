# FETCH BINARY, BINARY.PEEK, BINARY.SIZE: decoded; a literal8 where a NUL is inside          RFC 3516 4.2, 4.3, 6; RFC 9051 6.4.5
given file mime.eml in INBOX
1< * OK …
1> a login alice@demo.test alice-secret
1< a OK …
1> b select inbox
1<~ b OK …
1> c fetch 1 (binary.size[1.1] binary.size[3])
1< * 1 FETCH (BINARY.SIZE[1.1] 12 BINARY.SIZE[3] 5)
1< c OK …
1> d fetch 1 binary.peek[1.1]
# dovecot: differs, because it sends a literal8 for every part if one part of the message has a NUL
1< * 1 FETCH (BINARY[1.1] {12}
1< Sch\xf6ne Gr\xfc\xdfe)
1< d OK …
1> e fetch 1 binary.peek[3]
1< * 1 FETCH (BINARY[3] ~{5}
1< \0\x01\x02\x03\x04)
1< e OK …
# without the NUL it is a string
1> f fetch 1 (binary.peek[3]<1.3> binary.peek[3]<4.9>)
# dovecot: differs, because it sends a literal8 for every part if one part of the message has a NUL
1< * 1 FETCH (BINARY[3]<1> {3}
1< \x01\x02\x03 BINARY[3]<4> {1}
1< \x04)
1< f OK …
1> g fetch 1 (binary.peek[3]<5.1> binary.peek[3]<4294967296.9223372036854775807>)
# dovecot: differs, because it knows offsets of 32 bits only
1< * 1 FETCH (BINARY[3]<5> {0}
1<  BINARY[3]<4294967296> {0}
1< )
1< g OK …
# section 6: lines of text end with CRLF, also if a LF was encoded
1> h fetch 1 (binary.size[1.2] binary.peek[1.2])
# dovecot: differs, because it leaves the LF alone
1< * 1 FETCH (BINARY.SIZE[1.2] 27 BINARY[1.2] {27}
1< <p>Hello <b>World</b></p>
1< )
1< h OK …
1> i fetch 1 (binary.size[9] binary.peek[9] binary.peek[3.1])
# dovecot: differs, because a part that is not there is empty for it
1< * 1 FETCH (BINARY.SIZE[9] 0 BINARY[9] NIL BINARY[3.1] NIL)
1< i OK …
1> j fetch 1 flags
1< * 1 FETCH (FLAGS (\\Recent))
1< j OK …
1> k fetch 1 binary[3]<1.1>
# dovecot: differs, because it sends a literal8 for every part if one part of the message has a NUL
1< * 1 FETCH (BINARY[3]<1> {1}
1< \x01 FLAGS (\\Seen \\Recent))
1< k OK …
# what has no encoding goes out as it is
1> l fetch 1 (binary.peek[2] binary.peek[]<0.13>)
1< * 1 FETCH (BINARY[2] {57}
1< From: dave@example.net
1< Subject: inside
1< 
# dovecot: differs, because it sends a literal8 for every part if one part of the message has a NUL
1< forwarded text BINARY[]<0> {13}
1< Return-Path: )
1< l OK …
1> m uid fetch 1 binary.size[3]
1< * 1 FETCH (UID 1 BINARY.SIZE[3] 5)
1< m OK …
1> n1 fetch 1 binary
1< n1 BAD …
1> n2 fetch 1 binary[text]
# dovecot: differs, because it takes the sections of BODY
1< n2 BAD …
1> n3 fetch 1 binary[1.mime]
# dovecot: differs, because it takes the sections of BODY
1< n3 BAD …
1> n4 fetch 1 binary.size[1]<0.1>
# dovecot: differs, because it passes over a range here
1< n4 BAD …
1> n5 fetch 1 binary[1]<0.0>
# dovecot: differs, because it takes a length of 0
1< n5 BAD …
1> n6 fetch 1 binary[0]
# dovecot: differs, because it takes part number 0
1< n6 BAD …
