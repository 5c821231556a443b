#!/usr/bin/env bash
# Fuzzes the checkpoint reader for SECONDS (default 600): no panic, no hang of ten seconds, no more than 1 GiB.
#
#   scripts/fuzz.sh [SECONDS]
#
# Seeds are the fixtures of the tests; what is found stays in fuzz/corpus, faults in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
mkdir -p fuzz/corpus/checkpoint
# The sanitizer's flags are not yet stable; the toolchain stays the project's own.
RUSTC_BOOTSTRAP=1 cargo fuzz run checkpoint fuzz/corpus/checkpoint tests/fixtures/checkpoints -- \
    -dict=fuzz/checkpoint.dict -max_len=40000 -rss_limit_mb=1024 -malloc_limit_mb=1024 -timeout=10 \
    -print_final_stats=1 -max_total_time="$seconds"
