# DELE marks, RSET unmarks, QUIT removes                                       RFC 1939 5, 6
given 3 messages in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
1> DELE 1
1< +OK …
1> DELE 1
1< -ERR …deleted
1> DELE
1< -ERR …
1> DELE 7
1< -ERR No such message
1> RSET now
1< -ERR …
1> RSET
1< +OK …
1> STAT
1< +OK 3 459
1> DELE 2
1< +OK …
1> DELE 3
1< +OK …
1> QUIT now
1< -ERR …
1> QUIT
1< +OK Bye, 2 messages removed
1x
2< +OK …
2> USER alice
2< +OK …
2> PASS alice-secret
2< +OK …1 messages
2> RETR 1
2<~ body 1
2< .
2> QUIT
2< +OK Bye
2x
