"""`lm` against `adamw` (the paper's Eq. 9-11) on a simulated clip with exact truth.

    python scripts/bench_postprocess.py [--seeds 3] [--seconds 4] [--iterations 500]

Perception is replaced by truth plus noise (`multithumbs.synth.people_oracle`), so that only
post-processing is measured: three people, three shots, cameras wrong at the cuts, every
person's size wrong in every shot. Both solvers get the same rows and run in one process on one
thread. Prints a table in Markdown.
"""

import argparse
import os
import time
from dataclasses import replace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does

import numpy as np
import torch

from multithumbs.backends.people import adamw, lm
from multithumbs.backends.people.finish import to_people
from multithumbs.backends.people.gaps import bridge
from multithumbs.backends.people.gather import gather
from multithumbs.backends.people.ground import find_ground, move
from multithumbs.backends.people.rows import Rows
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.people import AdamWPeopleConfig, LmPeopleConfig
from multithumbs.evaluation import metrics
from multithumbs.synth.demo import demo_scene
from multithumbs.synth.people_oracle import ClipNoise, OracleClip, make_clip
from multithumbs.synth.scene import Scene
from multithumbs.types import People


def lengthened(scene: Scene, seconds: float) -> Scene:
    """The demo's people, its shots stretched to ``seconds``."""
    factor = seconds * float(scene.fps) / scene.num_frames
    edges = [round(factor * shot.start) for shot in scene.shots]
    edges.append(round(factor * scene.num_frames))
    shots = tuple(
        replace(shot, start=edges[i], end=edges[i + 1]) for i, shot in enumerate(scene.shots)
    )
    return replace(scene, shots=shots)


def score(people: People, clip: OracleClip) -> list[float]:
    """W-MPJPE, WA-MPJPE, MPJPE (mm), Accel (m/s2), sliding (mm per frame); means over people."""
    rows = {
        (int(p), int(f)): n
        for n, (p, f) in enumerate(zip(clip.truth.person, clip.truth.frame, strict=True))
    }
    out = []
    for p in np.unique(people.person):
        mine = np.flatnonzero((people.person == p) & people.observed)
        frame = people.frame[mine]
        true = clip.truth.joints_world[[rows[int(p), int(f)] for f in frame]]
        joints = people.joints_ground[mine]
        inner = (np.diff(frame)[1:] == 1) & (np.diff(frame)[:-1] == 1)
        accel = metrics.accel_mps2(joints, true, float(clip.truth.fps))[inner]
        feet = [7, 8, 10, 11]
        sliding = metrics.foot_sliding_mm(joints[:, feet], true[:, feet])
        out.append(
            [
                metrics.w_mpjpe_mm(joints, true, frame=frame).mean(),
                metrics.wa_mpjpe_mm(joints, true, frame=frame).mean(),
                metrics.mpjpe_mm(joints, true).mean(),
                accel.mean(),
                sliding.mean() if len(sliding) else 0.0,
            ]
        )
    return np.mean(out, axis=0).tolist()


def gathered(body: BodyModel, clip: OracleClip, config: LmPeopleConfig) -> Rows:
    rows = gather(
        body, clip.detections, clip.keypoints, clip.bodies, clip.tracks, clip.alignment,
        clip.cameras, clip.identities, clip.timestamps_s, config.gather,
    )  # fmt: skip
    return bridge(rows, clip.cameras, clip.timestamps_s, config.gather)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--iterations", type=int, default=500, help="of adamw")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body(EMBEDDED_BODY)
    least, literal = LmPeopleConfig(), AdamWPeopleConfig(iterations=arguments.iterations)
    scene = lengthened(demo_scene(), arguments.seconds)
    table: dict[str, list[list[float]]] = {"input": [], "adamw": [], "lm": []}
    count = 0
    for seed in range(arguments.seeds):
        clip = make_clip(body, scene, ClipNoise(), seed)
        rows = gathered(body, clip, least)
        count = len(rows)
        ground = find_ground(body, rows, clip.cameras, least.ground)
        before = to_people(body, move(body, rows, ground[rows.island]), ground)
        table["input"].append([*score(before, clip), 0.0])
        for name, solve in (
            ("adamw", lambda r, c: adamw.refine(body, r, c, literal, lambda done, total: None)),
            ("lm", lambda r, c: lm.refine(body, r, c, least, lambda done, total: None)),
        ):
            start = time.perf_counter()
            solved, ground = solve(rows, clip.cameras)
            seconds = time.perf_counter() - start
            table[name].append([*score(to_people(body, solved, ground), clip), seconds])
    print(f"{arguments.seeds} clips of {scene.num_frames} frames, {count} person-frames\n")
    print("| | W-MPJPE mm | WA-MPJPE mm | MPJPE mm | Accel m/s2 | sliding mm/frame | s |")
    print("|---|---|---|---|---|---|---|")
    for name, values in table.items():
        mean = np.mean(values, axis=0)
        print(f"| {name} | " + " | ".join(f"{v:.1f}" for v in mean) + " |")
    ratio = np.mean([v[-1] for v in table["adamw"]]) / np.mean([v[-1] for v in table["lm"]])
    print(f"\nlm takes 1/{ratio:.0f} of adamw's time")


if __name__ == "__main__":
    main()
