# MESSAGELIMIT: at most three messages a command                        RFC 9738 3
# dovecot: lacks MESSAGELIMIT=3
given message-limit 3
given 6 messages in INBOX
given folder Work
1< * OK [CAPABILITY … MESSAGELIMIT=3…] …
1> a1 login alice@demo.test alice-secret
1<~ a1 OK [CAPABILITY … MESSAGELIMIT=3…] …
1> a2 select inbox
1<~ * 6 EXISTS
1<~ a2 OK …
# 3.1: the messages with the highest UIDs are done, and the lowest is named; the client goes on below it.
1> b1 fetch 1:* (flags)
1< * 4 FETCH (FLAGS (\\Recent))
1< * 5 FETCH (FLAGS (\\Recent))
1< * 6 FETCH (FLAGS (\\Recent))
1< b1 OK [MESSAGELIMIT 3 4] …
1> b2 uid fetch 1:3 (flags)
1< * 1 FETCH (UID 1 FLAGS (\\Recent))
1< * 2 FETCH (UID 2 FLAGS (\\Recent))
1< * 3 FETCH (UID 3 FLAGS (\\Recent))
1< b2 OK Fetch completed
1> b3 uid fetch 1:2,4,6 (uid)
1< * 2 FETCH (UID 2)
1< * 4 FETCH (UID 4)
1< * 6 FETCH (UID 6)
1< b3 OK [MESSAGELIMIT 3 2] …
# Of a page what is in it counts.
1> b4 uid fetch 1:* (uid) (partial 1:2)
1< * 1 FETCH (UID 1)
1< * 2 FETCH (UID 2)
1< b4 OK Fetch completed
1> b5 uid fetch 1:* (uid) (partial -1:-5)
1= 3
1< b5 OK [MESSAGELIMIT 3 4] …
1> c1 uid store 1:* +flags.silent (\Flagged)
1< c1 OK [MESSAGELIMIT 3 4] …
1> c2 store 1:4 +flags (\Answered)
1< * 2 FETCH (FLAGS (\\Answered \\Recent))
1< * 3 FETCH (FLAGS (\\Answered \\Recent))
1< * 4 FETCH (FLAGS (\\Flagged \\Answered \\Recent))
1< c2 OK [MESSAGELIMIT 3 2] …
# SEARCH: so many are searched, not found. UIDs and numbers that bind the whole search make it smaller.
1> d1 uid search answered
1< * SEARCH 4
1< d1 OK [MESSAGELIMIT 3 4] …
1> d2 uid search uid 1:3 answered
1< * SEARCH 2 3
1< d2 OK Search completed
1> d3 search return (count min max) all
1< * ESEARCH (TAG "d3") MIN 4 MAX 6 COUNT 3
1< d3 OK [MESSAGELIMIT 3 4] …
1> d4 uid search not uid 5
1< * SEARCH 4 6
1< d4 OK [MESSAGELIMIT 3 4] …
1> d5 uid search return (max) flagged
1< * ESEARCH (TAG "d5") UID MAX 6
1< d5 OK [MESSAGELIMIT 3 4] …
# 3.2: UIDAFTER and UIDBEFORE.
1> e1 uid search uidbefore 4 answered
1< * SEARCH 2 3
1< e1 OK Search completed
1> e2 uid search uidafter 4
1< * SEARCH 5 6
1< e2 OK Search completed
1> e3 uid search uidafter 1 uidbefore 6
1< * SEARCH 3 4 5
1< e3 OK [MESSAGELIMIT 3 3] …
1> e4 uid search uidbefore 1
1< * SEARCH
1< e4 OK Search completed
1> e5 uid search not uidafter 4
1< * SEARCH 4
1< e5 OK [MESSAGELIMIT 3 4] …
1> e6 uid search uidafter 0
1< e6 BAD …
1> e7 uid search uidafter 1:2
1< e7 BAD …
1> e8 uid search uidbefore
1< e8 BAD …
# 3.3: SORT and THREAD are done whole or not at all.
1> f1 uid sort (arrival) utf-8 all
1< f1 NO [MESSAGELIMIT 3] …
1> f2 thread references utf-8 all
1< f2 NO [MESSAGELIMIT 3] …
1> f3 uid sort (arrival) utf-8 uidafter 3
1< * SORT 4 5 6
1< f3 OK Sort completed
1> f4 uid thread orderedsubject utf-8 uid 1
1< * THREAD (1)
1< f4 OK Thread completed
# 3.4: what was not looked at is not saved; a SORT that is refused empties it.
1> g1 uid search return (save) all
1< g1 OK [MESSAGELIMIT 3 4] …
1> g2 uid fetch $ (uid)
1< * 4 FETCH (UID 4)
1< * 5 FETCH (UID 5)
1< * 6 FETCH (UID 6)
1< g2 OK Fetch completed
1> g3 uid sort return (save) (arrival) utf-8 all
1< g3 NO [MESSAGELIMIT 3] …
1> g4 uid fetch $ (uid)
1< g4 OK Fetch completed
# A result that is not whole cannot be kept up to date (RFC 5267 4.3.1).
1> g5 uid search return (update count) all
1< * NO [NOUPDATE "g5"] …
1< * ESEARCH (TAG "g5") UID COUNT 3
1< g5 OK [MESSAGELIMIT 3 4] …
# COPY and APPEND do all or nothing.
1> h1 uid copy 1:* Work
1< h1 NO [MESSAGELIMIT 3 4] …
1> h2 copy 2:5 Work
1< h2 NO [MESSAGELIMIT 3 3] …
1> h3 status Work (messages)
1< * STATUS Work (MESSAGES 0)
1< h3 OK …
1> h4 uid copy 4:6 Work
1< h4 OK [COPYUID $v 4:6 1:3] …
1> h5 append Work {4+}\r\nA:1\n {4+}\r\nA:2\n {4+}\r\nA:3\n {4+}\r\nA:4\n
1< h5 NO [MESSAGELIMIT 3] …
1> h6 append Work {4+}\r\nA:1\n {4+}\r\nA:2\n {4+}\r\nA:3\n
1< h6 OK [APPENDUID $v 4:6] …
# Another code has the place of the reply: then it is said before.
1> i1 uid store 1:* (unchangedsince 1) +flags.silent (\Draft)
1<~ * NO [MESSAGELIMIT 3 4] …
1< i1 OK [MODIFIED 4:6] …
# UID EXPUNGE counts what it removes, EXPUNGE and CLOSE are not limited.
1> j1 uid store 1:3 +flags.silent (\Deleted)
1<~ j1 OK …
1> j2 uid store 5 +flags.silent (\Deleted)
1<~ j2 OK …
1> j3 uid expunge 1:*
1< * 5 EXPUNGE
1< * 3 EXPUNGE
1< * 2 EXPUNGE
1< * 3 RECENT
1< j3 OK [MESSAGELIMIT 3 2] …
1> j4 expunge
1< * 1 EXPUNGE
1< * 2 RECENT
1< j4 OK …
# MOVE goes on where it ended; the client repeats it until nothing is left out.
1> k1 select Work
1<~ * 6 EXISTS
1<~ k1 OK …
1> k2 uid move 1:* INBOX
1< * OK [COPYUID … 4:6 …] …
1< * 6 EXPUNGE
1< * 5 EXPUNGE
1< * 4 EXPUNGE
1< * 3 RECENT
1< k2 OK [MESSAGELIMIT 3 4] …
1> k3 uid move 1:* INBOX
1< * OK [COPYUID … 1:3 …] …
1<~ k3 OK Move completed
# After ENABLE QRESYNC the mod-sequence has the place of the reply (RFC 7162 3.2.7).
1> l1 enable qresync
1<~ l1 OK …
1> l2 select inbox
1<~ * 8 EXISTS
1<~ l2 OK …
1> l3 uid move 1:* Work
1<~ * VANISHED …
1<~ * NO [MESSAGELIMIT 3 …] …
1< l3 OK [HIGHESTMODSEQ …] …
