"""Loading and preprocessing, beside torchvision's ImageFolder and DataLoader on the same files, in turn.

scripts/bench-loading.sh runs it. Needs torch, torchvision, Pillow and numpy.
"""

import argparse
import os
import resource
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


def processor_seconds():
    """Of this process and of those it has waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def timed(load):
    """Images a second, and processor milliseconds an image, which neighbours on the machine disturb less."""
    wall, processor = time.perf_counter(), processor_seconds()
    images = load()
    return images / (time.perf_counter() - wall), (processor_seconds() - processor) / images * 1000


def theirs(folder, workers, processes):
    """torchvision's loader, in this process or in worker processes."""
    transform = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()]
    )
    data = torchvision.datasets.ImageFolder(folder, transform)
    loader = torch.utils.data.DataLoader(data, batch_size=50, num_workers=workers if processes else 0)
    return timed(lambda: sum(len(labels) for _, labels in loader))


def ours(program, folder, workers, images, *flags):
    """Our loader as a process, its start and the listing of the folder included."""
    # What the loader's caller computes has one thread, as theirs has.
    environment = os.environ | {"RAYON_NUM_THREADS": "1"}

    def load():
        command = [program, folder, str(workers), "1", *flags]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return images

    return timed(load)


def spread(values, digits=0):
    median, low, high = (f"{v:.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return f"{median:>7} ({low} to {high}, n = {len(values)})"


def compare(workers, repeats, contenders):
    """Runs the contenders in turn, so that whatever else the machine does meets all of them; the first is ours."""
    rows = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            rows[name].append(run())
    own = next(iter(rows.values()))
    print(f"\n{workers} {'thread or worker' if workers == 1 else 'threads or workers'}")
    for name, runs in rows.items():
        speeds, costs = zip(*runs)
        print(f"  {name:22} img/s {spread(speeds)}; processor ms an image {spread(costs, 2)}")
        if runs is not own:
            faster = [ours[0] / theirs[0] for ours, theirs in zip(own, runs)]
            cheaper = [theirs[1] / ours[1] for ours, theirs in zip(own, runs)]
            print(f"    ours is faster by    {spread(faster, 2)}; cheaper by {spread(cheaper, 2)}")


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("program", help="the built bench")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    make_images(args.folder, args.images)
    torch.set_num_threads(1)
    args.files = list(args.folder.rglob("*.jpg"))
    mean = statistics.mean(path.stat().st_size for path in args.files)
    print(f"{len(args.files)} JPEGs, mean {mean / 1000:.0f} KB; Pillow {PIL.__version__}, torch {torch.__version__}")
    return args


def main():
    args = arguments(__doc__)
    print(f"torchvision {torchvision.__version__}")
    for workers in (1, 2):
        contenders = {
            "tresnet": lambda: ours(args.program, args.folder, workers, len(args.files)),
            "torchvision, workers": lambda: theirs(args.folder, workers, processes=True),
        }
        if workers == 1:
            contenders["torchvision"] = lambda: theirs(args.folder, workers, processes=False)
        compare(workers, args.repeats, contenders)


if __name__ == "__main__":
    main()
