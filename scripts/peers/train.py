"""Times one training step of timm's network in PyTorch on the CPU and prints one JSON object.

    python scripts/peers/train.py --model tresnet_m --batch-size 16 --engine eager

Forward, cross-entropy, backward, SGD with Nesterov's momentum, on fixed random pixels and labels. Engines: `eager` and
`eager-channels-last`, f32; `eager-bf16`, channels last under autocast; `compiled`, channels last, f32.
"""

import argparse
import json
import statistics
import time

import timm
import torch
from torch.nn.functional import cross_entropy

LEARNING_RATE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser()
    engines = ["eager", "eager-channels-last", "eager-bf16", "compiled"]
    parser.add_argument("--engine", choices=engines, default="eager")
    parser.add_argument("--model", default="tresnet_m")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--iters", type=int, default=5)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = timm.create_model(args.model).train()
    images = torch.rand(args.batch_size, 3, args.input_size, args.input_size)
    if args.engine != "eager":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, model.num_classes, (args.batch_size,))
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    forward = torch.compile(model) if args.engine == "compiled" else model
    rates = []
    for iteration in range(args.warmup + args.iters):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.engine == "eager-bf16"):
            loss = cross_entropy(forward(images).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if iteration >= args.warmup:
            rates.append(args.batch_size / (time.perf_counter() - start))
    print(json.dumps({"engine": args.engine, "train_img_per_sec": statistics.median(rates)}))


if __name__ == "__main__":
    main()
