# AUTH SCRAM-SHA-256: a user who does not exist gets a challenge too           RFC 5802 5, RFC 7677
given tls
1< +OK …
1> AUTH SCRAM-SHA-256 biwsbj1ub2JvZHkscj1hYmM=
1< + cj1hYm…
1> *
1< -ERR Cancelled
1> AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==
1< + cj1hYm…
1> Yz1iaXdzLHI9YWJjLHA9QUFBQQ==
1< -ERR …
# the flag y though -PLUS was announced: somebody shortened our list
1> AUTH SCRAM-SHA-256 eSwsbj1hbGljZSxyPWFiYw==
1< -ERR [AUTH] Wrong user name or password
1> AUTH SCRAM-SHA-256-PLUS biwsbj1hbGljZSxyPWFiYw==
1< -ERR …
1> AUTH SCRAM-SHA-256-PLUS cD10bHMtdW5pcXVlLCxuPWFsaWNlLHI9YWJj
1< -ERR [AUTH] Wrong user name or password
1> QUIT
1< +OK …
1x
