# What cannot be made durable is answered NO, undone, and the session goes on      RFC 3501 7.1.2
# dovecot: file differs, because nobody can make its disk fail
given 2 messages in INBOX
given folder Work
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> s select inbox
1<~ * 2 EXISTS
1<~ s OK …
# APPEND: the message's sync, and the directory's.
do fail EIO at sync of tmp/
1> a append Work {12}
1< + …
1> Subject: x
1> 
1< a NO [UNAVAILABLE] …
do find 0 in tmp of INBOX
do find 0 in new of Work
do heal
do fail EIO at syncdir of .Work/new/
1> b append Work {12}
1< + …
1> Subject: x
1> 
1< b NO [UNAVAILABLE] …
do find 0 in new of Work
do find 0 in tmp of INBOX
# COPY and MOVE: what came is taken back, what was to go stays.
1> c copy 1:2 Work
1< c NO [UNAVAILABLE] …
do find 0 in new of Work
do find 0 in tmp of Work
1> d move 1:2 Work
1< d NO [UNAVAILABLE] …
do find 0 in new of Work
1> e fetch 1:2 (uid body.peek[text])
1<~ e OK …
do heal
# The list of UIDs: no UID is told that a power cut could take back.
do fail EIO at sync of .Work/dovecot-uidlist
1> f append Work {12}
1< + …
1> Subject: x
1> 
1< f NO [UNAVAILABLE] …
do find 0 in new of Work
do heal
1> g append Work {12}
1< + …
1> Subject: x
1> 
1< g OK [APPENDUID …
do find 1 in new of Work
# EXPUNGE: the file is gone, and clients are told what they would find, as if another program had removed it; but not OK.
1> h store 1 +flags.silent (\\Deleted)
1< h OK …
do fail EIO at syncdir of Maildir/cur/
1> i expunge
1< * 1 EXPUNGE
1<~ i NO [UNAVAILABLE] …
do heal
1> j noop
1< j OK …
# STORE: what was not renamed is not changed. The directory's own sync comes later, and is not waited for.
do fail ENOSPC at rename of Maildir/cur/
1> p store 1 +flags (\\Flagged)
1< p NO [UNAVAILABLE] …
do heal
1> q fetch 1 flags
1! * 1 FETCH …Flagged…
1<~ q OK …
do fail EIO at syncdir of Maildir/cur/
1> r store 1 +flags (\\Flagged)
1< * 1 FETCH (FLAGS …\\Flagged…
1< r OK …
do heal
# CREATE, RENAME, DELETE, SUBSCRIBE.
do fail EIO at syncdir of Maildir/
1> k create New
1< k NO [UNAVAILABLE] …
1> m rename Work Work2
1< m NO [UNAVAILABLE] …
do heal
do fail EIO at sync of subscriptions
1> n subscribe Work
1< n NO [UNAVAILABLE] …
do heal
1> o noop
1< o OK …
