"""Times timm's network in PyTorch on a GPU, one engine, and prints one JSON object.

    python scripts/peers/gpu_peer.py --model tresnet_m --engine compiled-half --batch-size 256 [--train]

An engine is `eager`, `compiled` (torch.compile, max-autotune) or, for inference, `compiled-frozen` (batch norms folded into
weights that are constants), then `half` (weights and images in f16) or `autocast`, then, for eager, perhaps
`channels-last`; compiled networks are always channels last. cuDNN chooses its algorithms by timing. Each iteration is timed by events on the device; the next one is submitted meanwhile, but where a batch is a
single image, whose time is a latency.

With `--batch-size max` the largest batch that fits is looked for, by doubling and bisection, and 90 % of it are timed.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

# Without it what is free lies scattered after a few batches of different sizes. Where there is one size, PyTorch's own
# choice stands.
if "max" in sys.argv:
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import timm  # noqa: E402
import torch  # noqa: E402
import torch._inductor.config  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

# Batches at most: beyond what any GPU holds.
MOST = 1 << 16


class Peer:
    """A network with what trains it."""

    def __init__(self, args: argparse.Namespace) -> None:
        words = args.engine.split("-")
        compiled, self.autocast = "compiled" in words, "autocast" in words
        self.channels_last = compiled or "channels" in words
        self.side, self.train = args.input_size, args.train
        # Why the last batch that did not run did not.
        self.refusal = None
        self.model = timm.create_model(args.model).cuda().train(args.train)
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        if not self.autocast:
            self.model = self.model.half()
        # Fused it is one kernel, and the host does not wait for whether gradients are finite.
        rule = {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "fused": True}
        self.optimizer = torch.optim.SGD(self.model.parameters(), **rule)
        self.scaler = torch.amp.GradScaler("cuda")
        if "frozen" in words:
            torch._inductor.config.freezing = True
        self.forward = torch.compile(self.model, mode="max-autotune") if compiled else self.model

    def step(self, batch: int) -> Callable[[], None]:
        """What is timed, for a batch of so many images."""
        images = torch.rand(batch, 3, self.side, self.side, device="cuda")
        if self.channels_last:
            images = images.to(memory_format=torch.channels_last)
        if not self.autocast:
            images = images.half()
        labels = torch.randint(0, self.model.num_classes, (batch,), device="cuda")

        def infer() -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self.autocast):
                self.forward(images)

        def train() -> None:
            with torch.autocast("cuda", torch.float16, enabled=self.autocast):
                loss = cross_entropy(self.forward(images), labels)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()

        return train if self.train else infer

    def runs(self, batch: int) -> bool:
        """Whether two steps of a batch fit: the optimiser's buffers come with the first."""
        try:
            step = self.step(batch)
            step()
            step()
            torch.cuda.synchronize()
            return True
        except RuntimeError as error:
            # Mostly that memory is out, or that a map has more values than a kernel counts.
            self.refusal = str(error).partition("\n")[0]
            return False
        finally:
            step = None
            self.optimizer.zero_grad()
            gc.collect()
            torch.cuda.empty_cache()


def largest(runs: Callable[[int], bool], first: int, seconds: float) -> tuple[int, bool]:
    """The largest batch that runs, at worst 1 in 50 too small, and whether the time sufficed to know: by doubling, then by
    bisection. 0: not even one image."""
    end = time.monotonic() + seconds
    fits, fails = 0, None
    batch = first
    while batch > fits:
        if time.monotonic() > end:
            return fits, False
        if runs(batch):
            fits = batch
        else:
            fails = batch
        if fails is None:
            batch = min(2 * fits, MOST)
        elif fails - fits <= max(1, fits // 50):
            break
        else:
            batch = (fits + fails) // 2
    return fits, True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="tresnet_m")
    parser.add_argument("--engine", default="compiled-half")
    parser.add_argument("--batch-size", default="256", help="images, or max")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--iters", type=int, default=30)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--search-seconds", type=float, default=60, help="for max, at most")
    args = parser.parse_args()

    peer = Peer(args)
    found = {}
    if args.batch_size == "max":
        # The search is for what fits: cuDNN's own choice of algorithms is quicker to get, and takes no more memory.
        torch.backends.cudnn.benchmark = False
        most, complete = largest(peer.runs, 64, args.search_seconds)
        found = {"largest_batch": most, "search_complete": complete, "beyond_it": peer.refusal}
        batch = most * 9 // 10
    else:
        batch = int(args.batch_size)
    torch.backends.cudnn.benchmark = True
    torch.cuda.reset_peak_memory_stats()
    step = peer.step(batch)
    spans = []
    for _ in range(args.warmup + args.iters):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        step()
        end.record()
        spans.append((begin, end))
        if batch == 1:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    rates = [batch / (begin.elapsed_time(end) / 1e3) for begin, end in spans[args.warmup :]]
    figures = {"img_per_sec": statistics.median(rates), "img_per_sec_min": min(rates), "img_per_sec_max": max(rates)}
    memory = {"peak_memory_bytes": torch.cuda.max_memory_allocated()}
    print(json.dumps({"engine": args.engine, "batch": batch, **found, **figures, **memory}))


if __name__ == "__main__":
    main()
