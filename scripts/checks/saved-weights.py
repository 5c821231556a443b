"""Loads weights that a training run has saved into the PyTorch networks that they are named after.

    python scripts/checks/saved-weights.py FILE.safetensors ...

The file's metadata names the model and its classes. `load_state_dict(strict=True)` takes what
`safetensors.torch.load_file` reads, unchanged; timm's own `checkpoint_path` takes the file as well; and every value is
finite. The checksum is taken again, independently: CRC-32 of the whole file with its own eight digits as zeros.

Run with torch 2.15.0, timm 1.0.31, torch-resnet 0.0.4, safetensors 0.8.0, Python 3.11.
"""

import re
import sys
import zlib

import timm
import torch
import torch_resnet
from safetensors import safe_open
from safetensors.torch import load_file


def check_sum(path: str) -> str:
    data = open(path, "rb").read()
    stated = re.search(rb'"tresnet\.crc32":"([0-9a-f]{8})"', data)
    start, end = stated.span(1)
    found = zlib.crc32(data[:start] + b"0" * 8 + data[end:])
    assert found == int(stated[1], 16), f"{path}: checksum {found:08x}, stated {stated[1].decode()}"
    return f"{found:08x}"


def check(path: str) -> None:
    with safe_open(path, framework="pt") as file:
        notes = file.metadata()
    model, classes = notes["model"], int(notes["num_classes"])
    if model.startswith("tresnet"):
        network = timm.create_model(model, num_classes=classes, checkpoint_path=path)
        before = network.state_dict()
    else:
        network = getattr(torch_resnet, model.replace("resnet", "ResNet"))()
        network.set_head(torch.nn.Linear(network.out_planes, classes))
        before = None
    tensors = load_file(path)
    print(f"{path}: {network.load_state_dict(tensors, strict=True)}, {len(tensors)} tensors, crc32 {check_sum(path)}, {notes}")
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == tensors[name].dtype and torch.isfinite(tensor).all(), name
        assert torch.equal(tensor, tensors[name]), name
        assert before is None or torch.equal(before[name], tensors[name]), f"timm reads another {name}"
    size = 32 if before is None else 224
    with torch.no_grad():
        assert torch.isfinite(network.eval()(torch.zeros(1, 3, size, size))).all()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(name)
