# AUTH, bad: unknown, malformed, cancelled, another's identity, wrong          RFC 5034 4, RFC 4422 3
1< +OK …
1> AUTH CRAM-MD5
1< -ERR Unknown mechanism
1> AUTH SCRAM-SHA-256-PLUS
1< -ERR Unknown mechanism
1> AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA== more
1< -ERR …
1> AUTH PLAIN =
1< -ERR …
1> AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA
1< -ERR …
1> AUTH PLAIN
1< + 
1> *
1< -ERR Cancelled
1> AUTH PLAIN
1< + 
1> not base64
1< -ERR …
1> AUTH PLAIN
1< + 
1>
1< -ERR …
1> AUTH LOGIN
1< + VXNlcm5hbWU6
1> *
1< -ERR Cancelled
1> AUTH PLAIN AGFsaWNlAHdyb25n
1< -ERR [AUTH] Wrong user name or password
1> AUTH PLAIN Ym9iAGFsaWNlAGFsaWNlLXNlY3JldA==
1< -ERR [AUTH] Wrong user name or password
1> AUTH PLAIN AGFsaWNlAGFsaWNlLXNlY3JldA==
1< +OK …
1> QUIT
1< +OK …
1x
