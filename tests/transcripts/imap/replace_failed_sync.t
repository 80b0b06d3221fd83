# REPLACE when the disk may have lost the old message: the new one stays, so that one of them is there      RFC 8508 3.4
# dovecot: lacks REPLACE
given 2 messages in INBOX
1< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
1> b select INBOX
1<~ b OK …
do fail EIO at syncdir of Maildir/new/
1> c replace 1 Drafts (\Seen) {12+}
1> Subject: x
1> 
1<~ c NO …
do heal
1> d status Drafts (messages)
1< * STATUS Drafts (MESSAGES 1)
1<~ d OK …
