#!/bin/sh
# Times the loading of training batches beside timm's: scripts/bench-training-loading.sh [FOLDER [REPEATS]]
# FOLDER receives 1,000 JPEGs (110 MB) at the first run. PYTHON names a Python with torch, torchvision and timm.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-target/bench-loading}
program=$(cargo bench --bench loading --no-run --message-format=json |
    sed -n 's/.*"name":"loading".*"executable":"\([^"]*\)".*/\1/p')
exec "${PYTHON:-python3}" scripts/bench-training-loading.py "$program" "$folder" --repeats "${2:-7}"
