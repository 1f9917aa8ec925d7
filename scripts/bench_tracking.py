#!/usr/bin/env python3
"""Identity switches of every tracker on made-up crossings; writes a table.

    python scripts/bench_tracking.py [--seeds 4] [--first 0] [--kinds pass kit ...] [--out FILE.md]

Scenes: `multithumbs.synth.crossings`; perception: truth plus the noise of the clip oracle, masks
and pictures ray-cast. Every tracker runs as its stage does. The settings are the defaults of
`multithumbs/config/tracks.py`, which were chosen on seeds from 100 on; the table is of others.
Deterministic. `hungarian` is the plain baseline: boxes of one frame to those of the last by IoU.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.config.tracks import (
    Hungarian3DConfig,
    PhalpConfig,
    SegFollowConfig,
    TracksConfig,
)
from multithumbs.solvers.segfollow import motion_consistency
from multithumbs.stages import tracks
from multithumbs.synth.crossing_clip import CrossingClip, make_crossing
from multithumbs.synth.crossings import CROSSINGS, crossing_scene
from multithumbs.types.work import Runtime, Work

SMALL_PX = (15.0, 30.0)
"""The published limits on boxes are for pictures four times as large."""
CONFIGS: dict[str, TracksConfig] = {
    "hungarian3d": Hungarian3DConfig(),
    "hungarian3d, no colour": Hungarian3DConfig(colour_weight=0),
    "phalp, colour": PhalpConfig(appearance="colour", texture_size=64, min_box_wh_px=SMALL_PX),
    "phalp, no appearance": PhalpConfig(appearance="none", min_box_wh_px=SMALL_PX),
    "segfollow": SegFollowConfig(),
    "segfollow, no colour": SegFollowConfig(colour_bins=0),
}
BASELINE = "hungarian (IoU)"
MIN_IOU = 0.3
MAX_AGE = 50


@dataclass(frozen=True)
class Counts:
    """What one tracker made of one clip (or of several, added up)."""

    switches: int
    """Changes of label along the labelled rows of a person."""
    surplus: int
    """Tracks beyond one per person."""
    agreeing: int
    """Rows that agree when each person is given the one track that serves them best (IDTP)."""
    labelled: int
    rows: int
    seconds: float

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Counts(*(a + b for a, b in pairs))

    @property
    def idf1(self) -> float:
        """Harmonic mean of identity precision and recall."""
        return 2 * self.agreeing / max(self.labelled + self.rows, 1)


def count(label: np.ndarray, person: np.ndarray, seconds: float) -> Counts:
    """Score labels (-1: none) of rows in order of time."""
    switches = sum(
        int((np.diff(own[own >= 0]) != 0).sum())
        for own in (label[person == p] for p in np.unique(person))
    )
    shared = np.zeros((person.max() + 1, max(label.max(), 0) + 1), dtype=int)
    np.add.at(shared, (person[label >= 0], label[label >= 0]), 1)
    rows, columns = linear_sum_assignment(-shared)
    used = len(np.unique(label[label >= 0]))
    return Counts(
        switches=switches,
        surplus=used - len(np.unique(person)),
        agreeing=int(shared[rows, columns].sum()),
        labelled=int((label >= 0).sum()),
        rows=len(person),
        seconds=seconds,
    )


def hungarian(clip: CrossingClip) -> np.ndarray:
    """Boxes to boxes by IoU; a track keeps its last box while it is unseen."""
    frame, box = clip.detections.frame, clip.detections.box_xyxy
    label, last, ended = np.full(len(frame), -1), {}, 0
    for now in np.unique(frame):
        rows = np.flatnonzero(frame == now)
        last = {t: r for t, r in last.items() if now - frame[r] <= MAX_AGE}
        known = list(last)
        if known:
            iou, _ = motion_consistency(box[[last[t] for t in known]], box[rows])
            first, second = linear_sum_assignment(-np.where(iou < MIN_IOU, 0, iou))
            for i, j in zip(first, second, strict=True):
                if iou[i, j] >= MIN_IOU:
                    label[rows[j]] = known[i]
        for row in rows[label[rows] < 0]:
            label[row] = ended
            ended += 1
        last |= {int(label[row]): int(row) for row in rows}
    return label


def staged(clip: CrossingClip, config: TracksConfig) -> np.ndarray:
    """The labels of stage `tracks`."""
    work = Work(
        video=clip.video,
        config=config,
        runtime=Runtime(threads=1),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=lambda done, total: None,
    )
    found = tracks.run(
        work,
        detections=clip.detections,
        keypoints=clip.keypoints,
        bodies=clip.bodies,
        masks=clip.masks,
    )
    return found.track


def timed(run: Callable[[], np.ndarray], person: np.ndarray) -> Counts:
    """Run and score."""
    began = time.perf_counter()
    label = run()
    return count(label, person, time.perf_counter() - began)


def score(clip: CrossingClip) -> dict[str, Counts]:
    """All trackers on one clip."""
    found = {BASELINE: timed(lambda: hungarian(clip), clip.person)}
    for name, config in CONFIGS.items():
        found[name] = timed(lambda config=config: staged(clip, config), clip.person)
    return found


def table(results: dict[str, dict[str, Counts]], clips_per_kind: int) -> str:
    """Switches per kind, then the sums."""
    kinds = list(results)
    head = ["tracker", *kinds, "switches", "surplus tracks", "IDF1", "labelled", "ms per row"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in results[kinds[0]]:
        total = sum((results[kind][name] for kind in kinds), Counts(0, 0, 0, 0, 0, 0.0))
        cells = [name, *(str(results[kind][name].switches) for kind in kinds)]
        cells += [str(total.switches), str(total.surplus), f"{100 * total.idf1:.1f}"]
        cells += [f"{100 * total.labelled / total.rows:.0f} %"]
        cells += [f"{1000 * total.seconds / total.rows:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    rows = sum(results[kind][BASELINE].rows for kind in kinds)
    note = f"{clips_per_kind * len(kinds)} clips, {clips_per_kind} of each kind, {rows} rows."
    return "\n".join([*lines, "", note])


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the trackers on made-up crossings.")
    parser.add_argument("--seeds", type=int, default=4, help="clips of each kind")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--kinds", nargs="+", choices=list(CROSSINGS), default=list(CROSSINGS))
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body(EMBEDDED_BODY)
    results: dict[str, dict[str, Counts]] = {}
    for kind in options.kinds:
        for seed in range(options.first, options.first + options.seeds):
            clip = make_crossing(body, crossing_scene(kind, seed), seed)
            found = score(clip)
            print(kind, seed, {name: c.switches for name, c in found.items()}, flush=True)
            known = results.get(kind)
            results[kind] = {n: c + known[n] if known else c for n, c in found.items()}
    text = table(results, options.seeds)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
