#!/usr/bin/env bash
# Fuzzes the readers of checkpoints, JPEGs and MAT files for SECONDS each (default 600), or one of them: no panic, no hang
# of ten seconds, no more than 1 GiB; a JPEG's pixels are libjpeg-turbo's.
#
#   scripts/fuzz.sh [SECONDS [checkpoint | jpeg | mat]]
#
# Seeds are the fixtures of the tests; what is found stays in fuzz/corpus, faults in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
for target in ${2:-checkpoint jpeg mat}; do
    mkdir -p "fuzz/corpus/$target"
    case $target in
        checkpoint) given=(fuzz/corpus/checkpoint tests/fixtures/checkpoints -- -dict=fuzz/checkpoint.dict) ;;
        jpeg) given=(fuzz/corpus/jpeg tests/fixtures/preprocessing --) ;;
        mat) given=(fuzz/corpus/mat tests/fixtures/transfer tests/fixtures/transfer/stanford_cars/devkit --) ;;
        *) echo "$target: there are checkpoint, jpeg and mat" >&2; exit 2 ;;
    esac
    # The sanitizer's flags are not yet stable; the toolchain stays the project's own.
    RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" "${given[@]}" -max_len=40000 -rss_limit_mb=1024 -malloc_limit_mb=1024 \
        -timeout=10 -print_final_stats=1 -max_total_time="$seconds"
done
