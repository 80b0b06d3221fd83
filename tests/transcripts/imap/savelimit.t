# SAVELIMIT: COPY and APPEND of at most two messages                    RFC 9738 3
# dovecot: lacks SAVELIMIT=2
given save-limit 2
given 3 messages in INBOX
given folder Work
1< * OK [CAPABILITY …APPENDLIMIT=1048576 SAVELIMIT=2 LITERAL…
1> a1 login alice@demo.test alice-secret
1<~ a1 OK …
1> a2 select inbox
1<~ a2 OK …
1> b1 fetch 1:* (uid)
1= 3
1< b1 OK Fetch completed
1> b2 uid store 1:* +flags.silent (\Seen)
1< b2 OK Store completed
1> b3 uid sort (arrival) utf-8 all
1< * SORT 1 2 3
1< b3 OK Sort completed
1> c1 uid copy 1:* Work
1< c1 NO [MESSAGELIMIT 2 2] …
1> c2 uid copy 2:3 Work
1< c2 OK [COPYUID $v 2:3 1:2] …
1> c3 append Work {4+}\r\nA:1\n {4+}\r\nA:2\n {4}
1< c3 NO [MESSAGELIMIT 2] …
1> c4 status Work (messages)
1< * STATUS Work (MESSAGES 2)
1< c4 OK …
# MOVE saves nothing that was not there.
1> d1 uid move 1:* Work
1< * OK [COPYUID $v 1:3 3:5] …
1<~ d1 OK Move completed
