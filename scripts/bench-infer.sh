#!/usr/bin/env bash
# Times what lies around the network in `tresnet infer`: scripts/bench-infer.sh [FOLDER [ROUNDS]]
# How near loading and computing together come to what sharing the cores allows; what comes before the first batch; how
# long a folder of 50,000 files takes, beside torchvision's make_dataset; the most memory. FOLDER receives 1,000 JPEGs (110 MB)
# at the first run. PEERS names a Python with the peers; without it scripts/peers/setup.sh makes one under target/peers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
. scripts/peers/find.sh
exec "$PEERS" scripts/bench-infer.py target/release/tresnet "${1:-target/bench-loading}" --rounds "${2:-5}"
