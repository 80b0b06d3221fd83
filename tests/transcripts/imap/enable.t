# ENABLE and NAMESPACE, good and bad                                  RFC 5161, RFC 2342
1< * OK …
1> a enable condstore
# dovecot: differs, because it ignores ENABLE before login, which RFC 5161 3.1 does not allow there
1< a BAD Log in first
1> a login alice@demo.test alice-secret
1< a OK …
1> b enable
# dovecot: differs, because it takes ENABLE of nothing, for which RFC 5161 has no grammar
1< b BAD …
1> c enable X-UNKNOWN
# dovecot: differs, because it leaves an empty ENABLED out, which RFC 5161 3.2 demands
1< * ENABLED
1< c OK …
1> d namespace x
# dovecot: differs, because it takes a command with an argument too many
1< d BAD …
1> e namespace
1< * NAMESPACE (("" "/")) … NIL
1< e OK …
