"""Reads the event files of a training run with TensorBoard's own reader and says what is in them.

    python scripts/checks/event-files.py RUN_FOLDER [--scalars TAG ...] [--images TAG ...]

Fails where TensorBoard drops a record (it checks both checksums of each), where a tag that was asked for is missing, where
steps do not rise (steps that a resumed run repeated must have been taken back), or where an image is no PNG of the size
that its event says.

Run with tensorboard 2.21.0, Pillow 12.3.0, Python 3.11.
"""

import argparse
import io
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, SCALARS, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event


def check_records(path: Path) -> int:
    """Every byte of the file belongs to a record that TensorBoard reads; the first one is the version."""
    records = list(RawEventFileLoader(str(path)).Load())
    # Length, two checksums, data.
    read = sum(len(record) + 16 for record in records)
    assert read == path.stat().st_size, f"{path}: TensorBoard read {read} of {path.stat().st_size} bytes"
    events = [Event.FromString(record) for record in records]
    assert events[0].file_version == "brain.Event:2", events[0]
    return len(events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scalars", nargs="*", default=[])
    parser.add_argument("--images", nargs="*", default=[])
    args = parser.parse_args()
    for path in sorted(args.folder.glob("*tfevents*")):
        print(f"{path.name}: {check_records(path)} records")
    events = EventAccumulator(str(args.folder), size_guidance={SCALARS: 0, IMAGES: 0}).Reload()
    missing = set(args.scalars) - set(events.Tags()["scalars"]) | set(args.images) - set(events.Tags()["images"])
    assert not missing, f"TensorBoard found no {sorted(missing)} in {events.Tags()}"
    for tag in events.Tags()["scalars"]:
        scalars = events.Scalars(tag)
        steps = [scalar.step for scalar in scalars]
        assert all(a < b for a, b in zip(steps, steps[1:])), f"{tag}: steps {steps}"
        print(f"{tag}: {len(steps)} steps, {steps[0]} to {steps[-1]}, {scalars[0].value:g} to {scalars[-1].value:g}")
    for tag in events.Tags()["images"]:
        for image in events.Images(tag):
            picture = Image.open(io.BytesIO(image.encoded_image_string))
            picture.load()
            found = (picture.format, picture.size)
            assert found == ("PNG", (image.width, image.height)), f"{tag}: {found} for {image.width} x {image.height}"
        print(f"{tag}: {len(events.Images(tag))} images of {image.width} x {image.height}, the last at step {image.step}")


if __name__ == "__main__":
    main()
