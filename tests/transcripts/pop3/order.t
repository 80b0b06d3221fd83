# Commands that are not for now, and lines that are none                       RFC 1939 3
1< +OK …
1> STAT
1< -ERR Log in first
1> LIST
1< -ERR Log in first
1> UIDL
1< -ERR Log in first
1> RETR 1
1< -ERR Log in first
1> TOP 1 1
1< -ERR Log in first
1> DELE 1
1< -ERR Log in first
1> RSET
1< -ERR Log in first
1> NOOP
1< -ERR Log in first
1> APOP alice 00000000000000000000000000000000
1< -ERR Unknown command
1>
1< -ERR Unknown command
1>  STAT
1< -ERR Unknown command
1> \0\xff
1< -ERR Unknown command
1> QUIT
1< +OK Bye
1x
