#!/usr/bin/env bash
# Times the loading of training batches beside timm's: scripts/bench-training-loading.sh [FOLDER [REPEATS]]
# FOLDER receives 1,000 JPEGs (110 MB) at the first run. PEERS names a Python with the peers; without it
# scripts/peers/setup.sh makes one under target/peers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-target/bench-loading}
program=$(cargo bench --bench loading --no-run --message-format=json |
    sed -n 's/.*"name":"loading".*"executable":"\([^"]*\)".*/\1/p')
. scripts/peers/find.sh
exec "$PEERS" scripts/bench-training-loading.py "$program" "$folder" --repeats "${2:-7}"
