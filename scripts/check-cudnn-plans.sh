#!/usr/bin/env bash
# Plans the convolutions of every network, all but depthwise ones, for an H200 with cuDNN itself, on a machine that needs
# no GPU, over all cores as a run on a GPU does.
#
#   scripts/check-cudnn-plans.sh [VERSION OF nvidia-cudnn-cu13]
#
# cuDNN and what it opens come from pinned wheels (1.3 GB unpacked, into target/), the driver is a stand-in. The default
# version is the one that PyTorch 2.11 brings.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

version=${1:-9.19.0.56}
place="${CARGO_TARGET_DIR:-target}/cudnn-check/$version"
place=$(mkdir -p "$place" && cd "$place" && pwd)
if [ ! -e "$place/complete" ]; then
    python3 -m venv "$place/venv"
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-cache-dir \
        "nvidia-cudnn-cu13==$version" nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3
    touch "$place/complete"
fi
nvidia=$(echo "$place"/venv/lib/python3*/site-packages/nvidia)
cc -shared -fPIC -O1 -Wl,-soname,libcuda.so.1 -o "$place/libcuda.so.1" scripts/cudnn/stand-in-driver.c

export LD_LIBRARY_PATH="$place:$nvidia/cu13/lib:$nvidia/cudnn/lib" CUDNN_PLANS_REQUIRED=1
scripts/build-cuda.sh test --test cudnn_plans -- --nocapture
