# A mailbox without messages                                                   RFC 1939 5
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …0 messages
1> STAT
1< +OK 0 0
1> LIST
1< +OK …
1< .
1> UIDL
1< +OK …
1< .
1> RETR 1
1< -ERR No such message
1> QUIT
1< +OK Bye
1x
