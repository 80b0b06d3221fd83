# PREVIEW: the beginning of what a reader would see, and LAZY                       RFC 8970
given 2 messages in INBOX
given file mime.eml in INBOX
1> a login alice@demo.test alice-secret
1<~ a OK …
1> b capability
1<~ * CAPABILITY …PREVIEW…
1<~ b OK …
1> c select inbox
1<~ c OK …
# Section 4.1: what is not known yet is NIL to those who are in a hurry, and to nobody else.
1> d fetch 1:2 (preview (lazy) uid)
1= 2
1< d OK …
1> e fetch 1:3 (uid preview)
1= 4
1> f fetch 1:2 (preview (lazy))
1= 3
1> g fetch 1 (preview body.peek[text])
1= 4
1> h fetch 1 preview (eager)
1= 1
