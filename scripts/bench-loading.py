"""Loading and preprocessing, beside torchvision's ImageFolder and DataLoader on the same files, in turn.

scripts/bench-loading.sh runs it. Needs torch, torchvision, Pillow and numpy.
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms

# Widths and heights like ImageNet's validation images: mostly 500 x 375 one way or the other, mean 500 x 375 or so.
SIZES = [(500, 375)] * 5 + [(500, 333)] * 2 + [(375, 500)] * 2 + [(640, 480), (500, 400), (400, 300)]


def make_images(folder, count):
    """JPEGs whose bytes a pixel are those of ImageNet's (about 110 KB at 500 x 375): noise of several octaves."""
    noise = np.random.default_rng(0)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        path = folder / f"class{number % 10}" / f"{number:04}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        total = np.zeros((height, width, 3))
        for cell, strength in ((128, 70), (32, 40), (8, 25), (2, 20), (1, 34)):
            shape = (height // cell + 2, width // cell + 2, 3)
            coarse = Image.fromarray(noise.integers(0, 256, shape, dtype=np.uint8))
            fine = coarse.resize((width, height), Image.Resampling.BICUBIC)
            total += (np.asarray(fine, dtype=np.float64) - 128) / 128 * strength
        # Neighbouring channels of a photograph are alike.
        total = 0.7 * total.mean(-1, keepdims=True) + 0.3 * total + 128
        Image.fromarray(np.clip(total, 0, 255).astype(np.uint8)).save(path, quality=95)


def theirs(folder, workers, processes):
    """Images a second of torchvision: in this process, or in worker processes that are already running."""
    transform = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()]
    )
    data = torchvision.datasets.ImageFolder(folder, transform)
    loader = torch.utils.data.DataLoader(data, batch_size=50, num_workers=workers if processes else 0)
    begun = time.perf_counter()
    images = sum(len(labels) for _, labels in loader)
    return images / (time.perf_counter() - begun)


def ours(program, folder, workers):
    out = subprocess.run([program, folder, str(workers), "1"], check=True, capture_output=True, text=True).stdout
    return float(out)


def spread(values):
    return f"{statistics.median(values):7.0f} ({min(values):.0f} to {max(values):.0f}, n = {len(values)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the built bench")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    make_images(args.folder, args.images)
    torch.set_num_threads(1)
    files = [path for path in args.folder.rglob("*.jpg")]
    mean = statistics.mean(path.stat().st_size for path in files)
    print(f"{len(files)} JPEGs, mean {mean / 1000:.0f} KB; Pillow {PIL.__version__}, torchvision {torchvision.__version__}")

    for workers in (1, 2):
        rows = {"torchvision": [], "torchvision, worker processes": [], "tresnet": []}
        for _ in range(args.repeats):
            # In turn, so that whatever else the machine does meets all of them.
            if workers == 1:
                rows["torchvision"].append(theirs(args.folder, workers, processes=False))
            rows["torchvision, worker processes"].append(theirs(args.folder, workers, processes=True))
            rows["tresnet"].append(ours(args.program, args.folder, workers))
        print(f"\n{workers} {'thread' if workers == 1 else 'threads'}, images a second:")
        for name, values in rows.items():
            if values:
                print(f"  {name:30} {spread(values)}")
        for name, values in rows.items():
            if values and name != "tresnet":
                ratios = [a / b for a, b in zip(rows["tresnet"], values)]
                low, high = min(ratios), max(ratios)
                print(f"  ratio to {name:21} {statistics.median(ratios):7.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
