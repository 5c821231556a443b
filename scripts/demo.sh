#!/usr/bin/env bash
# Builds tresnet and evaluates the shipped checkpoint on the shipped digits.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo build --release --locked
set -- "$release/tresnet" infer --val-dir samples/digits-val.tar \
    --model-path samples/resnet20-digits.safetensors --model-name resnet20
echo "\$ $*"
"$@"
