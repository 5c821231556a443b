"""Loading training batches by TResNet's recipe, beside timm's create_loader with the same settings on the same files.

scripts/bench-training-loading.sh runs it. Needs timm, torch, torchvision, Pillow and numpy. Either side ends with
f32 batches: cropped, flipped, changed by `rand-m9-mstd0.5-inc1`, mixed (0.2), normalised and erased (0.4, pixel).
"""

import importlib
import warnings

import timm
import torch
from PIL import ImageOps
from timm.data import FastCollateMixup, create_dataset, create_loader

loading = importlib.import_module("bench-loading")

BATCH = 50
CLASSES = 10


def theirs(folder, workers):
    """timm's loader as its training script makes it: mixup in the workers, the rest of the batch's work here."""
    data = create_dataset("", root=folder, split="train", search_split=False)
    loader = create_loader(
        data,
        input_size=(3, 224, 224),
        batch_size=BATCH,
        is_training=True,
        re_prob=0.4,
        re_mode="pixel",
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="random",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        num_workers=workers,
        collate_fn=FastCollateMixup(mixup_alpha=0.2, num_classes=CLASSES),
        device=torch.device("cpu"),
        # So that their time is known once the pass has ended.
        persistent_workers=False,
    )
    return loading.timed(lambda: sum(len(targets) for _, targets in loader))


def let_posterize_pass():
    """Pillow 13 refuses the 0 bits that timm asks for at full magnitude; one bit takes as long."""
    posterize = ImageOps.posterize
    ImageOps.posterize = lambda image, bits: posterize(image, max(bits, 1))


def main():
    let_posterize_pass()
    # Those of lr_scheduler and pin_memory do not concern what is timed.
    warnings.filterwarnings("ignore")
    args = loading.arguments(__doc__)
    print(f"timm {timm.__version__}")
    for workers in (1, 2):
        contenders = {
            "tresnet": lambda: loading.ours(args.program, args.folder, workers, len(args.files), "--training"),
            "timm": lambda: theirs(args.folder, workers),
        }
        loading.compare(workers, args.repeats, contenders)


if __name__ == "__main__":
    main()
