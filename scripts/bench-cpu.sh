#!/usr/bin/env bash
# The forward pass on the CPU, or with --train a training step, beside ONNX Runtime and PyTorch, in turn on the same cores, each in its own process.
#   scripts/bench-cpu.sh [--batches 1,8,32] [--rounds 5] [--contestants tresnet,tresnet-bf16,onnxruntime,compiled,compiled-bf16] ...
#   scripts/bench-cpu.sh --train [--batches 16] [--contestants tresnet,tresnet-bf16,eager,eager-channels-last,eager-bf16] ...
# PEERS names a Python with the peers; without it scripts/peers/setup.sh makes one under target/peers.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo build --release --locked
. scripts/peers/find.sh
"$PEERS" scripts/peers/compare.py --binary "$release/tresnet" "$@"
