# TOP: the header, the empty line, and so many lines of the body               RFC 1939 7
given file dots.eml in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
1> TOP 1 0
1< +OK …
1< From: dots@example.net
1< Subject: dots
1<
1< .
1> TOP 1 2
1< +OK …
1< From: dots@example.net
1< Subject: dots
1<
1< ..
1< ...
1< .
1> TOP 1 99
1< +OK …
1< From: dots@example.net
1< Subject: dots
1<
1< ..
1< ...
1< ..two
1< x.
1<
1< ..
1< .
1> TOP 1
1< -ERR …
1> TOP
1< -ERR …
1> TOP 1 x
1< -ERR …
1> TOP 1 -1
1< -ERR …
1> TOP 1 2 3
1< -ERR …
1> TOP 2 1
1< -ERR No such message
1> QUIT
1< +OK …
1x
