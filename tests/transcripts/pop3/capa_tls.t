# CAPA under TLS: channel binding, and no STLS                                 RFC 2595 4, RFC 9266
given tls
1< +OK …
1> CAPA
1! STLS
1<~ SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN
1< .
1> STLS
1< -ERR …
1> QUIT
1< +OK …
1x
