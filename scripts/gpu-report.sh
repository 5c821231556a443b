#!/usr/bin/env bash
# All that is to be known of a GPU, in one call: device tests, benchmarks, and PyTorch with timm beside them.
#
#   scripts/gpu-report.sh --prepare     builds program and device tests into target/gpu; needs no GPU
#   scripts/gpu-report.sh [REPORT]      runs them and leaves one JSON, by default bench/results/<date>-<GPU>.json, and
#                                       beside it a table in Markdown
#
# The two may happen on different machines: the second needs target/gpu, a driver, cuDNN and a Python with torch and timm
# (PYTHON names it), but neither cargo nor network. It writes after each step and, called again with the same REPORT,
# skips what is done; after nine minutes it begins no other. Behind REPORT, --again runs once more what failed, and
# --only WORDS those steps alone whose names have them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = --prepare ]; then
    . scripts/setup.sh
    scripts/build-cuda.sh
    tests=$(scripts/build-cuda.sh test --test device --no-run --message-format=json |
        sed -n 's/.*"name":"device".*"executable":"\([^"]*\)".*/\1/p')
    mkdir -p target/gpu
    # A report unpacks it anew.
    rm -rf target/gpu/sanitizer
    # PyTorch brings neither nvJPEG nor compute-sanitizer; a toolkit does, and where there is none its compiler was
    # installed here.
    pip="${CARGO_TARGET_DIR:-target}/cuda-toolkit/bin/pip"
    if [ -x "$pip" ] && [ ! -e target/gpu/nvjpeg ]; then
        "$pip" install --quiet --disable-pip-version-check --no-deps --target target/gpu/nvjpeg nvidia-nvjpeg==13.0.4.44
    fi
    if [ -x "$pip" ] && ! ls target/gpu/nvidia_cuda_sanitizer_api-*.whl >/dev/null 2>&1; then
        # As it comes, which is half as large: it may have to travel.
        "$pip" download --quiet --disable-pip-version-check --no-deps --dest target/gpu nvidia-cuda-sanitizer-api==13.0.85
    fi
    strip -o target/gpu/tresnet "$release/tresnet"
    strip -o target/gpu/device-tests "$tests"
    git describe --always --abbrev=40 --dirty >target/gpu/commit 2>/dev/null || true
    du -sh target/gpu/*
    exit
fi
if [ ! -x target/gpu/tresnet ] || [ ! -x target/gpu/device-tests ]; then
    echo "target/gpu holds no program: run scripts/gpu-report.sh --prepare first, there or elsewhere" >&2
    exit 1
fi
exec "${PYTHON:-python3}" scripts/peers/gpu_report.py ${1:+--report "$@"}
