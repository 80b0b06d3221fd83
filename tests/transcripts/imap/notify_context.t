# NOTIFY and searches that are kept up to date                         RFC 5465 5.1 to 5.3, 7
# dovecot: file differs, because it tells nothing between these commands, and takes an empty list of items, but none without a space before it
given 2 messages in INBOX
1< * OK …
2< * OK …
1> l login alice@demo.test alice-secret
1< l OK …
2> l login alice@demo.test alice-secret
2< l OK …
1> a select inbox
1<~ a OK …
# The RFC's example: EXISTS, FETCH, ESEARCH.
1> a00 search return (count update (uid body.peek[header.fields (subject from to)])) from "boss"
1< * ESEARCH (TAG "a00") COUNT 0
1< a00 OK …
2> b append inbox {76+}
2> From: myboss@example.org
2> To: bob@example.org
2> Subject: Re: good morning
2> 
2> 
2<~ b OK …
1> b noop
1< * 3 EXISTS
1<~ * 3 FETCH (UID 3 BODY[HEADER.FIELDS (subject from to)] {76}
1<~ )
1< * ESEARCH (TAG "a00") ADDTO (0 3)
1< b OK …
# Flags that make a message match bring no FETCH of that kind.
1> c00 uid search return (update (envelope)) flagged
1< * ESEARCH (TAG "c00") UID
1< c00 OK …
2> c select inbox
2<~ c OK …
2> d store 1 +flags.silent (\Flagged)
2< d OK …
1> c noop
1< * 1 FETCH (FLAGS (\Flagged…))
1< * ESEARCH (TAG "c00") UID ADDTO (0 1)
1< c OK …
# With NOTIFY one response for both, behind ESEARCH (5.2), without being asked.
1> d notify set (selected (MessageNew (uid flags) MessageExpunge FlagChange))
1< d OK …
2> e append inbox (\Flagged) {76+}
2> From: myboss@example.org
2> To: bob@example.org
2> Subject: Re: good morning
2> 
2> 
2<~ e OK …
1< * 4 EXISTS
1<~ * ESEARCH (TAG "a00") ADDTO (0 4)
1< * ESEARCH (TAG "c00") UID ADDTO (0 4)
1< * 4 FETCH (UID 4 FLAGS (\Flagged) BODY[HEADER.FIELDS (subject from to)] {76}
1<~ …ENVELOPE …
2> f append inbox {5+}
2> hello
2<~ f OK …
1< * 5 EXISTS
1<~ * 5 FETCH (UID 5 FLAGS ())
# FETCH before ESEARCH (5.1), REMOVEFROM before EXPUNGE (5.3).
2> g store 4 -flags.silent (\Flagged)
2< g OK …
1< * 4 FETCH (UID 4 FLAGS ())
1< * ESEARCH (TAG "c00") UID REMOVEFROM (0 4)
2> h store 4 +flags.silent (\Deleted)
2< h OK …
1< * 4 FETCH (UID 4 FLAGS (\Deleted))
2> i expunge
2<~ i OK …
1< * ESEARCH (TAG "a00") REMOVEFROM (0 4)
1< * 4 EXPUNGE
# Where the grammar has no space; and nothing is no list.
1> e00 search return (update(uid)) all
1<~ e00 OK …
1> f00 search return (update ()) all
1< f00 BAD …
