# FETCH BODY[...]<first.count>: counted in bytes of the wire          RFC 3501 6.4.5
given 1 message in INBOX
1< * OK …
1> a login alice@demo.test alice-secret
1< a OK …
1> b examine inbox
1<~ b OK …
1> c fetch 1 body[]<0.5>
1< * 1 FETCH (BODY[]<0> {5}
1< From:)
1< c OK …
1> d fetch 1 body[text]<2.100>
1< * 1 FETCH (BODY[TEXT]<2> {6}
1< dy 1
1< )
1< d OK …
1> e fetch 1 body[text]<7.1>
1< * 1 FETCH (BODY[TEXT]<7> {1}
1< \n)
1< e OK …
1> f fetch 1 (body[text]<8.1> body[]<4294967295.4294967295>)
1< * 1 FETCH (BODY[TEXT]<8> {0}
1<  BODY[]<4294967295> {0}
1< )
1< f OK …
1> g fetch 1 body[header.fields (subject)]<9.7>
1< * 1 FETCH (BODY[HEADER.FIELDS (subject)]<9> {7}
1< message)
1< g OK …
