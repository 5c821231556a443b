"""What lies around the network in `tresnet infer`: overlap, start, listing, memory. scripts/bench-infer.sh runs it.

Needs torch, torchvision, timm, Pillow and numpy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

# Networks from one that is as quick as its loading to one that is much slower.
OVERLAPS = [("resnet20", 32), ("resnet20", 64), ("tresnet_m", 224)]
CLASSES, FILES = 1000, 50

# What the peers do they do in processes of their own: a program's peak memory counts that of the process that starts it.
IMAGES = """
import pathlib, runpy, sys
runpy.run_path("scripts/bench-loading.py")["make_images"](pathlib.Path(sys.argv[1]), 1000)
"""
WEIGHTS = """
import sys, timm, torch
torch.save(timm.create_model("tresnet_m").state_dict(), sys.argv[1])
"""
LISTING = """
import sys, time
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset
started = time.perf_counter()
samples = make_dataset(sys.argv[1], find_classes(sys.argv[1])[1], IMG_EXTENSIONS)
print(time.perf_counter() - started, len(samples))
"""


def peer(code, *arguments):
    return subprocess.check_output([sys.executable, "-c", code, *map(str, arguments)], text=True)


def spread(values, form="{:.2f}"):
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high}, n={len(values)})"


def overlap(program, folder, rounds):
    """Images a second of all together, as a share of what the cores allow when each is alone on them by turns."""
    print("loading and computing together, as a share of 1 / (1 / loading + 1 / computing):")
    for model, size in OVERLAPS:
        command = [program, "bench", "--quiet", f"--models={model}", f"--input-size={size}", "--modes=infer,load,e2e"]
        command += [f"--val-dir={folder}", "--batch-size=32", "--iters=9" if size < 224 else "--iters=3", "--format=json"]
        ratios, speeds = [], []
        # Many short rounds where they can be short: each compares what the machine was like at one time.
        for _ in range(rounds * (4 if size < 224 else 1)):
            row = json.loads(subprocess.check_output(command))["rows"][0]
            computing, loading, both = (row[f"{mode}_img_per_sec"] for mode in ("infer", "load", "e2e"))
            ratios.append(both / (1 / (1 / loading + 1 / computing)))
            speeds.append(both)
        print(f"  {model} at {size}: {spread(ratios)}; img/s {spread(speeds, '{:.0f}')}")


def events(command):
    """Seconds from the start to each line that the program says."""
    started = time.perf_counter()
    environment = {**os.environ, "RUST_LOG": "tresnet=trace"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = [(time.perf_counter() - started, line) for line in child.stderr]
    child.wait()
    return said


def moment(said, words):
    return next(at for at, line in said if words in line)


def infer(program, folder, checkpoint, *more):
    return [program, "infer", f"--val-dir={folder}", f"--model-path={checkpoint}", "--model-name=tresnet_m", *more]


def start(program, folder, checkpoint, rounds):
    """What the first batch of 32 waits for, with and without reading and laying out 126 MB of weights."""
    beside, whole = [], []
    for _ in range(rounds):
        said = events(infer(program, folder, checkpoint, "--limit=32", "--batch-size=32"))
        listed, ready, loaded = (moment(said, words) for words in ("images of", "laid out", "loaded:"))
        beside.append(listed + loaded - ready)
        whole.append(loaded)
    print(f"tresnet_m, from the start to the first batch of 32: {spread(whole)} s, beside its weights {spread(beside)} s")


def listing(program, checkpoint, rounds):
    """A folder of 50,000 files in 1,000 folders, in turn with torchvision; ours from the start of the process."""
    folder = Path("target/bench-listing")
    for number in range(CLASSES):
        place = folder / f"n{number:08}"
        if not place.exists():
            place.mkdir(parents=True)
            for file in range(FILES):
                (place / f"ILSVRC2012_val_{FILES * number + file:08}.JPEG").touch()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(moment(events(infer(program, folder, checkpoint, "--limit=1")), "50000 images of 1000 classes"))
        seconds, files = peer(LISTING, folder).split()
        theirs.append(float(seconds))
        assert int(files) == CLASSES * FILES, files
    print(f"50,000 files in 1,000 folders: {spread(ours, '{:.3f}')} s, start of the process included; ", end="")
    print(f"torchvision {spread(theirs, '{:.3f}')} s")


def memory(program, folder, checkpoint):
    """Peak resident memory of an evaluation of 64 images in batches of 32."""
    command = infer(program, folder, checkpoint, "--limit=64", "--batch-size=32", "--quiet")
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    print(f"tresnet_m, batch 32: at most {usage.ru_maxrss / 1024:.0f} MiB resident")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    peer(IMAGES, args.folder)
    checkpoint = Path("target/bench-infer-tresnet_m.pth")
    if not checkpoint.exists():
        peer(WEIGHTS, checkpoint)
    listing(args.program, checkpoint, args.rounds)
    start(args.program, args.folder, checkpoint, args.rounds)
    memory(args.program, args.folder, checkpoint)
    overlap(args.program, args.folder, args.rounds)


if __name__ == "__main__":
    main()
