# STAT and LIST: sizes with CRLF, deleted messages left out                    RFC 1939 5
given 3 messages in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …3 messages
1> STAT
1< +OK 3 459
1> LIST
1< +OK …
1< 1 153
1< 2 153
1< 3 153
1< .
1> LIST 2
1< +OK 2 153
1> list 03
1< +OK 3 153
1> DELE 2
1< +OK …
1> STAT
1< +OK 2 306
1> LIST
1< +OK …
1< 1 153
1< 3 153
1< .
1> LIST 2
1< -ERR …deleted
1> LIST 4
1< -ERR No such message
1> LIST 0
1< -ERR No such message
1> LIST -1
1< -ERR Give the number …
1> LIST x
1< -ERR Give the number …
1> LIST 1 2
1< -ERR Give the number …
1> LIST 99999999999999999999
1< -ERR Give the number …
1> STAT 1
1< -ERR …
1> RSET
1< +OK …
1> QUIT
1< +OK …
1x
