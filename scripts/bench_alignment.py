"""Both solvers of Algorithm 1 on the same synthetic cuts: loss of Eq. 1, time, camera error.

    python scripts/bench_alignment.py --cuts 5 --people 3

Cuts are random scenes (`multithumbs.synth.boundary_oracle`) with calibrated perception noise;
the boundary scene is the `people` back-end's. Both solvers start from the same stage 1 and
minimise the same objective; the time is that of stages 2 and 3.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from multithumbs.backends.alignment import algorithm1
from multithumbs.backends.alignment.problem import build_problem, pose_people
from multithumbs.backends.boundaries import people as people_backend
from multithumbs.backends.boundaries.side import BoundarySide, gather_side
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.alignment import AdamWAlignmentConfig, LmAlignmentConfig
from multithumbs.config.boundaries import BackgroundConfig, PeopleBoundariesConfig
from multithumbs.geometry import rigid, rotations
from multithumbs.solvers import alignment as eq1
from multithumbs.synth.boundary_oracle import CutSetup, OracleCut, make_cut
from multithumbs.types import BoundaryScene, CutStatus

BOUNDARIES = PeopleBoundariesConfig(background=BackgroundConfig(enabled=False))


PAPER = LmAlignmentConfig(pair_weight=0, camera_weight=0, keypoint_outlier_of_height=0)
"""Eq. 1 alone: what `adamw` minimises."""


@dataclass(frozen=True)
class Row:
    """One solver on one cut (or, without loss and time, the boundary scene itself)."""

    loss: float
    seconds: float
    rotation_deg: float
    position_m: float
    pelvis_m: float
    """Mean distance of the bodies' pelvises from their true places."""


def boundary(
    cut: OracleCut, body: BodyModel
) -> tuple[BoundaryScene, tuple[BoundarySide, BoundarySide]]:
    """The people-anchored scene of a cut, from grey images."""
    before, after = (
        gather_side(
            frame,
            side.detections,
            side.keypoints,
            side.bodies,
            side.tracks,
            side.masks,
            window_frames=0,
            min_confidence=0.3,
        )
        for frame, side in enumerate(cut.sides)
    )
    sides = (before, after)
    grey = np.full((*sides[0].hw, 3), 127, dtype=np.uint8)
    empty = np.zeros(sides[0].hw, dtype=bool)
    scene = people_backend.reconstruct(sides, (grey, grey), (empty, empty), body, BOUNDARIES, "cpu")
    return scene, sides


def camera_error(
    scene_from_cam: NDArray[np.float64], after_from_before: NDArray[np.float64]
) -> tuple[float, float]:
    """Rotation (degrees) and centre (metres) of the camera after the cut, seen from before."""
    found = np.linalg.inv(scene_from_cam[0]) @ scene_from_cam[1]
    true = np.linalg.inv(after_from_before)
    turn = rotations.angle_between(torch.tensor(found[:3, :3]), torch.tensor(true[:3, :3]))
    return float(torch.rad2deg(turn)), float(np.linalg.norm(found[:3, 3] - true[:3, 3]))


def pelvis_error(
    state: eq1.AlignmentState, cut: OracleCut, sides: tuple[BoundarySide, BoundarySide]
) -> float:
    """Mean distance of both sides' pelvises from the truth, metres, before-camera axes."""
    found = eq1.first_camera_as_scene(state).pelvis.numpy()
    who = np.concatenate(
        [oracle.who[side.row] for oracle, side in zip(cut.sides, sides, strict=True)]
    )
    return float(np.linalg.norm(found - cut.pelvis_before[who], axis=1).mean())


def run(cut: OracleCut, body: BodyModel, configs: list) -> list[Row] | None:
    """The boundary scene's own errors, then every solver's row; None where the scene FAILED."""
    scene, sides = boundary(cut, body)
    if scene.status is CutStatus.FAILED:
        return None
    nan = float("nan")
    rows = [Row(nan, nan, *camera_error(scene.scene_from_cam, cut.after_from_before), nan)]
    for config in configs:
        people = pose_people(sides, scene.pair, body, config.objective)
        problem = build_problem(people, sides, scene, config.objective)
        state = algorithm1.start(people, problem, scene)
        begun = time.perf_counter()
        trusted = algorithm1.without_outliers(problem, people, config)
        state = algorithm1.solve(trusted, state, config)
        seconds = time.perf_counter() - begun
        weights = algorithm1.stage3_weights(config)
        loss = eq1.loss(state, problem, weights, state.cam_from_scene).paper(weights)
        error = camera_error(rigid.inverse(state.cam_from_scene).numpy(), cut.after_from_before)
        rows.append(Row(float(loss), seconds, *error, pelvis_error(state, cut, sides)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--people", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body(EMBEDDED_BODY)
    solvers = {"lm": PAPER, "adamw": AdamWAlignmentConfig(), "lm default": LmAlignmentConfig()}
    run(make_cut(body, CutSetup(people=2, mask_stride=2), 10**6), body, [PAPER])  # warm up
    print("cut  solver        Eq. 1 loss   seconds  rotation deg  centre m  pelvis m")
    ratios, wins = [], []
    for seed in range(arguments.cuts):
        view = float(np.random.default_rng(seed).uniform(0.5, np.pi))
        setup = CutSetup(people=arguments.people, view_rad=view, mask_stride=2)
        rows = run(make_cut(body, setup, seed), body, list(solvers.values()))
        if rows is None:
            print(f"{seed:3d}  boundary scene FAILED")
            continue
        for name, row in zip(["(scene)", *solvers], rows, strict=True):
            print(
                f"{seed:3d}  {name:11s} {row.loss:13.3f}  {row.seconds:8.3f}  "
                f"{row.rotation_deg:12.2f}  {row.position_m:8.2f}  {row.pelvis_m:8.2f}"
            )
        ratios.append(rows[2].seconds / rows[1].seconds)
        wins.append(rows[1].loss <= rows[2].loss)
    if ratios:
        print(
            f"lm's loss is no higher than adamw's in {sum(wins)} of {len(wins)} cuts; adamw takes "
            f"{min(ratios):.0f} to {max(ratios):.0f} times as long (median {np.median(ratios):.0f})"
        )


if __name__ == "__main__":
    main()
