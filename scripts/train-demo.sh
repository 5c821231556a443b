#!/usr/bin/env bash
# Builds tresnet and trains resnet20 on the shipped digits from random weights, by configs/digits.yaml.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cargo build --release --locked
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
set -- "$release/tresnet" train samples -c configs/digits.yaml --experiment digits
echo "\$ $*"
time "$@" --output "$output"
cat "$output/digits/summary.csv"
