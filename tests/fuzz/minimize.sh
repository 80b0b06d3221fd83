#!/bin/sh
# Keeps of each corpus the smallest inputs that together reach everything it reaches: minimize.sh [target ...], after run.sh.
#
# Inputs over 2 KB are left out, so that the whole stays below 2 MB and a run of it below some seconds.
set -eu
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
[ $# -gt 0 ] || set -- imap_frame imap_command imap_session smtp_session pop3_session store_files message accounts
for target; do
    smallest=$(mktemp -d)
    "target/$host/release/$target" -set_cover_merge=1 -use_counters=0 -max_len=2048 "$smallest" "corpus/$target"
    rm -r "corpus/$target"
    mv "$smallest" "corpus/$target"
    chmod 755 "corpus/$target"
done
