# Twenty refused commands end the connection
1< +OK …
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1> NOPE
1< -ERR Unknown command
1< -ERR Too many errors
1x
