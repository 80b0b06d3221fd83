# NOTIFY: the RFC's own example, as its grammar has it                 RFC 5465 3.1
# dovecot: file differs, because it adds UNSEEN to every STATUS, and tells some of them with the next command only
given folder Lists/Lemonade
given folder Lists/Im2000
given folder misc
given 2 messages in INBOX
1< * OK …
2< * OK …
2> l login alice@demo.test alice-secret
2< l OK …
1> a login alice@demo.test alice-secret
1< a OK [CAPABILITY …
2> m append Lists/Lemonade {5+}
2> hello
2< m OK …
1> b notify set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))
1< * STATUS Lists (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
1< * STATUS Lists/Im2000 (MESSAGES 0 UIDNEXT 1 UIDVALIDITY …)
1< * STATUS Lists/Lemonade (MESSAGES 1 UIDNEXT 2 UIDVALIDITY …)
1< b OK …
1> c select inbox
1<~ c OK …
# Time passes. A new message is delivered to mailbox Lists/Lemonade.
2> n append Lists/Lemonade {5+}
2> hello
2< n OK …
1< * STATUS Lists/Lemonade (MESSAGES 2 UIDNEXT 3)
# Time passes. A new message is delivered to inbox.
do deliver simple.eml to INBOX
1< * 3 EXISTS
1< * 3 RECENT
1< * 3 FETCH (UID 3 BODY[HEADER.FIELDS (from to subject)] {…}
1<~ )
# One more mailbox, of which the client knows enough.
1> d status misc (UIDVALIDITY UIDNEXT MESSAGES)
1< * STATUS misc (…)
1< d OK …
1> e notify set (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge)) (mailboxes misc (MessageNew MessageExpunge))
1< e OK …
do deliver simple.eml to misc
1< * STATUS misc (MESSAGES 1 UIDNEXT 2)
# Nothing of a mailbox that no group is about: 3.1. The open mailbox is only what SELECTED says: section 6.
2> o create Other
2< o OK …
do deliver simple.eml to Other
do remove 1 from misc
1< * STATUS misc (MESSAGES 0 UIDNEXT 2)
1> f unselect
1< f OK …
1> g notify set (personal (MessageNew MessageExpunge))
1< g OK …
1> h select misc
1<~ h OK …
do deliver simple.eml to misc
do deliver simple.eml to Other
1< * STATUS Other (MESSAGES 2 UIDNEXT 3)
1> i noop
1< i OK …
# It is one of the others when it is left.
1> j unselect
1< j OK …
1< * STATUS misc (MESSAGES 1 UIDNEXT 3)
# INBOXES is PERSONAL here: other programs deliver where they like (6.3).
1> k notify set (inboxes (MessageNew MessageExpunge))
1< k OK …
do deliver simple.eml to Other
1< * STATUS Other (MESSAGES 3 UIDNEXT 4)
