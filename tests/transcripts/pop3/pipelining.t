# Commands sent together are answered in order, also behind a login            RFC 2449 6.6
given 2 messages in INBOX
1< +OK …
1> USER alice\r\nPASS alice-secret\r\nSTAT\r\nNOPE\r\nUIDL 1\r\nRETR 2\r\nDELE 1\r\nQUIT
1< +OK …
1< +OK …2 messages
1< +OK 2 306
1< -ERR Unknown command
1< +OK 1 00000001…
1< +OK 153 octets
1<~ body 2
1< .
1< +OK Marked …
1< +OK Bye, 1 messages removed
1x
2< +OK …
2> AUTH PLAIN\r\nAGFsaWNlAGFsaWNlLXNlY3JldA==\r\nSTAT
2< + 
2< +OK …1 messages
2< +OK 1 153
2> QUIT
2< +OK …
2x
