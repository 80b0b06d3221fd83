# what other programs do is told by NOOP; expunges not by STORE        RFC 3501 5.2, 6.1.2, 7.4.1
given 3 messages in INBOX
given file simple.eml in INBOX
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> a select inbox
1<~ * 4 EXISTS
1<~ a OK …
do deliver simple.eml to INBOX
1> b noop
1< * 5 EXISTS
1< * 5 RECENT
1< b OK …
do remove 1 from INBOX
1> c store 2 +flags (\\Seen)
1! * 1 EXPUNGE
1< * 2 FETCH (FLAGS (\\Seen \\Recent))
1< c OK …
1> d noop
1< * 1 EXPUNGE
1< * 4 RECENT
1< d OK …
