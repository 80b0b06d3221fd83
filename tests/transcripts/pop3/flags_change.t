# Another program renames a message while we read: it is found again           RFC 1939 5
given 2 messages in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
do flag 2 in INBOX FS
1> RETR 2
1< +OK 153 octets
1<~ body 2
1< .
1> DELE 2
1< +OK …
1> QUIT
1< +OK Bye, 1 messages removed
1x
