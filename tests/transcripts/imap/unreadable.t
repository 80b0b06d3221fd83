# one message that cannot be read: the others can, and the reply is NO    RFC 3501 6.4.4, 6.4.5
given owner
given 3 messages in INBOX
do spoil 2 in INBOX
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> a select inbox
1<~ * 3 EXISTS
1<~ a OK …
1> b fetch 1:* (uid flags)
1< * 1 FETCH (UID 1 FLAGS (\\Recent))
1< * 2 FETCH (UID 2 FLAGS (\\Recent))
1< * 3 FETCH (UID 3 FLAGS (\\Recent))
1< b OK …
1> c search body body
1< * SEARCH 1 3
# dovecot: differs, because it has another code for a file that it may not read
1< c NO [UNAVAILABLE] …
1> d search unseen
1< * SEARCH 1 2 3
1< d OK …
1> e fetch 1:* (body.peek[text])
1< * 1 FETCH (BODY[TEXT] {8}
1< body 1
1< )
# dovecot: differs, because it says BYE at the first message that cannot be read
1< * 3 FETCH (BODY[TEXT] {8}
1< body 3
1< )
1< e NO [UNAVAILABLE] …
