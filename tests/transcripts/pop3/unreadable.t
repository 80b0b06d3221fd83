# one message that cannot be read: listings are whole, RETR says so      RFC 1939 5, RFC 3206
given owner
given 3 messages in INBOX
do spoil 2 in INBOX
1< +OK …
1> user alice@demo.test
1< +OK …
1> pass alice-secret
1< +OK …
1> stat
1< +OK 3 …
1> list
1< +OK …
1< 1 153
1< 2 $size
1< 3 153
1< .
1> list 2
1< +OK 2 $size
1> uidl
1< +OK …
1= 3
1< .
1> retr 2
1< -ERR [SYS/TEMP] …
1> top 2 0
1< -ERR [SYS/TEMP] …
1> retr 3
1<~ body 3
1< .
1> dele 2
1< +OK …
1> quit
1< +OK Bye, 1 messages removed
1x
