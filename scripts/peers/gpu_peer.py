"""Times timm's network in PyTorch on a GPU, one engine, and prints one JSON object.

    python scripts/peers/gpu_peer.py --model tresnet_m --engine compiled-half --batch-size 256 [--train]

An engine is `eager` or `compiled` (torch.compile, max-autotune), then `half` (weights and images in f16) or `autocast`,
then, for eager, perhaps `channels-last`; compiled networks are always channels last. cuDNN chooses its algorithms by
timing. Each iteration is timed by events on the device.
"""

import argparse
import json
import statistics

import timm
import torch
from torch.nn.functional import cross_entropy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="tresnet_m")
    parser.add_argument("--engine", default="compiled-half")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--iters", type=int, default=30)
    parser.add_argument("--train", action="store_true")
    args = parser.parse_args()

    words = args.engine.split("-")
    compiled, autocast = "compiled" in words, "autocast" in words
    torch.backends.cudnn.benchmark = True
    model = timm.create_model(args.model).cuda().train(args.train)
    images = torch.rand(args.batch_size, 3, args.input_size, args.input_size, device="cuda")
    if compiled or "channels" in words:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if not autocast:
        model, images = model.half(), images.half()
    labels = torch.randint(0, model.num_classes, (args.batch_size,), device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scaler = torch.amp.GradScaler("cuda")
    forward = torch.compile(model, mode="max-autotune") if compiled else model

    def infer() -> None:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=autocast):
            forward(images)

    def train() -> None:
        with torch.autocast("cuda", torch.float16, enabled=autocast):
            loss = cross_entropy(forward(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    step = train if args.train else infer
    rates = []
    for iteration in range(args.warmup + args.iters):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        step()
        end.record()
        torch.cuda.synchronize()
        if iteration >= args.warmup:
            rates.append(args.batch_size / (begin.elapsed_time(end) / 1e3))
    figures = {"img_per_sec": statistics.median(rates), "img_per_sec_min": min(rates), "img_per_sec_max": max(rates)}
    print(json.dumps({"engine": args.engine, **figures, "peak_memory_bytes": torch.cuda.max_memory_allocated()}))


if __name__ == "__main__":
    main()
