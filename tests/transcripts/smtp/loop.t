# Fifty Received fields are a loop, forty-nine are a long way                        RFC 5321 6.3
1< 220 …
1> EHLO client.example
1<~ 250 STARTTLS
1> MAIL FROM:<a@client.example>
1< 250 …
1> RCPT TO:<alice@demo.test>
1< 250 …
1> DATA
1< 354 …
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Subject: x
1>
1> body
1> .
1< 250 2.0.0 …
1> MAIL FROM:<a@client.example>
1< 250 …
1> RCPT TO:<alice@demo.test>
1< 250 …
1> DATA
1< 354 …
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Subject: x
1>
1> body
1> .
1< 554 5.4.6 …
1> MAIL FROM:<a@client.example>
1< 250 …
1> RCPT TO:<alice@demo.test>
1< 250 …
1> DATA
1< 354 …
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Received: from a.example by b.example; Sat, 21 Nov 2026 22:00:00 +0000
1> Subject: x
1>
1> body
1> .
1< 250 2.0.0 …
1> QUIT
1< 221 …
1x
