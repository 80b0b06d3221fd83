# a message that cannot be read can be counted, marked and expunged        RFC 3501 6.4.3, 6.4.6
# dovecot: file differs, because it says BYE at the first message that cannot be read
given owner
given 3 messages in INBOX
do spoil 2 in INBOX
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> a select inbox
1<~ * 3 EXISTS
1<~ a OK …
1> b fetch 1:* rfc822.size
1< * 1 FETCH (RFC822.SIZE 153)
1< * 3 FETCH (RFC822.SIZE 153)
1< b NO [UNAVAILABLE] …
1> c store 2 +flags (\\Deleted)
1< * 2 FETCH (FLAGS (\\Deleted \\Recent))
1< c OK …
1> d expunge
1< * 2 EXPUNGE
1< * 2 RECENT
1< d OK …
1> e fetch 1:* rfc822.size
1< * 1 FETCH (RFC822.SIZE 153)
1< * 2 FETCH (RFC822.SIZE 153)
1< e OK …
