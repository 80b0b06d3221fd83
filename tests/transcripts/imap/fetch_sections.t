# FETCH BODY[section]: parts, headers, fields                         RFC 3501 6.4.5
given file mime.eml in INBOX
1< * OK …
1> a login alice@demo.test alice-secret
1< a OK …
1> b examine inbox
1<~ b OK …
1> c fetch 1 body[1.1]
1< * 1 FETCH (BODY[1.1] {18}
1< Sch=F6ne Gr=FC=DFe)
1< c OK …
1> d fetch 1 body.peek[1.2.mime]
1< * 1 FETCH (BODY[1.2.MIME] {109}
1< Content-Type: text/html; charset=utf-8
1< Content-Transfer-Encoding: base64
1< Content-ID: <html@example.net>
1< 
1< )
1< d OK …
1> e fetch 1 body[1]
1< * 1 FETCH (BODY[1] {289}
1< --inner
1<~ --inner--
1< )
1< e OK …
1> f fetch 1 (body[2.header] body[2.text] body[2.1] body[2.1.mime])
1< * 1 FETCH (BODY[2.HEADER] {43}
1< From: dave@example.net
1< Subject: inside
1< 
1<  BODY[2.TEXT] {14}
1< forwarded text BODY[2.1] {14}
1< forwarded text BODY[2.1.MIME] {43}
1< From: dave@example.net
1< Subject: inside
1< 
1< )
1< f OK …
1> g fetch 1 body[2.header.fields (subject to)]
1< * 1 FETCH (BODY[2.HEADER.FIELDS (subject to)] {19}
1< Subject: inside
1< 
1< )
1< g OK …
1> h fetch 1 body[header.fields ("Subject" {2}
1< + …
1> cc)]
# dovecot: differs, because it puts the names of fields in order and the fields with them
1< * 1 FETCH (BODY[HEADER.FIELDS (Subject cc)] {72}
1< Cc: bob@demo.test
1< Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_und?=
1<  folded
1< 
1< )
1< h OK …
1> i fetch 1 body[header.fields.not (return-path date from sender reply-to to cc subject message-id in-reply-to)]
1< * 1 FETCH (BODY[HEADER.FIELDS.NOT (return-path date from sender reply-to to cc subject message-id in-reply-to)] {70}
1< MIME-Version: 1.0
1< Content-Type: multipart/mixed; boundary="outer"
1< 
1< )
1< i OK …
1> j fetch 1 (body[5] body[1.1.1] body[3.header] body[2.2])
# dovecot: differs, because an absent part is empty there, and NIL here (RFC 3501 7.4.2 has both)
1< * 1 FETCH (BODY[5] NIL BODY[1.1.1] NIL BODY[3.HEADER] NIL BODY[2.2] NIL)
1< j OK …
1> k fetch 1 rfc822.header
1< * 1 FETCH (RFC822.HEADER {486}
1< Return-Path: <carol@example.net>
1<~ Content-Type: multipart/mixed; boundary="outer"
1< 
1< )
1< k OK …
1> l fetch 1 rfc822.text
1< * 1 FETCH (RFC822.TEXT {814}
1< This is the preamble.
1<~ The epilogue.
1< )
1< l OK …
1> m fetch 1 rfc822
1< * 1 FETCH (RFC822 {1300}
1< Return-Path: <carol@example.net>
1<~ The epilogue.
1< )
1< m OK …
