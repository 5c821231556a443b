#!/usr/bin/env bash
# Builds the program with CUDA inside: one binary, which starts on machines without any NVIDIA library too. Where no CUDA
# toolkit is, its compiler comes from NVIDIA's Python wheels into target/cuda-toolkit (104 MB). No GPU is needed. Further
# arguments go to cargo, in place of `build`: scripts/build-cuda.sh clippy --all-targets
set -euo pipefail
no_toolkit() {
    [ -z "${NVCC:-}${CUDA_HOME:-}${CUDA_PATH:-}" ] && ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]
}
needs_too=()
! no_toolkit || python3 -c 'import ensurepip' 2>/dev/null || needs_too=(python3-venv)
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85
    nvidia-cuda-runtime==13.0.96)

toolkit="${CARGO_TARGET_DIR:-target}/cuda-toolkit"
if no_toolkit; then
    if [ "$(cat "$toolkit/wheels" 2>/dev/null)" != "${wheels[*]}" ]; then
        python3 -m venv --clear "$toolkit"
        "$toolkit/bin/pip" install --quiet --disable-pip-version-check "${wheels[@]}"
        echo "${wheels[*]}" >"$toolkit/wheels"
    fi
    NVCC=$(realpath "$toolkit"/lib/python3*/site-packages/nvidia/cu13/bin/nvcc)
    export NVCC
fi

command=build
if [ $# -gt 0 ]; then
    command=$1
    shift
fi
cargo "$command" --release --locked --features cuda "$@"
[ "$command" != build ] || echo "Built $release/tresnet with CUDA."
