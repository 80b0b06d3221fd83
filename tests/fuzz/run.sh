#!/bin/sh
# Builds the fuzz targets and runs each for some minutes: run.sh MINUTES [target ...]
#
# What cargo-fuzz does, by plain cargo, since that needs no more than the stable toolchain and a C++ compiler: the crates are compiled
# with coverage counters (not the build scripts), and libFuzzer drives them. No address sanitizer: there is no unsafe code of ours, and
# twice as many runs find more. Overflows and debug assertions are checked. Memory is bounded: 512 MB in all, 64 MB at once.
#
# What a run finds: tests/fuzz/corpus/TARGET grows (see minimize.sh), tests/fuzz/artifacts/TARGET has what crashed, and the exit code is not 0.
set -eu
cd "$(dirname "$0")"
minutes=${1:-1}
[ $# -gt 0 ] && shift
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1" \
    RUSTC_BOOTSTRAP=1 cargo build --release --target "$host" --bins
[ $# -gt 0 ] || set -- imap_frame imap_command imap_session smtp_session pop3_session store_files message accounts
status=0
for target; do
    mkdir -p "corpus/$target" "artifacts/$target"
    dictionary=
    words=${target%%_*}
    [ -f "dictionaries/$words.dict" ] && dictionary="-dict=dictionaries/$words.dict"
    echo "== $target: $minutes minutes"
    "target/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" $dictionary \
        -max_total_time=$((minutes * 60)) -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=10 -max_len=16384 -print_final_stats=1 || status=1
done
exit $status
