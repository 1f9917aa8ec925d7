#!/usr/bin/env python
"""Seconds per frame and peak memory of whole runs, each in a process of its own.

    scripts/bench_pipeline.py speed CLIP            with and without videos, s/frame by stage
    scripts/bench_pipeline.py memory CLIP --frames 300 1200
                                                    peak memory against length; the clip is
                                                    played forth and back to reach it

Prints a Markdown table; nothing else should run on the machine meanwhile.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from multithumbs.io.video import Video
from multithumbs.io.video_writer import writing_video


def run(clip: Path, out: Path, *options: str) -> dict:
    """One fresh run in a child process; its summary."""
    command = [
        sys.executable,
        "-m",
        "multithumbs.cli",
        "run",
        str(clip),
        "--out",
        str(out),
        *options,
    ]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(finished.stderr.strip())
    (summary,) = out.glob("*/summary.json")
    return json.loads(summary.read_text())


def speed(clip: Path, scratch: Path) -> None:
    runs = {
        "without videos": run(clip, scratch / "plain", "--no-videos"),
        "with videos": run(clip, scratch / "videos"),
    }
    frames = runs["with videos"]["num_frames"]
    stages = {name for summary in runs.values() for name in summary["stages"]}
    order = [name for name in runs["with videos"]["stages"] if name in stages]
    print(f"| stage (ms/frame, {frames} frames) | " + " | ".join(runs) + " |")
    print("|---|" + "---:|" * len(runs))
    for name in order:
        cells = [s["stages"].get(name, {}).get("seconds") for s in runs.values()]
        shown = ["–" if c is None else f"{1000 * c / frames:.1f}" for c in cells]
        print(f"| {name} | " + " | ".join(shown) + " |")
    totals = [f"{1000 * s['seconds_total'] / frames:.1f}" for s in runs.values()]
    print("| **whole run** | " + " | ".join(totals) + " |")
    print("| peak memory, MB | " + " | ".join(f"{s['peak_rss_mb']:.0f}" for s in runs.values()))


def lengthened(clip: Path, out: Path, frames: int) -> None:
    """The clip forth and back until it has so many frames, without a new cut at the turns."""
    video = Video(clip)
    count = video.info.num_frames
    with writing_video(out, hw=video.info.hw, frame_rate=video.info.frame_rate) as writer:
        for position in range(frames):
            phase = position % (2 * count)
            writer.write(video.frame(phase if phase < count else 2 * count - 1 - phase))


def memory(clip: Path, scratch: Path, lengths: list[int]) -> None:
    print("| frames | peak memory, MB | seconds | s/frame |\n|---:|---:|---:|---:|")
    for frames in lengths:
        longer = scratch / f"{frames}.mp4"
        lengthened(clip, longer, frames)
        summary = run(longer, scratch / str(frames), "--no-videos")
        seconds = summary["seconds_total"]
        peak = summary["peak_rss_mb"]
        print(f"| {frames} | {peak:.0f} | {seconds:.0f} | {seconds / frames:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1200])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "speed":
            speed(args.clip, Path(folder))
        else:
            memory(args.clip, Path(folder), args.frames)


if __name__ == "__main__":
    main()
