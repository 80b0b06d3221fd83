# Mail that arrives during a session is for the next one                       RFC 1939 5
given 1 message in INBOX
1< +OK …
1> USER alice
1< +OK …
1> PASS alice-secret
1< +OK …1 messages
do deliver dots.eml to INBOX
1> STAT
1< +OK 1 153
1> RETR 2
1< -ERR No such message
1> QUIT
1< +OK …
1x
2< +OK …
2> USER alice
2< +OK …
2> PASS alice-secret
2< +OK …2 messages
2> STAT
2< +OK 2 214
2> QUIT
2< +OK …
2x
