"""Runs the device tests, tresnet's benchmarks and PyTorch's in turn on one GPU and keeps one JSON of it all.

Called by scripts/gpu-report.sh. Every step is a process of its own, so that none inherits another's memory or caches; a
step that fails is kept with the end of what it said, and the next one runs. Steps stand in the order in which they are
worth most, for a machine that may be taken away.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM, TESTS = ROOT / "target/gpu/tresnet", ROOT / "target/gpu/device-tests"
# What scripts/gpu-report.sh --prepare put there, behind what the machine names itself.
LIBRARIES = [os.environ.get("LD_LIBRARY_PATH", ""), str(ROOT / "target/gpu/nvjpeg/nvidia/cu13/lib")]
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, LIBRARIES))}
PEER = Path(__file__).with_name("gpu_peer.py")
# Network, side of the input, batches.
SUBJECTS = [
    ("tresnet_m", 224, [256, 1, 1024]),
    ("resnet50", 224, [256]),
    ("tresnet_l", 224, [256]),
    ("tresnet_xl", 224, [256]),
    ("tresnet_m", 448, [128]),
    ("resnext50_32x4d", 224, [256]),
    ("efficientnet_b1", 240, [256]),
    ("mixnet_l", 224, [256]),
]
ENGINES = ["compiled-half", "eager-half-channels-last", "eager-half", "compiled-autocast"]
# Of one step, in seconds: compiling for max-autotune takes minutes.
LONGEST = 420


def steps() -> list[tuple[str, list[str]]]:
    """Each step's name and command."""
    rows = [("device tests", [str(TESTS), "--test-threads=1", "--show-output"])]
    for model, side, batches in SUBJECTS:
        for batch in batches:
            case = f"{model} at {side}, batch {batch}"
            shared = ["--input-size", str(side), "--batch-size", str(batch)]
            ours = [str(PROGRAM), "bench", "--models", model, "--modes", "infer", "--device", "cuda", "--dtype", "f16",
                    "--warmup", "5", "--iters", "20", "--format", "json", *shared]  # fmt: skip
            rows.append((f"tresnet infer: {case}", ours))
            for engine in ENGINES:
                peer = [sys.executable, str(PEER), "--model", model, "--engine", engine, *shared]
                rows.append((f"{engine} infer: {case}", peer))
    for dtype in ["bf16", "f32"]:
        ours = [str(PROGRAM), "bench", "--models", "tresnet_m", "--modes", "infer", "--device", "cuda", "--dtype", dtype,
                "--batch-size", "256", "--warmup", "5", "--iters", "20", "--format", "json"]  # fmt: skip
        rows.append((f"tresnet infer: tresnet_m at 224 in {dtype}, batch 256", ours))
    for model, side, batches in SUBJECTS[:2]:
        shared = ["--input-size", str(side), "--batch-size", str(batches[0])]
        ours = [str(PROGRAM), "bench", "--models", model, "--modes", "train", "--device", "cuda", "--dtype", "f16",
                "--warmup", "5", "--iters", "20", "--format", "json", *shared]  # fmt: skip
        rows.append((f"tresnet train: {model} at {side}, batch {batches[0]}", ours))
        shared.append("--train")
        for engine in ["compiled-autocast", "eager-autocast-channels-last"]:
            peer = [sys.executable, str(PEER), "--model", model, "--engine", engine, *shared]
            rows.append((f"{engine} train: {model} at {side}, batch {batches[0]}", peer))
    return rows


def run(command: list[str]) -> dict:
    """What a step came to: its JSON, its tests' result, or how it failed."""
    try:
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {LONGEST} s"}
    said = (done.stdout + done.stderr)[-2000:]
    if command[0] == str(TESTS):
        results = re.findall(r"^test (\S+) \.\.\. (\w+)", done.stdout, re.MULTILINE)
        failed = [name for name, result in results if result != "ok"]
        skipped = "skipped" in done.stdout + done.stderr
        # What a test measures it says in a line: figure, its name, JSON.
        figures = re.findall(r"^figure (\S+) (\{.*\})$", done.stdout, re.MULTILINE)
        measured = {"figures": {name: json.loads(figure) for name, figure in figures}} if figures else {}
        tests = {"tests": len(results), "not_ok": failed, "skipped": skipped, "said": said if failed else ""}
        return tests | measured
    try:
        result = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        return {"failed": f"status {done.returncode}", "said": said}
    return result


def machine() -> dict:
    fields = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        sys.exit("no GPU answers here (nvidia-smi)")
    versions = "import torch, timm; print(torch.__version__, torch.backends.cudnn.version(), timm.__version__)"
    peers = subprocess.run([sys.executable, "-c", versions], capture_output=True, text=True).stdout.split()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return dict(zip(fields.split(","), (part.strip() for part in found.split(","))), commit=commit) | dict(
        zip(["torch", "cudnn", "timm"], peers)
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    facts = machine()
    date = datetime.date.today().isoformat()
    path = args.report or ROOT / f"bench/results/{date}-{facts['name'].replace(' ', '-').lower()}.json"
    report = json.loads(path.read_text()) if path.exists() else {"date": date, "machine": facts, "steps": {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, command in steps():
        if name in report["steps"]:
            continue
        result = run(command)
        report["steps"][name] = result
        path.write_text(json.dumps(report, indent=1) + "\n")
        print(name, json.dumps(result)[:200], flush=True)
    print(path)


if __name__ == "__main__":
    main()
