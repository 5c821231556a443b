"""Times one peer's forward pass of one network on the CPU and prints one JSON object.

    python scripts/peers/forward.py --model tresnet_m --export target/tresnet_m.onnx
    python scripts/peers/forward.py --model tresnet_m --batch-size 8 --engine onnxruntime --onnx target/tresnet_m.onnx
    python scripts/peers/forward.py --model tresnet_m --batch-size 8 --engine eager

Engines: `onnxruntime`, `eager` and `eager-channels-last` (PyTorch), `compiled` (PyTorch, channels last, frozen), all in
f32; `eager-bf16` and `compiled-bf16`, channels last with weights and images in bf16, the latter frozen. The ONNX file is
exported by a process of its own, so that a measurement's memory is the engine's alone. Weights come from the fixtures'
formula: at timm's initial values every residual branch is zero.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[1] / "fixtures"


def reference_model(name: str):
    import timm

    sys.path.insert(0, str(FIXTURES))
    from formula import fill

    return fill(timm.create_model(name))


def export(name: str, size: int, path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    batch = torch.export.Dim("batch", min=1, max=4096)
    torch.onnx.export(
        reference_model(name),
        (torch.rand(2, 3, size, size),),
        path,
        dynamo=True,
        dynamic_shapes=({0: batch},),
        external_data=False,
        verbose=False,
    )


def onnxruntime_step(args: argparse.Namespace, images: np.ndarray) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.onnx, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, feed)


def torch_step(args: argparse.Namespace, images: np.ndarray) -> Callable[[], object]:
    import torch

    torch.set_num_threads(args.threads)
    model, batch = reference_model(args.model), torch.from_numpy(images)
    if args.engine != "eager":
        model = model.to(memory_format=torch.channels_last)
        batch = batch.to(memory_format=torch.channels_last)
    if args.engine.endswith("bf16"):
        model, batch = model.to(torch.bfloat16), batch.to(torch.bfloat16)
    if args.engine.startswith("compiled"):
        import torch._inductor.config

        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def step() -> object:
        with torch.no_grad():
            return model(batch)

    return step


def main() -> None:
    parser = argparse.ArgumentParser()
    engines = ["onnxruntime", "eager", "eager-channels-last", "compiled", "eager-bf16", "compiled-bf16"]
    parser.add_argument("--engine", choices=engines, default="eager")
    parser.add_argument("--model", default="tresnet_m")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--iters", type=int, default=10)
    parser.add_argument("--onnx", type=Path, help="the exported file that onnxruntime runs")
    parser.add_argument("--export", type=Path, help="write this ONNX file and measure nothing")
    args = parser.parse_args()
    if args.engine == "onnxruntime" and args.onnx is None:
        parser.error("--engine onnxruntime needs --onnx FILE, written before by --export FILE")
    if args.export:
        return export(args.model, args.input_size, args.export)

    shape = (args.batch_size, 3, args.input_size, args.input_size)
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    step = (onnxruntime_step if args.engine == "onnxruntime" else torch_step)(args, images)
    rates = []
    for iteration in range(args.warmup + args.iters):
        start = time.perf_counter()
        step()
        if iteration >= args.warmup:
            rates.append(args.batch_size / (time.perf_counter() - start))
    median = statistics.median(rates)
    print(json.dumps({"engine": args.engine, "infer_img_per_sec": median, "infer_batch": args.batch_size}))


if __name__ == "__main__":
    main()
