"""DROID-SLAM's second half: everything together, then the frames between (facts section 12)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from multithumbs.geometry.rigid import inverse
from multithumbs.geometry.se3 import exponential
from multithumbs.solvers.droid_frames import Features, KeyFrames, UpdateOperator
from multithumbs.solvers.droid_frontend import Proximity
from multithumbs.solvers.droid_graph import FlowGraph
from multithumbs.solvers.droid_screw import screw

EDGES_PER_FRAME = 16
CHUNK = 16
"""Frames that are filled in at once."""
FILL_STEPS = 6
AFTER = 1e-3
"""Added to the time between key frames, so that it is never zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """Published values of the demo (facts section 10)."""

    beta: float = 0.3
    proximity: Proximity = field(
        default_factory=lambda: Proximity(threshold=22.0, radius=2, suppression=3)
    )
    passes: tuple[int, ...] = (7, 12)
    """Steps of each pass over a fresh graph."""


def normalise(frames: KeyFrames) -> None:
    """Mean inverse depth 1: the scale of a single camera is free."""
    size = float(frames.inverse_depth.mean())
    frames.inverse_depth = frames.inverse_depth / size
    frames.cam_from_shot = frames.cam_from_shot.clone()
    frames.cam_from_shot[:, :3, 3] *= size


def refine(frames: KeyFrames, operator: UpdateOperator, settings: BackendSettings) -> int:
    """All key frames together, over graphs of all pairs that see the same.

    Returns:
        Gauss-Newton steps without a solution, which were left out.
    """
    failed = 0
    for steps in settings.passes if len(frames) > 1 else ():
        normalise(frames)
        limit = EDGES_PER_FRAME * len(frames)
        graph = FlowGraph(frames, operator.memory(low_memory=True), limit)
        graph.add_near(
            0, 0, radius=settings.proximity.radius, suppression=settings.proximity.suppression,
            threshold=settings.proximity.threshold, beta=settings.beta,
        )  # fmt: skip
        graph.update_in_groups(steps)
        failed += graph.failed
    return failed


def between(
    frames: KeyFrames, times: Int64[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Float64[Tensor, "N 4 4"]]:
    """Key frames before and after each time, and the pose of a constant twist between them.

    After the last key frame both are that one and the pose is held.
    """
    before = (np.searchsorted(frames.time, times, side="right") - 1).clip(0)
    after = np.minimum(before + 1, len(frames) - 1)
    span = frames.time[after] - frames.time[before] + AFTER
    share = torch.from_numpy((times - frames.time[before]) / span).to(frames.cam_from_shot)
    first = frames.cam_from_shot[frames.index(before)]
    second = frames.cam_from_shot[frames.index(after)]
    moved = exponential(share[:, None] * screw(second @ inverse(first)))
    return before, after, moved @ first


def fill(
    frames: KeyFrames,
    operator: UpdateOperator,
    stream: Iterable[tuple[int, Tensor]],
) -> dict[int, Float64[Tensor, "4 4"]]:
    """``cam_from_shot`` of every frame of a stream of (time, image).

    Key frames keep their poses; a frame between is measured against the key frames on either
    side, whose depths are known: only its pose moves.
    """
    poses = {int(t): p for t, p in zip(frames.time, frames.cam_from_shot, strict=True)}
    waiting: list[tuple[int, Features]] = []
    for time, image in stream:
        if time in poses:
            continue
        waiting.append((time, operator.features(image)))
        if len(waiting) == CHUNK:
            poses |= _fill_chunk(frames, operator, waiting)
            waiting = []
    if waiting:
        poses |= _fill_chunk(frames, operator, waiting)
    return poses


def _fill_chunk(
    frames: KeyFrames, operator: UpdateOperator, chunk: list[tuple[int, Features]]
) -> dict[int, Float64[Tensor, "4 4"]]:
    count = len(frames)
    times = np.array([time for time, _ in chunk], dtype=np.int64)
    before, after, guess = between(frames, times)
    unknown = torch.ones(frames.hw, dtype=torch.bool, device=frames.inverse_depth.device)
    for (time, features), pose in zip(chunk, guess, strict=True):
        frames.append(time, features, (), unknown, pose, 1.0)
    new = count + np.arange(len(chunk))
    graph = FlowGraph(frames, operator.memory(low_memory=False), 0)
    graph.add(np.stack([before, new], axis=1))
    graph.add(np.stack([after, new], axis=1))
    for _ in range(FILL_STEPS):
        graph.update(count, count + len(chunk), motion_only=True)
    poses = {int(t): p for t, p in zip(times, frames.cam_from_shot[count:], strict=True)}
    frames.truncate(count)
    return poses
