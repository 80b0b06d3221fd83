# RETR: dots stuffed, a missing line end added                                 RFC 1939 3, 5
given 1 message in INBOX
given file dots.eml in INBOX
given file no_line_end.eml in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
1> RETR 1
1< +OK 153 octets
1< From: Sender <sender@example.net>
1< To: alice@demo.test
1< Subject: message 1
1< Date: Thu, 1 Jan 2026 12:00:01 +0000
1< Message-ID: <1@example.net>
1<
1< body 1
1< .
1> RETR 2
1< +OK 61 octets
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
1> RETR 3
1< +OK 50 octets
1< From: a@example.net
1< Subject: short
1<
1< no line end
1< .
1> RETR
1< -ERR …
1> RETR x
1< -ERR …
1> RETR 0
1< -ERR No such message
1> RETR 4
1< -ERR No such message
1> RETR 1 2
1< -ERR …
1> DELE 1
1< +OK …
1> RETR 1
1< -ERR …deleted
1> RSET
1< +OK …
1> QUIT
1< +OK Bye
1x
