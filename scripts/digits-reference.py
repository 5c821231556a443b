"""Evaluates samples/resnet20-digits.safetensors with PyTorch on samples/digits-val.tar.

The weights are those of `scripts/train-demo.sh`: `tresnet train samples -c configs/digits.yaml`, model_best. They load
into torch-resnet's ResNet20 unchanged. Writes samples/resnet20-digits.pth (the same weights as torch.save writes them),
resnet20-digits.json (PyTorch's own evaluation) and resnet20-digits.csv (its answer for every validation image, in the
data set's order). Preprocessing is the one that torch-resnet documents for CIFAR-10 (its example/example.py).

    python scripts/digits-reference.py

Run with torch 2.15.0, torchvision 0.29.2, torch-resnet 0.0.4, safetensors 0.8.0, Pillow 13.0.0.
"""

import csv
import io
import json
import tarfile
from pathlib import Path

import torch
import torch_resnet
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from torchvision.transforms.functional import to_tensor

SAMPLES = Path(__file__).parents[1] / "samples"
CLASSES = 10
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def load(archive: str) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names, images in [0, 1] as f32 [n, 3, 32, 32], labels."""
    with tarfile.open(SAMPLES / archive) as tar:
        names = sorted(tar.getnames())
        files = [io.BytesIO(tar.extractfile(name).read()) for name in names]
    images = torch.stack([to_tensor(Image.open(file).convert("RGB")) for file in files])
    return names, images, torch.tensor([int(name.split("/")[0]) for name in names])


def normalize(images: torch.Tensor) -> torch.Tensor:
    return (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def evaluate(model: torch.nn.Module) -> None:
    names, images, labels = load("digits-val.tar")
    with torch.inference_mode():
        logits = model(normalize(images))
    order = logits.argsort(dim=1, descending=True)
    ranked = logits.gather(1, order)
    hits = order == labels[:, None]
    count, correct1, correct5 = len(names), int(hits[:, 0].sum()), int(hits[:, :5].any(dim=1).sum())
    result = {
        "model": "resnet20",
        "images": count,
        "correct1": correct1,
        "correct5": correct5,
        "top1": round(100 * correct1 / count, 4),
        "top5": round(100 * correct5 / count, 4),
        "loss": cross_entropy(logits.double(), labels).item(),
        "input_size": 32,
        "crop_pct": 1.0,
        "mean": MEAN,
        "std": STD,
        "smallest_logit_gap": (ranked[:, 0] - ranked[:, 1]).min().item(),
        "torch": torch.__version__.split("+")[0],
    }
    (SAMPLES / "resnet20-digits.json").write_text(json.dumps(result, indent=2) + "\n")
    with open(SAMPLES / "resnet20-digits.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["path", "label", "top1", "score1"])
        scores = logits.softmax(dim=1).amax(dim=1)
        for name, label, top1, score in zip(names, labels.tolist(), order[:, 0].tolist(), scores.tolist()):
            rows.writerow([name, label, top1, f"{score:.6f}"])
    print(json.dumps(result, indent=2))


def main() -> None:
    model = torch_resnet.ResNet20()
    model.set_head(torch.nn.Linear(model.out_planes, CLASSES))
    model.load_state_dict(load_file(SAMPLES / "resnet20-digits.safetensors"))
    torch.save(model.state_dict(), SAMPLES / "resnet20-digits.pth")
    evaluate(model.eval())


if __name__ == "__main__":
    main()
