# CAPA: what holds before and after login                                     RFC 2449 5, RFC 5034 2, RFC 6856 2, 3
1< +OK mail.demo.test POP3 ready
1> CAPA
1< +OK …
1< TOP
1< UIDL
1< RESP-CODES
1< AUTH-RESP-CODE
1< PIPELINING
1< UTF8
1< LANG
1< IMPLEMENTATION Mailcote
1< USER
1< SASL SCRAM-SHA-256 PLAIN LOGIN
1< STLS
1< .
1> capa now
1< -ERR …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …
1> CAPA
1< +OK …
1! USER
1! SASL…
1! STLS
1<~ IMPLEMENTATION Mailcote
1< .
1> QUIT
1< +OK …
1x
