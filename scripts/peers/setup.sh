#!/usr/bin/env bash
# Makes a throw-away Python environment with the peers: scripts/peers/setup.sh [FOLDER], by default target/peers.
set -euo pipefail
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
folder="${1:-$repository/target/peers}"

if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "python3 with its venv module is needed, on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --requirement "$repository/scripts/peers/requirements.txt"
echo "The peers are at $folder/bin/python"
