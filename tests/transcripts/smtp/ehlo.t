# What EHLO and HELO say, and what they want to hear                     RFC 5321 4.1.1.1, 4.1.4
1< 220 … ESMTP …
1> EHLO
1< 501 5.5.4 …
1> HELO
1< 501 5.5.4 …
1> EHLO client.example
1< 250-…
1< 250-PIPELINING
1< 250-SIZE …
1< 250-8BITMIME
1< 250-SMTPUTF8
1< 250-CHUNKING
1< 250-ENHANCEDSTATUSCODES
1< 250-HELP
1< 250-LIMITS MAILMAX=… RCPTMAX=100
1< 250 STARTTLS
# names that are none are taken; many programs have nothing better
1> ehlo my pc (home)
1<~ 250 STARTTLS
1> EHLO [192.0.2.1]
1<~ 250 STARTTLS
# a second EHLO ends the transaction
1> MAIL FROM:<a@client.example>
1< 250 2.1.0 …
1> HELO client.example
1< 250 …
1> RCPT TO:<alice@demo.test>
1< 503 5.5.1 …
# LHLO is LMTP's
1> LHLO client.example
1< 500 5.5.1 …
1> QUIT
1< 221 2.0.0 …
1x
