"""A GPU report as Markdown: each of tresnet's figures beside PyTorch's best of the same run."""

# What is to be reached, as a ratio to PyTorch's best.
INFERENCE, TRAINING, LARGEST_BATCH, LATENCY = 1.5, 1.3, 1.7, 0.5

Case = tuple[str, str, int, int | str]


def markdown(report: dict) -> str:
    """The machine, then a table."""
    machine = report["machine"]
    facts = [machine.get("name", "?"), f"driver {machine.get('driver_version', '?')}", f"cuDNN {machine.get('cudnn', '?')}",
             f"PyTorch {machine.get('torch', '?')}", f"timm {machine.get('timm', '?')}"]  # fmt: skip
    lines = [f"# {report['date']}: {', '.join(facts)}", ""]
    lines += [f"{told_tests(name, step)}\n" for name, step in report["steps"].items() if name.startswith("device tests")]
    lines += [f"{name}: {told_sanitizer(step)}\n" for name, step in report["steps"].items() if "sanitizer" in name]
    lines += ["| | tresnet | PyTorch's best | by | ratio | wanted |", "|---|---|---|---|---|---|"]
    for case in cases(report):
        lines += rows(report, case)
    warned = [name for name, step in report["steps"].items() if step.get("warnings")]
    if warned:
        lines += ["", "With warnings:", ""] + [f"- {name}: {report['steps'][name]['warnings'][0]}" for name in warned]
    failed = [name for name, step in report["steps"].items() if "failed" in step]
    if failed:
        lines += ["", "Without a figure:", ""] + [f"- {name}: {report['steps'][name]['failed']}" for name in failed]
    return "\n".join(lines) + "\n"


def told_tests(name: str, tests: dict) -> str:
    if "tests" not in tests:
        return f"{name}: {tests.get('failed')}"
    told = f"{name}: {tests['tests']} run, {len(tests['not_ok'])} failed"
    if tests["not_ok"]:
        return f"{told}: {', '.join(tests['not_ok'])}"
    # Without a failure there is something said only where they did not come to their end.
    return f"{told}; {tests['end']}" if "said" in tests else told


def told_sanitizer(step: dict) -> str:
    return step["summary"] if "summary" in step else step.get("failed", "?")


def cases(report: dict) -> list[Case]:
    """What tresnet has a figure of."""
    abouts = [step["about"] for step in report["steps"].values() if step.get("about")]
    return list({case(about): None for about in abouts if about["engine"] == "tresnet f16"})


def case(about: dict) -> Case:
    return about["mode"], about["model"], about["input_size"], about["asked"]


def rows(report: dict, own: Case) -> list[str]:
    """Speed, for one image its time, and for the largest batches their sizes."""
    of_case = [step for step in report["steps"].values() if step.get("about") and case(step["about"]) == own]
    measured = {step["about"]["engine"]: figures(step) for step in of_case}
    measured = {engine: figure for engine, figure in measured.items() if figure}
    ours, peers = measured.get("tresnet f16"), {name: own for name, own in measured.items() if "tresnet" not in name}
    mode, model, side, asked = own
    name = f"{model} at {side}, {mode}, batch {asked}"
    found = []
    if asked == "max":
        best = max(peers, key=lambda engine: peers[engine]["largest"] or 0, default=None)
        values = [(own or {}).get("largest") for own in (ours, peers.get(best))]
        found.append(row(f"{name}: images", values, best, LARGEST_BATCH if mode == "train" else None, "{:.0f}"))
        name = f"{name}: img/s at 90 %"
    best = max(peers, key=lambda engine: peers[engine]["speed"], default=None)
    speeds = [(own or {}).get("speed") for own in (ours, peers.get(best))]
    if asked == 1:
        times = [speed and 1e3 / speed for speed in speeds]
        found.append(row(f"{name}: ms", times, best, LATENCY, "{:.3f}", at_most=True))
    else:
        found.append(row(name, speeds, best, INFERENCE if mode == "infer" else TRAINING, "{:.0f}"))
    return found


def figures(step: dict) -> dict | None:
    """Images a second, and the largest batch where it was sought."""
    mode = step["about"]["mode"]
    if "rows" in step:
        own = step["rows"][0]
        speed, largest = own.get(f"{mode}_img_per_sec"), own.get(f"max_{mode}_batch")
    else:
        speed, largest = step.get("img_per_sec"), step.get("largest_batch")
    return {"speed": speed, "largest": largest} if speed else None


def row(name: str, values: list, best: str | None, wanted: float | None, form: str, at_most: bool = False) -> str:
    ours, theirs = values
    ratio = f"{ours / theirs:.2f}" if ours and theirs else ""
    told = [form.format(value) if value else "" for value in values]
    limit = f"{'at most' if at_most else 'at least'} {wanted}" if wanted else ""
    return f"| {name} | {told[0]} | {told[1]} | {best or ''} | {ratio} | {limit} |"
