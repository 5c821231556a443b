"""Writes samples/digits-train.tar and digits-val.tar: scikit-learn's handwritten digits as PNGs in class folders.

The 8x8 images hold values of 0 to 16. They are scaled to 0..255 and every pixel becomes a 4x4 square, so that the 32x32
PNG (8-bit gray) holds exactly the original's information. Within each class every fifth image, beginning with the
first, goes to the validation part: 1,433 and 364 images. Names are the image's number in scikit-learn's order.

    python scripts/make-digits.py

Run with scikit-learn 1.9.1, Pillow 13.0.0, numpy 2.4.6. The archives come out the same to the byte each time.
"""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SAMPLES = Path(__file__).parents[1] / "samples"


def png(values: np.ndarray) -> bytes:
    """The PNG of one 8x8 image of values 0..16."""
    gray = ((values.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(gray.repeat(4, axis=0).repeat(4, axis=1)).save(file, "PNG", optimize=True)
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    """Sorted names and no times, owners or machine in the headers; ends with the two empty blocks, no more padding."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
        end = tar.offset + 2 * tarfile.BLOCKSIZE
    os.truncate(path, end)


def main() -> None:
    digits = load_digits()
    parts: dict[str, dict[str, bytes]] = {"train": {}, "val": {}}
    seen = [0] * 10
    for number, (image, label) in enumerate(zip(digits.images, digits.target)):
        part = "val" if seen[label] % 5 == 0 else "train"
        seen[label] += 1
        parts[part][f"{label}/{number:04}.png"] = png(image)
    for part, files in parts.items():
        path = SAMPLES / f"digits-{part}.tar"
        write_tar(path, files)
        print(f"{path.name}: {len(files)} images, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
