"""Runs the device tests, tresnet's benchmarks and PyTorch's in turn on one GPU and keeps one JSON and one table of it all.

Called by scripts/gpu-report.sh. A step that fails is kept with the end of what it said, and the next one runs; after nine
minutes no other is begun, and the next run goes on where this one stopped.
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from gpu_steps import PREPARED, ROOT, SANITIZER, TESTS, Step, steps
from gpu_table import markdown

# This Python's NVIDIA libraries are tresnet's too, which looks at the Pythons on PATH; plans are built once for all
# steps; nvJPEG is there where the machine names none itself.
LIBRARIES = [os.environ.get("LD_LIBRARY_PATH", ""), str(PREPARED / "nvjpeg/nvidia/cu13/lib")]
ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    "LD_LIBRARY_PATH": ":".join(filter(None, LIBRARIES)),
    "TRESNET_CUDNN_CACHE": os.environ.get("TRESNET_CUDNN_CACHE", str(PREPARED / "plans")),
}
# Characters that are kept of what a step said.
SAID, SAID_BY_TESTS = 2000, 30_000
# Lines that are kept: that kernels are slow is said of each.
WARNINGS = 20


def run(step: Step, seconds: float) -> dict:
    """What a step came to: its JSON, its tests' results, or how it failed."""
    try:
        out, error, status = finished(step.command, seconds)
        said, end = out + error, f"status {status}"
    except subprocess.TimeoutExpired as late:
        parts = [part.decode(errors="replace") if part else "" for part in (late.stdout, late.stderr)]
        out, said, end = parts[0], "".join(parts), f"no end after {seconds:.0f} s"
        if str(TESTS) not in step.command:
            return {"failed": end, "said": said[-SAID:]}
    except OSError as error:
        return {"failed": str(error)}
    if step.command[0] == str(TESTS):
        return tested(out, said, end)
    if str(TESTS) in step.command:
        return sanitized(said, end)
    warnings = [line.strip() for line in error.splitlines() if line.strip().startswith("WARN ")]
    try:
        return json.loads(out[out.index("{") :]) | ({"warnings": warnings[:WARNINGS]} if warnings else {})
    except ValueError:
        return {"failed": end, "said": said[-SAID:]}


def finished(command: list[str], seconds: float) -> tuple[str, str, int]:
    """What a command printed, and its status. Where it takes too long, all that it started ends with it: what went on
    would be measured with the next step."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            return *process.communicate(timeout=seconds), process.returncode
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def tested(out: str, said: str, end: str) -> dict:
    results = re.findall(r"^test (\S+) \.\.\. (\w+)", out, re.MULTILINE)
    failed = [name for name, result in results if result != "ok"]
    # What a test measures it says in a line: figure, its name, JSON.
    figures = re.findall(r"^figure (\S+) (\{.*\})$", out, re.MULTILINE)
    measured = {"figures": {name: json.loads(figure) for name, figure in figures}} if figures else {}
    ended = "test result:" in out
    told = {"tests": len(results), "not_ok": failed, "skipped": "skipped" in said}
    return told | measured | ({} if ended and not failed else {"end": end, "said": said[-SAID_BY_TESTS:]})


def sanitized(said: str, end: str) -> dict:
    """The sanitizer's last word, and what came before it where that is not that all is well."""
    summary = re.findall(r"^=+ (\w+ SUMMARY: .*)$", said, re.MULTILINE)
    if not summary:
        return {"failed": end, "said": said[-SAID:]}
    clean = summary[-1].startswith("ERROR SUMMARY: 0 ") or "(0 errors, 0 warnings)" in summary[-1]
    ran = len(re.findall(r"^test \S+ \.\.\. ok", said, re.MULTILINE))
    return {"summary": summary[-1], "tests": ran, "end": end} | ({} if clean else {"said": said[-SAID_BY_TESTS:]})


def unpack_sanitizer() -> None:
    for wheel in PREPARED.glob("nvidia_cuda_sanitizer_api-*.whl"):
        if not SANITIZER.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(SANITIZER)
            for program in SANITIZER.glob("nvidia/*/bin/*"):
                program.chmod(0o755)


def machine() -> dict:
    fields = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        sys.exit("no GPU answers here (nvidia-smi)")
    versions = "import torch, timm; print(torch.__version__, torch.backends.cudnn.version(), timm.__version__)"
    peers = subprocess.run([sys.executable, "-c", versions], capture_output=True, text=True).stdout.split()
    # Here there may be neither Git nor its folder.
    commit = (PREPARED / "commit").read_text().strip() if (PREPARED / "commit").exists() else ""
    return dict(zip(fields.split(","), (part.strip() for part in found.split(","))), commit=commit) | dict(
        zip(["torch", "cudnn", "timm"], peers)
    )


def keep(report: dict, path: Path) -> None:
    """Whole or not at all, whenever this is stopped."""
    for file, text in [(path, json.dumps(report, indent=1) + "\n"), (path.with_suffix(".md"), markdown(report))]:
        unfinished = file.with_name(file.name + ".part")
        unfinished.write_text(text)
        unfinished.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path)
    parser.add_argument("--minutes", type=float, default=9, help="after which no step goes on; another run does")
    parser.add_argument("--again", action="store_true", help="run those that failed once more")
    parser.add_argument("--only", default="", help="steps whose names contain this")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    facts = machine()
    date = datetime.date.today().isoformat()
    path = args.report or ROOT / f"bench/results/{date}-{facts['name'].replace(' ', '-').lower()}.json"
    report = json.loads(path.read_text()) if path.exists() else {"date": date, "machine": facts, "steps": {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    unpack_sanitizer()
    for step in steps():
        known = report["steps"].get(step.name)
        if args.only not in step.name or (known and not (args.again and "failed" in known)):
            continue
        left = end - time.monotonic()
        started = time.monotonic()
        result = run(step, max(1, min(step.longest, left)))
        if "failed" in result and time.monotonic() > end:
            print(f"{args.minutes:g} minutes are over; run this again for the other steps")
            break
        about = {"about": step.about} if step.about else {}
        report["steps"][step.name] = result | about | {"seconds": round(time.monotonic() - started, 1)}
        keep(report, path)
        print(step.name, json.dumps(result)[:200], flush=True)
    print(path)


if __name__ == "__main__":
    main()
