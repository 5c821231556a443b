"""What scripts/gpu-report.sh runs, in the order in which it is worth most: a machine may be taken away at any time."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What scripts/gpu-report.sh --prepare put there.
PREPARED = ROOT / "target/gpu"
PROGRAM, TESTS = PREPARED / "tresnet", PREPARED / "device-tests"
# What its wheel holds, once it is unpacked.
SANITIZER = PREPARED / "sanitizer"
PEER = Path(__file__).with_name("gpu_peer.py")

# Network, side of the input, batches.
SUBJECTS = [
    ("tresnet_m", 224, [256, 1, 1024]),
    ("resnet50", 224, [256]),
    ("tresnet_l", 224, [256]),
    ("tresnet_xl", 224, [256]),
    ("tresnet_m", 448, [128]),
    ("resnext50_32x4d", 224, [256]),
    ("efficientnet_b1", 240, [256]),
    ("mixnet_l", 224, [256]),
]
# Those that are trained too.
TRAINED = 5
# What is likely to be PyTorch's best comes first. Eager depthwise blurs are slow channels last, so that training may be
# quicker without.
ENGINES = ["compiled-half", "eager-half-channels-last", "compiled-frozen-half", "eager-half", "compiled-autocast"]
TRAINING_ENGINES = ["compiled-autocast", "eager-autocast", "eager-autocast-channels-last"]
# Tests of whole networks and of the program, which plan anew each time; of every engine that cuDNN has for some problems,
# most of which are compiled for it; and of many kernels together.
WHOLE = ["models::", "commands::", "decoding::", "squares::"]
PLANS = ["plans::"]
STEPS = ["step_has_the_cpus", "give_the_cpus_gradients", "steps_in_half", "steps_of_all", "updates_are_the_cpus",
         "are_clipped"]  # fmt: skip
# Seconds that a step of each kind may take: planning is a minute, and compiling for max-autotune takes some.
TESTS_END, OURS_END, LARGEST_END, EAGER_END, COMPILED_END, SANITIZER_END = 240, 150, 240, 120, 300, 240


@dataclass
class Step:
    """A process of its own, so that none inherits another's memory or caches."""

    name: str
    command: list[str]
    # Seconds.
    longest: float
    # What its figures are of, for tables.
    about: dict = field(default_factory=dict)


def ours(mode: str, model: str, side: int, batch: int | str, dtype: str = "f16", profile: bool = False) -> Step:
    """This program's figure, or where the time of a batch goes."""
    case = f"{model} at {side}" + ("" if dtype == "f16" else f" in {dtype}")
    # A step on the largest batch is a second or two.
    warmup, iters = (2, 8) if batch == "max" else (5, 20)
    command = [str(PROGRAM), "bench", "--models", model, "--modes", mode, "--device", "cuda", "--dtype", dtype,
               "--warmup", str(warmup), "--iters", str(iters), "--format", "json", "--input-size", str(side),
               "--batch-size", str(batch), *(["--profile=1000"] if profile else [])]  # fmt: skip
    about = {"engine": f"tresnet {dtype}", "mode": mode, "model": model, "input_size": side, "asked": batch}
    longest = LARGEST_END if batch == "max" else OURS_END
    if profile:
        return Step(f"profile of {mode}: {case}, batch {batch}", command, longest)
    return Step(f"tresnet {mode}: {case}, batch {batch}", command, longest, about)


def peer(mode: str, engine: str, model: str, side: int, batch: int | str) -> Step:
    """The same by PyTorch."""
    command = [sys.executable, str(PEER), "--model", model, "--engine", engine, "--input-size", str(side),
               "--batch-size", str(batch), *(["--train"] if mode == "train" else []),
               *(["--warmup", "3", "--iters", "8"] if batch == "max" else [])]  # fmt: skip
    longest = COMPILED_END if engine.startswith("compiled") else EAGER_END
    about = {"engine": engine, "mode": mode, "model": model, "input_size": side, "asked": batch}
    return Step(f"{engine} {mode}: {model} at {side}, batch {batch}", command, longest, about)


def skipping(*groups: list[str]) -> list[str]:
    return [word for names in groups for name in names for word in ("--skip", name)]


def tests(which: str, *words: str) -> Step:
    return Step(f"device tests: {which}", [str(TESTS), "--test-threads=1", "--show-output", *words], TESTS_END)


def sanitizer(tool: str) -> Step:
    """NVIDIA's compute-sanitizer over the tests of single ops."""
    found = shutil.which("compute-sanitizer", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
    # A toolkit's finds its libraries by itself.
    own = SANITIZER / "nvidia/cu13"
    program = [found] if found else [str(own / "bin/compute-sanitizer"), "--injection-path", str(own / "lib")]
    skipped = skipping(WHOLE, PLANS, STEPS)
    command = [*program, "--tool", tool, "--error-exitcode", "9", str(TESTS), "--test-threads=1", *skipped]
    return Step(f"compute-sanitizer {tool}", command, SANITIZER_END)


def steps() -> list[Step]:
    """All of them. The first thirteen should take some nine minutes on a GPU with 16 cores: about 60 seconds for the
    tests, 45 to 60 for each figure of ours, 10 for a profile, 100 for two largest batches each, 100 for a compiled
    network, and 20 to 40 for the others."""
    first = SUBJECTS[0]
    model, side, batches = first
    rows = [
        tests("ops", *skipping(WHOLE, PLANS, STEPS)),
        ours("infer", model, side, batches[0]),
        ours("infer", model, side, batches[0], profile=True),
        peer("infer", "compiled-half", model, side, batches[0]),
        peer("infer", "eager-half-channels-last", model, side, batches[0]),
        ours("train", model, side, batches[0]),
        ours("train", model, side, batches[0], profile=True),
        peer("train", "eager-autocast", model, side, batches[0]),
        # The paper's protocol: the largest batch, and speeds at 90 % of it.
        ours("train", model, side, "max"),
        peer("train", "eager-autocast", model, side, "max"),
        ours("infer", model, side, "max"),
        peer("infer", "eager-half-channels-last", model, side, "max"),
        peer("train", "compiled-autocast", model, side, batches[0]),
        ours("infer", model, side, 1),
        *(peer("infer", engine, model, side, 1) for engine in ENGINES),
        tests("networks, steps and commands", *WHOLE, *STEPS),
        sanitizer("memcheck"),
        sanitizer("racecheck"),
        tests("plans", *PLANS),
    ]
    for model, side, batches in SUBJECTS[:TRAINED]:
        rows.append(ours("infer", model, side, batches[0]))
        rows.extend(peer("infer", engine, model, side, batches[0]) for engine in ENGINES[:2])
        # Of a training step's maps there are more.
        batch = batches[0] // 2 if side > 224 or model in ("tresnet_l", "tresnet_xl") else batches[0]
        rows.append(ours("train", model, side, batch))
        rows.extend(peer("train", engine, model, side, batch) for engine in TRAINING_ENGINES)
    rows.extend(ours("infer", *first[:2], batches[0], dtype) for dtype in ["bf16", "f32"])
    for model, side, batches in SUBJECTS:
        for batch in batches:
            rows.append(ours("infer", model, side, batch))
            rows.extend(peer("infer", engine, model, side, batch) for engine in ENGINES)
    for model, side, batches in SUBJECTS[1:]:
        rows.append(ours("infer", model, side, batches[0], profile=True))
    for model, side, _ in SUBJECTS[1:TRAINED]:
        for mode, engine in [("train", "eager-autocast"), ("infer", "eager-half-channels-last")]:
            rows.extend([ours(mode, model, side, "max"), peer(mode, engine, model, side, "max")])
    # What is worth more stands first; once is enough.
    return list({step.name: step for step in rows}.values())
