#!/usr/bin/env bash
# The demo, then every test.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

scripts/demo.sh
cargo test --release --locked
