"""Runs tresnet and its peers in turn, each measurement in a process of its own, and prints one table.

Called by scripts/bench-cpu.sh. A row: the median over the rounds of each process's own median img/s, the least and the
most, the ratio to the best peer of the same type (f32 or bf16), and the largest resident memory that the kernel reports
for the process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

FORWARD = Path(__file__).with_name("forward.py")
TRAIN = Path(__file__).with_name("train.py")
CONTESTANTS = ["tresnet", "tresnet-bf16", "onnxruntime", "eager", "eager-channels-last", "compiled", "eager-bf16", "compiled-bf16"]


def exported(args: argparse.Namespace) -> Path:
    """The network's ONNX file, written once."""
    path = args.onnx_dir / f"{args.model}-{args.input_size}.onnx"
    if not path.exists():
        size = ["--input-size", str(args.input_size)]
        export = [sys.executable, str(FORWARD), "--model", args.model, *size, "--export", str(path)]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    return path


def command(contestant: str, batch: int, args: argparse.Namespace) -> list[str]:
    # About the same number of images whatever the batch.
    iterations = max(5, args.images // batch)
    shared = ["--batch-size", str(batch), "--input-size", str(args.input_size), "--iters", str(iterations), "--warmup=2"]
    if contestant.startswith("tresnet"):
        mode, dtype = "train" if args.train else "infer", "bf16" if contestant.endswith("bf16") else "f32"
        return [args.binary, "bench", "--models", args.model, "--modes", mode, "--device", "cpu", "--dtype", dtype,
                "--format", "json", *shared]  # fmt: skip
    if args.train:
        return [sys.executable, str(TRAIN), "--engine", contestant, "--model", args.model, "--threads",
                str(args.threads), *shared]  # fmt: skip
    onnx = ["--onnx", str(exported(args))] if contestant == "onnxruntime" else []
    return [sys.executable, str(FORWARD), "--engine", contestant, "--model", args.model, "--threads", str(args.threads),
            *onnx, *shared]  # fmt: skip


def is_half(contestant: str) -> bool:
    return contestant.endswith("bf16")


def measure(arguments: list[str], threads: int) -> tuple[float, int]:
    """img/s and peak resident bytes of one process on `threads` cores."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed with status {process.returncode}")
    result = json.loads(output)
    row = result["rows"][0] if "rows" in result else result
    return row.get("train_img_per_sec") or row["infer_img_per_sec"], usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="target/release/tresnet")
    parser.add_argument("--model", default="tresnet_m")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--train", action="store_true", help="time training steps")
    parser.add_argument("--batches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64, help="timed per process, at least five batches")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contestants")
    parser.add_argument("--onnx-dir", type=Path, default=Path("target/onnx"))
    args = parser.parse_args()
    batches = args.batches or ("16" if args.train else "1,8,32")
    usual = "tresnet,eager,eager-channels-last" if args.train else "tresnet,onnxruntime,eager"
    contestants = (args.contestants or usual).split(",")
    if unknown := set(contestants) - set(CONTESTANTS):
        parser.error(f"--contestants: {', '.join(sorted(unknown))} is none of {', '.join(CONTESTANTS)}")

    what = "training step" if args.train else "forward pass"
    print(f"{args.model} at {args.input_size}, {what}, f32 where nothing else is said, {args.threads} threads, {args.rounds} rounds")
    print(f"{'batch':>5}  {'contestant':<20}{'img/s':>8}  {'least..most':<15}{'to best peer':>13}{'peak MiB':>10}")
    for batch in map(int, batches.split(",")):
        measured = {name: [] for name in contestants}
        for _ in range(args.rounds):
            for name in contestants:
                measured[name].append(measure(command(name, batch, args), args.threads))
        rates = {name: [rate for rate, _ in runs] for name, runs in measured.items()}
        medians = {name: statistics.median(of) for name, of in rates.items()}
        for name, runs in measured.items():
            middle, spread = medians[name], f"{min(rates[name]):.1f}..{max(rates[name]):.1f}"
            peers = [of for peer, of in medians.items() if not peer.startswith("tresnet") and is_half(peer) == is_half(name)]
            ratio = f"{middle / max(peers):.2f}" if peers else "-"
            peak = max(memory for _, memory in runs) / 2**20
            print(f"{batch:>5}  {name:<20}{middle:>8.1f}  {spread:<15}{ratio:>13}{peak:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
