# USER and PASS, bad: every failure looks alike                                RFC 1939 7, RFC 3206 6
1< +OK …
1> USER
1< -ERR …
1> PASS alice-secret
1< -ERR …
1> USER alice
1< +OK …
1> PASS wrong
1< -ERR [AUTH] Wrong user name or password
1> PASS alice-secret
1< -ERR Say USER first
1> USER nobody
1< +OK …
1> PASS wrong
1< -ERR [AUTH] Wrong user name or password
1> USER alice
1< +OK …
1> PASS
1< -ERR [AUTH] Wrong user name or password
1> USER alice
1< +OK …
1> PASS  alice-secret
1< -ERR [AUTH] Wrong user name or password
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
1> USER alice
1< -ERR Already logged in
1> PASS alice-secret
1< -ERR Already logged in
1> AUTH PLAIN
1< -ERR Already logged in
1> STLS
1< -ERR Already logged in
1> QUIT
1< +OK …
1x
