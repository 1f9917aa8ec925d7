"""`cameras=pose_graph` against the paper's Eq. 6 (`cameras=literal`) on oracle clips.

    python scripts/bench_cameras.py --seeds 8

Random scenes of four shots with three people; perception and the cuts are truth plus calibrated
noise (`multithumbs.synth.people_oracle`), no pixels. The odometry of every shot is the true one in
units of the background's depth, with a drift: slow random turns and steps, and a scale that
creeps. Printed is the ATE of all cameras after one rigid alignment (metres, so a wrong scale
counts) and after a similarity, the error of the scales of the moving shots, and what those rest
on. Returns to an earlier camera and straight lines are read from pixels and play no part here.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.cameras import (
    CamerasConfig,
    LiteralCamerasConfig,
    PoseGraphCamerasConfig,
    RevisitConfig,
    RoomConfig,
)
from multithumbs.evaluation.metrics import ate_m
from multithumbs.stages import cameras
from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.demo import ADA, BO, CEM
from multithumbs.synth.people_oracle import ClipNoise, OracleClip, make_clip
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.script import Mark, Script
from multithumbs.types import Cameras, Frame, Intrinsics, Odometry, VideoInfo
from multithumbs.types.work import Runtime, Work

HW = (720, 1280)
FPS = 25
SHOT_FRAMES = 60
SHOTS = 4
TURN_DRIFT_DEG = 0.6
"""Of the slow random turn that a shot's odometry adds, standard deviation at its end."""
STEP_DRIFT = 0.01
"""Of the path's length, likewise."""
SCALE_DRIFT = 0.03
"""Logarithm of the scale at a shot's end over that at its start, standard deviation."""


@dataclass
class NoVideo:
    """Facts of a video whose pixels nobody asks for."""

    info: VideoInfo

    def frame(self, index: int) -> np.ndarray:
        raise AssertionError("the oracle has no pixels")

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        raise AssertionError("the oracle has no pixels")


def random_scene(seed: int, still: bool) -> Scene:
    """Three people about the middle of a room; cameras that travel (every other one stands,
    with ``still``)."""
    rng = np.random.default_rng(seed)
    seconds = SHOTS * SHOT_FRAMES / FPS
    actors = []
    for index, outfit in enumerate((ADA, BO, CEM)):
        place = rng.uniform(-1.2, 1.2, (4, 2)) + np.array([1.2 * (index - 1), 0])
        facing = rng.uniform(-180, 180, 4)
        marks = tuple(
            Mark(time_s=float(t), x=float(x), z=float(z), facing_deg=float(f))
            for t, (x, z), f in zip(np.linspace(0, seconds, 4), place, facing, strict=True)
        )
        betas = (float(rng.normal() * 0.7), *(float(b) for b in rng.normal(size=9) * 0.4))
        script = Script(marks=marks, seed=seed + index)
        actors.append(Actor(name=f"P{index}", script=script, outfit=outfit, betas=betas))
    shots = []
    for index in range(SHOTS):
        turn, far = rng.uniform(-np.pi, np.pi), rng.uniform(3.6, 4.8)
        eye = np.array([far * np.sin(turn), rng.uniform(1.2, 1.8), far * np.cos(turn)])
        move = rng.normal(size=3) * [1, 0.15, 1]
        move *= rng.uniform(0.7, 1.6) / np.linalg.norm(move)
        target = np.array([0, 1.0, 0]) + 0.2 * rng.normal(size=3)
        begin = index * SHOT_FRAMES / FPS
        keys = [(begin, eye, target)]
        if not (still and index % 2 == 0):
            keys.append((begin + SHOT_FRAMES / FPS, eye + move, target))
        camera = CameraScript(
            keys=tuple(
                CameraKey(time_s=float(t), eye=tuple(e.tolist()), target=tuple(g.tolist()))
                for t, e, g in keys
            ),
            handheld=0.0 if len(keys) == 1 else 1.0,
            seed=seed + index,
        )
        first = index * SHOT_FRAMES
        shots.append(ShotScript(start=first, end=first + SHOT_FRAMES, camera=camera))
    return Scene(name="oracle", actors=tuple(actors), shots=tuple(shots), fps=Fraction(FPS), hw=HW)


def drifting(true: Odometry, unit_m: float, rng: np.random.Generator) -> Odometry:
    """What a monocular odometry makes of a shot: another unit, and a drift that grows."""
    centre, rotation = true.shot_from_cam[:, :3, 3], true.shot_from_cam[:, :3, :3]
    total = len(centre)
    steps = np.diff(centre, axis=0)
    length = np.linalg.norm(steps, axis=1).sum()
    if length < 1e-6:
        return replace(true, motion="static")

    def creep(size: int) -> np.ndarray:
        """A slow random walk from 0 whose end has unit variance."""
        white = gaussian_filter1d(rng.normal(size=(3 * total, size)), 8, axis=0, mode="wrap")
        walk = np.cumsum(white[total : 2 * total], axis=0)
        spread = np.sqrt(total) * white.std() * np.sqrt(2 * 8 * np.sqrt(np.pi))
        return (walk - walk[0]) / spread

    turn = Rotation.from_rotvec(np.radians(TURN_DRIFT_DEG) / np.sqrt(3) * creep(3)).as_matrix()
    grow = np.exp(SCALE_DRIFT * creep(1)[:-1])
    moved = np.einsum("tij,tj->ti", turn[:-1], steps * grow)
    moved = np.concatenate([np.zeros((1, 3)), np.cumsum(moved, axis=0)])
    moved += STEP_DRIFT * length / np.sqrt(3) * creep(3)
    path = np.tile(np.eye(4), (total, 1, 1))
    path[:, :3, :3], path[:, :3, 3] = turn @ rotation, moved / unit_m
    return replace(true, shot_from_cam=path, motion="free")


def solve(clip: OracleClip, odometry: tuple[Odometry, ...], config: CamerasConfig) -> Cameras:
    info = VideoInfo(
        sha256="0" * 64, hw=HW, frame_rate=Fraction(FPS), timestamps_s=clip.timestamps_s
    )
    work = Work(
        video=NoVideo(info),
        config=config,
        runtime=Runtime(threads=1),
        shot=None,
        cut=None,
        body_npz=Path(EMBEDDED_BODY),
        checkpoints={},
        progress=lambda done, total: None,
    )
    K = tuple(
        Intrinsics(K=clip.truth.K[start], source="given", log_focal_std=0.0)
        for start in clip.shots.start
    )
    return cameras.run(
        work, shots=clip.shots, detections=clip.detections, keypoints=clip.keypoints,
        intrinsics=K, masks=clip.masks, bodies=clip.bodies, tracks=clip.tracks,
        alignment=clip.alignment, odometry=odometry,
    )  # fmt: skip


def errors(found: Cameras, clip: OracleClip) -> tuple[float, float]:
    """ATE (metres) of the largest island, rigid and under a similarity."""
    island = int(np.bincount(found.island).argmax())
    rows = np.flatnonzero(found.island == island)
    truth = clip.truth.world_from_cam[found.frame[rows], :3, 3]
    centres = found.world_from_cam[rows, :3, 3]
    return ate_m(centres, truth), ate_m(centres, truth, with_scale=True)


def one(
    body: BodyModel, seed: int, still: bool
) -> tuple[list[tuple[float, float]], Cameras, float]:
    """Errors of both solvers, the pose graph's cameras, and its worst log scale."""
    clip = make_clip(body, random_scene(seed, still), ClipNoise(), seed)
    rng = np.random.default_rng([seed, 5])
    units = np.exp(rng.normal(np.log(6.0), 0.3, SHOTS))
    odometry = tuple(
        drifting(true, float(unit), rng) for true, unit in zip(clip.odometry, units, strict=True)
    )
    graph = PoseGraphCamerasConfig(
        revisits=RevisitConfig(enabled=False), room=RoomConfig(enabled=False)
    )
    found = [solve(clip, odometry, config) for config in (LiteralCamerasConfig(), graph)]
    free = np.array([o.motion == "free" for o in odometry])
    off = np.abs(np.log(found[1].metres_per_unit / units))[free].max()
    return [errors(f, clip) for f in found], found[1], float(off)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    body = load_body(EMBEDDED_BODY)
    print("suite      seed | literal: ATE m  (Sim3) | pose_graph: ATE m  (Sim3) | ratio  "
          "worst scale  rests on")  # fmt: skip
    for name, still in (("all move", False), ("two stand", True)):
        ratios = []
        for seed in range(arguments.seeds):
            (literal, graph), cameras_found, off = one(body, seed, still)
            ratios.append(graph[0] / literal[0])
            print(
                f"{name:9s}  {seed:4d} | {literal[0]:14.3f} {literal[1]:7.3f} | "
                f"{graph[0]:17.3f} {graph[1]:7.3f} | {ratios[-1]:5.2f}  "
                f"{100 * (np.exp(off) - 1):9.1f} %  {', '.join(cameras_found.scale_source)}",
                flush=True,
            )
        print(f"{name}: median ratio {np.median(ratios):.2f}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
