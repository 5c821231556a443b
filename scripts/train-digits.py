"""Trains torch-resnet's ResNet20 on samples/digits-train.tar and evaluates it on samples/digits-val.tar.

Writes samples/resnet20-digits.pth (the bare state dict, as torch.save writes it), resnet20-digits.json (PyTorch's own
evaluation) and resnet20-digits.csv (its answer for every validation image, in the data set's order).

Preprocessing is the one that torch-resnet documents for CIFAR-10 (its example/example.py). Training moves and turns the
digits a little; digits are not mirrored. One-cycle SGD: 40 epochs in about two minutes on two cores.

    python scripts/train-digits.py

Run with torch 2.15.0, torchvision 0.29.2, torch-resnet 0.0.4, Pillow 13.0.0. The seed is fixed; another machine's
rounding still leads to other weights of the same quality.
"""

import csv
import io
import json
import tarfile
from pathlib import Path

import torch
import torch_resnet
from PIL import Image
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torchvision.transforms.functional import to_tensor

SAMPLES = Path(__file__).parents[1] / "samples"
CLASSES = 10
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
EPOCHS, BATCH, PEAK_RATE = 40, 64, 0.1


def load(archive: str) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names, images in [0, 1] as f32 [n, 3, 32, 32], labels."""
    with tarfile.open(SAMPLES / archive) as tar:
        names = sorted(tar.getnames())
        files = [io.BytesIO(tar.extractfile(name).read()) for name in names]
    images = torch.stack([to_tensor(Image.open(file).convert("RGB")) for file in files])
    return names, images, torch.tensor([int(name.split("/")[0]) for name in names])


def normalize(images: torch.Tensor) -> torch.Tensor:
    return (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def moved(images: torch.Tensor) -> torch.Tensor:
    """Shifts by up to 4 pixels, turns by up to 10 degrees, scales by up to 10%; black comes in from outside."""

    def uniform(limit: float) -> torch.Tensor:
        return (torch.rand(len(images)) * 2 - 1) * limit

    angle, scale = torch.deg2rad(uniform(10)), 1 + uniform(0.1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [torch.stack([cos, -sin, uniform(4 / 16)], 1), torch.stack([sin, cos, uniform(4 / 16)], 1)]
    grid = affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def train(images: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    model = torch_resnet.ResNet20()
    model.set_head(torch.nn.Linear(model.out_planes, CLASSES))
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(images))[: len(images) // BATCH * BATCH].view(-1, BATCH):
            loss = cross_entropy(model(normalize(moved(images[batch]))), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / (len(images) // BATCH):.4f}", flush=True)
    return model.eval()


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
    torch.manual_seed(0)
    _, images, labels = load("digits-train.tar")
    model = train(images, labels)
    torch.save(model.state_dict(), SAMPLES / "resnet20-digits.pth")
    evaluate(model)


if __name__ == "__main__":
    main()
