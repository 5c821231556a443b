#!/usr/bin/env bash
# The paper's table on this machine: speeds in evaluation and training, the largest training batch within 16 GiB, and the
# plot of accuracy against speed, with the paper's own V100 figures beside. About a quarter of an hour on two free cores, most of
# it for one step of each network with a batch that fills the memory.
#   [MODELS=NAMES] scripts/bench-table.sh [NAME [FLAGS OF tresnet bench]]     writes bench/results/NAME.json, .md and .svg
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo build --release --locked
# Each run is added to the file; the picture and the table are of the last.
results=bench/results
mkdir -p "$results"
name=${1:-paper-cpu}
shift $(($# > 0 ? 1 : 0))
set -- bench --models "${MODELS:-paper}" --modes infer,train --batch-size 8 --train-batch-size 16 --memory-limit 16 --warmup 1 \
    --iters 2 --repeats 2 --published "$@"
table=$("$release/tresnet" "$@" --results-file "$results/$name.json" --plot "$results/$name.svg" --format md)
facts=$(tac "$results/$name.json" | sed -n 's/^      "\(date\|processor\|instructions\|cores\)": "\{0,1\}\([^",]*\)"\{0,1\},$/- \1: \2/p' | head -n 4)
cat >"$results/$name.md" <<END
# \`tresnet bench\`: $name

- command: \`tresnet $*\`
$facts

Speeds are images per second: the median, in brackets the least and the greatest of n measurements in two passes over all
rows. Left of the V100's columns, which are the paper's (arXiv 2003.13630), all but the published top-1 is measured.

![published top-1 against throughput]($name.svg)

$table
END
echo "$results/$name.md"
