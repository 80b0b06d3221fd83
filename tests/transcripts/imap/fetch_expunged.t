# a message that is gone is passed over; its number stays until told  RFC 2180 4.1, RFC 5530, RFC 3501 7.4.1
given 3 messages in INBOX
1< * OK …
1> a login alice@demo.test alice-secret
1< a OK …
1> b select inbox
1<~ b OK …
do remove 2 from INBOX
1> c fetch 1:3 body.peek[text]
1! * 2 EXPUNGE
1< * 1 FETCH (BODY[TEXT] {8}
1< body 1
1< )
1< * 3 FETCH (BODY[TEXT] {8}
1< body 3
1< )
# dovecot: differs, because it says OK with NIL for a message that is gone; we leave it out and say NO (RFC 2180 4.1.2)
1< c NO [EXPUNGEISSUED] …
1> d fetch 3 uid
1! * 2 EXPUNGE
1< * 3 FETCH (UID 3)
1< d OK …
1> e noop
1< * 2 EXPUNGE
1< * 2 RECENT
1< e OK …
1> f fetch 2 uid
1< * 2 FETCH (UID 3)
1< f OK …
