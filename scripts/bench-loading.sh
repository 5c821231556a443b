#!/bin/sh
# Times loading and preprocessing beside torchvision's: scripts/bench-loading.sh [FOLDER [REPEATS]]
# FOLDER receives 1,000 JPEGs (110 MB) at the first run. PYTHON names a Python with torch and torchvision.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-target/bench-loading}
program=$(cargo bench --bench loading --no-run --message-format=json |
    sed -n 's/.*"name":"loading".*"executable":"\([^"]*\)".*/\1/p')
exec "${PYTHON:-python3}" scripts/bench-loading.py "$program" "$folder" --repeats "${2:-7}"
