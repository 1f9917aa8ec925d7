#!/usr/bin/env python
"""Speed and memory of the paper profile's networks at full size, with random weights.

    scripts/bench_networks.py --device cuda --out table.md

Nothing is downloaded: weights of the official shapes are drawn and written below --scratch (5 GB
at a time), and every stage reads them by its own loader. Each model runs in a process of its own,
so that one that fails costs its own line only and peaks do not mix. --models runs some of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from multithumbs.bench.networks import MODELS, report
from multithumbs.bench.networks_measure import Findings, Row, joined
from multithumbs.bench.networks_setup import Bench


def measure(model: str, bench: Bench) -> Findings:
    """One model in this process; a failure is a note."""
    try:
        return MODELS[model](bench)
    except Exception as error:  # noqa: BLE001  (whatever it is, the other models go on)
        first = next(iter(str(error).splitlines()), "")
        return Findings(notes=[f"{model} FAILED: {type(error).__name__}: {first}"])


def measure_apart(model: str, bench: Bench, limit_s: float) -> Findings:
    """One model in a child process, which may even crash."""
    rows = bench.folder / f"{model}.json"
    command = [
        sys.executable, __file__, "--models", model, "--device", bench.meter.device, "--scratch",
        str(bench.folder), "--rows", str(rows), *(["--tiny"] if bench.scale.tiny else []),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Findings(notes=[f"{model} FAILED: not done after {limit_s:.0f} s"])
    if done.returncode or not rows.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Findings(notes=[f"{model} FAILED: exit {done.returncode}: {last}"])
    content = json.loads(rows.read_text())
    return Findings([Row(**row) for row in content["rows"]], content["notes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: a check of this script")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--out", type=Path, help="where the table goes; default is the screen")
    parser.add_argument("--scratch", type=Path, help="folder for weights and clip")
    parser.add_argument("--together", action="store_true", help="all models in one process")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each model")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no CUDA device; use --device cpu --tiny")
    if arguments.rows:  # a child, in the folder where its parent keeps the clip
        found = measured(
            arguments, Bench.of(arguments.scratch, arguments.device, tiny=arguments.tiny)
        )
        arguments.rows.write_text(json.dumps(asdict(found)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        bench = Bench.of(Path(folder), arguments.device, tiny=arguments.tiny)
        found = measured(arguments, bench)
        if not arguments.out:
            print(report(found, bench))


def measured(arguments: argparse.Namespace, bench: Bench) -> Findings:
    """All chosen models; the table is written anew after each, for a command that is cut short."""
    found = Findings()
    for model in arguments.models:
        if arguments.rows or arguments.together:
            part = measure(model, bench)
        else:
            part = measure_apart(model, bench, arguments.limit)
        found = joined(found, part)
        said = f"{len(part.rows)} rows" if part.rows else "; ".join(part.notes)
        print(f"{model}: {said}", file=sys.stderr, flush=True)
        if arguments.out:
            arguments.out.write_text(report(found, bench))
    return found


if __name__ == "__main__":
    main()
