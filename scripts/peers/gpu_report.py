"""Runs the device tests, tresnet's benchmarks and PyTorch's in turn on one GPU and keeps one JSON of it all.

Called by scripts/gpu-report.sh. Every step is a process of its own, so that none inherits another's memory or caches; a
step that fails is kept with the end of what it said, and the next one runs. Steps stand in the order in which they are
worth most, for a machine that may be taken away; after nine minutes no other is begun, and the next run goes on.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time
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
TRAINING_ENGINES = ["eager-autocast-channels-last", "compiled-autocast"]
# Seconds that a step of each kind may take: planning is a minute, and compiling for max-autotune takes some.
TESTS_END, OURS_END, LARGEST_END, EAGER_END, COMPILED_END = 180, 150, 240, 120, 300

Step = tuple[str, list[str], int]


def ours(mode: str, model: str, side: int, batch: int | str, dtype: str = "f16") -> Step:
    """A step of this program's."""
    case = f"{model} at {side}" + ("" if dtype == "f16" else f" in {dtype}")
    # A step on the largest batch is a second or two.
    warmup, iters = (2, 8) if batch == "max" else (5, 20)
    command = [str(PROGRAM), "bench", "--models", model, "--modes", mode, "--device", "cuda", "--dtype", dtype,
               "--warmup", str(warmup), "--iters", str(iters), "--format", "json", "--input-size", str(side),
               "--batch-size", str(batch)]  # fmt: skip
    return f"tresnet {mode}: {case}, batch {batch}", command, LARGEST_END if batch == "max" else OURS_END


def peer(mode: str, engine: str, model: str, side: int, batch: int | str) -> Step:
    """The same by PyTorch."""
    command = [sys.executable, str(PEER), "--model", model, "--engine", engine, "--input-size", str(side),
               "--batch-size", str(batch), *(["--train"] if mode == "train" else []),
               *(["--warmup", "3", "--iters", "8"] if batch == "max" else [])]  # fmt: skip
    longest = COMPILED_END if engine.startswith("compiled") else EAGER_END
    return f"{engine} {mode}: {model} at {side}, batch {batch}", command, longest


def steps() -> list[Step]:
    """Each step's name, command and seconds. The first eleven should take some nine minutes on a GPU with 16 cores: about
    60 for the tests, 45 to 60 for each of ours, 100 for two largest batches each, 100 for a compiled network, and 20 to 40
    for the others."""
    first, second = SUBJECTS[0], SUBJECTS[1]
    model, side, batches = first
    rows = [
        ("device tests", [str(TESTS), "--test-threads=1", "--show-output"], TESTS_END),
        ours("infer", model, side, batches[0]),
        peer("infer", "compiled-half", model, side, batches[0]),
        peer("infer", "eager-half-channels-last", model, side, batches[0]),
        ours("train", model, side, batches[0]),
        peer("train", "eager-autocast-channels-last", model, side, batches[0]),
        # The paper's protocol: the largest batch, and speeds at 90 % of it.
        ours("train", model, side, "max"),
        peer("train", "eager-autocast-channels-last", model, side, "max"),
        ours("infer", model, side, "max"),
        peer("infer", "eager-half-channels-last", model, side, "max"),
        peer("train", "compiled-autocast", model, side, batches[0]),
    ]
    for model, side, batches in SUBJECTS:
        for batch in batches:
            rows.append(ours("infer", model, side, batch))
            rows.extend(peer("infer", engine, model, side, batch) for engine in ENGINES)
    rows.extend(ours("infer", *first[:2], 256, dtype) for dtype in ["bf16", "f32"])
    for model, side, batches in [first, second]:
        rows.append(ours("train", model, side, batches[0]))
        rows.extend(peer("train", engine, model, side, batches[0]) for engine in TRAINING_ENGINES)
    # What is worth more stands first; once is enough.
    return list({name: (name, command, longest) for name, command, longest in rows}.values())


def run(command: list[str], longest: float) -> dict:
    """What a step came to: its JSON, its tests' result, or how it failed."""
    try:
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=longest)
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {longest:.0f} s"}
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
    parser.add_argument("--minutes", type=float, default=9, help="after which no step goes on; another run does")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    facts = machine()
    date = datetime.date.today().isoformat()
    path = args.report or ROOT / f"bench/results/{date}-{facts['name'].replace(' ', '-').lower()}.json"
    report = json.loads(path.read_text()) if path.exists() else {"date": date, "machine": facts, "steps": {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, command, longest in steps():
        if name in report["steps"]:
            continue
        left = end - time.monotonic()
        started = time.monotonic()
        result = run(command, max(1, min(longest, left)))
        if "failed" in result and time.monotonic() > end:
            print(f"{args.minutes:g} minutes are over; run this again for the other steps")
            break
        report["steps"][name] = result | {"seconds": round(time.monotonic() - started, 1)}
        path.write_text(json.dumps(report, indent=1) + "\n")
        print(name, json.dumps(result)[:200], flush=True)
    print(path)


if __name__ == "__main__":
    main()
