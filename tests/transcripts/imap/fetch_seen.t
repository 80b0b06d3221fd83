# reading sets \Seen and tells it; peeking and EXAMINE do not         RFC 3501 6.4.5, 6.3.2
given 4 messages in INBOX
1< * OK …
1> a login alice@demo.test alice-secret
1< a OK …
1> b examine inbox
1<~ b OK …
1> c fetch 1 (flags body[text])
1< * 1 FETCH (FLAGS (…) BODY[TEXT] {8}
1< body 1
1< )
1< c OK …
1> d select inbox
1<~ d OK …
1> e fetch 1 (body.peek[text] rfc822.header)
1<~ )
1< e OK …
1> f fetch 1:4 flags
1< * 1 FETCH (FLAGS (\\Recent))
1= 3
1< f OK …
1> g fetch 1 body[text]
1! * 1 FETCH (FLAGS…
# dovecot: differs, because it tells new flags before the body
1< * 1 FETCH (BODY[TEXT] {8}
1< body 1
1<  FLAGS (\\Seen \\Recent))
1< g OK …
1> h fetch 2 (flags rfc822.text)
1< * 2 FETCH (FLAGS (\\Seen \\Recent) RFC822.TEXT {8}
1< body 2
1< )
1< h OK …
1> i fetch 2 body[text]
1< * 2 FETCH (BODY[TEXT] {8}
1< body 2
1< )
1< i OK …
1> j uid fetch 3 rfc822
# dovecot: differs, because it tells new flags before the body
1< * 3 FETCH (UID 3 RFC822 {153}
1<~  FLAGS (\\Seen \\Recent))
1< j OK …
1> k noop
1< k OK …
2< * OK …
2> a login alice@demo.test alice-secret
2< a OK …
2> b select inbox
2<~ b OK …
2> c fetch 1:* flags
2< * 1 FETCH (FLAGS (\\Seen))
2< * 2 FETCH (FLAGS (\\Seen))
2< * 3 FETCH (FLAGS (\\Seen))
2< * 4 FETCH (FLAGS ())
2< c OK …
2> d fetch 4 body[]<0.1>
# dovecot: differs, because it tells new flags before the body
2< * 4 FETCH (BODY[]<0> {1}
2< F FLAGS (\\Seen))
2< d OK …
1> l noop
1< * 4 FETCH (FLAGS (\\Seen \\Recent))
1< l OK …
