"""DROID-SLAM's whole system around an update operator that knows the true flow."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from multithumbs.evaluation.metrics import ate_m
from multithumbs.geometry.se3 import exponential
from multithumbs.solvers.droid_backend import BackendSettings
from multithumbs.solvers.droid_frames import KeyFrames
from multithumbs.solvers.droid_frontend import Frontend, FrontendSettings, Rules
from multithumbs.solvers.droid_graph import FlowGraph
from multithumbs.solvers.droid_screw import screw
from multithumbs.solvers.droid_slam import DroidTrack, track

sys.path.insert(0, str(Path(__file__).parent))
from droid_truth import TrueFlow

HW = (6, 8)
INTRINSICS = torch.tensor([7.0, 7.0, 3.5, 2.5], dtype=torch.float64)
EVERYTHING = torch.ones(HW, dtype=torch.bool)


def walk_round(frames: int, share: float = 1.0) -> np.ndarray:
    """``world_from_cam`` once round the room (or the first ``share`` of it), looking about."""
    a = 2 * np.pi * share * np.linspace(0, 1, frames)
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, :3, 3] = np.stack([1.5 * np.sin(a), 0.4 * np.sin(2 * a), 1.5 * np.cos(a) - 1.5], 1)
    turn = np.stack([0.1 * np.sin(3 * a), 0.5 * np.sin(a), 0 * a], 1)
    path[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    return path


def operator_of(path: np.ndarray, noise: float = 0.0) -> TrueFlow:
    return TrueFlow(np.linalg.inv(path), HW, INTRINSICS, noise)


def run(
    path: np.ndarray,
    rules: Rules = "2022",
    filter_threshold: float = 0.3,
    noise: float = 0.0,
    background: torch.Tensor = EVERYTHING,
    dtype: torch.dtype = torch.float64,
) -> DroidTrack:
    def stream() -> Iterator:
        for t in range(len(path)):
            yield t, torch.tensor([t]), background

    settings = FrontendSettings(
        rules=rules, filter_threshold=filter_threshold, keyframe_threshold=2 * filter_threshold
    )
    return track(
        stream, operator_of(path, noise), HW, INTRINSICS, settings, BackendSettings(), dtype
    )


def ate_of_path(found: DroidTrack, path: np.ndarray) -> float:
    length = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1).sum()
    return ate_m(found.shot_from_cam[:, :3, 3], path[:, :3, 3], with_scale=True) / length


def turn_errors(found: DroidTrack, path: np.ndarray) -> np.ndarray:
    """Radians, per frame."""
    true = (np.linalg.inv(path[0]) @ path)[:, :3, :3]
    off = found.shot_from_cam[:, :3, :3] @ true.transpose(0, 2, 1)
    return Rotation.from_matrix(off).magnitude()


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["2022", "2025"])
def test_300_frames_of_true_flow_give_the_true_trajectory(rules: Rules) -> None:
    path = walk_round(300)
    found = run(path, rules)
    assert found.finite and found.failed == 0 and not found.spread
    assert 10 < len(found.key_time) < 150, "most frames are filled in"
    assert np.array_equal(found.time, np.arange(300))
    assert ate_of_path(found, path) < 1e-3
    assert np.median(turn_errors(found, path)) < 1e-3


def test_key_frames_are_exact_and_so_is_float32() -> None:
    path = walk_round(12, 0.12)
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.float32, 1e-4)):
        found = run(path, dtype=dtype)
        kept = found.key_time
        assert (
            ate_m(found.shot_from_cam[kept, :3, 3], path[kept, :3, 3], with_scale=True) < tolerance
        )


def test_noisy_flow_gives_a_nearby_trajectory() -> None:
    path = walk_round(30, 0.3)
    assert 1e-5 < ate_of_path(run(path, noise=0.03), path) < 0.02


def test_people_have_no_say() -> None:
    """Half of the cells are masked and their flow is nonsense."""
    path = walk_round(20, 0.2)
    cells = EVERYTHING.clone()
    cells[:, :3] = False
    exact = run(path, background=cells)

    class Wrong(TrueFlow):
        def target(self, i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            coords, ahead = super().target(i, j)
            coords[:, :, :3] += 3.0
            return coords, ahead

    def stream() -> Iterator:
        for t in range(len(path)):
            yield t, torch.tensor([t]), cells

    wrong = Wrong(np.linalg.inv(path), HW, INTRINSICS)
    settings = FrontendSettings(filter_threshold=0.3, keyframe_threshold=0.6)
    masked = track(stream, wrong, HW, INTRINSICS, settings, BackendSettings(), torch.float64)
    assert ate_of_path(exact, path) < 2e-3
    assert ate_of_path(masked, path) < 2e-3


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7])
def test_very_short_shots_are_measured_from_the_frames_there_are(frames: int) -> None:
    path = walk_round(frames, 0.05 * frames)
    found = run(path)
    assert found.finite and len(found.shot_from_cam) == frames
    assert np.array_equal(found.key_time, np.arange(frames))
    assert found.spread == (frames > 1)
    if frames > 2:
        assert ate_of_path(found, path) < 1e-2


@pytest.mark.parametrize("frames", [2, 30])
def test_a_camera_that_stands_still_stays(frames: int) -> None:
    found = run(np.tile(np.eye(4), (frames, 1, 1)))
    assert found.finite and found.spread
    assert np.allclose(found.shot_from_cam, np.eye(4), atol=1e-9)
    assert found.parallax < 1e-9


def test_a_camera_that_only_turns_shows_no_parallax() -> None:
    path = np.tile(np.eye(4), (30, 1, 1))
    turn = np.stack([0 * np.arange(30), 0.7 * np.linspace(0, 1, 30), 0 * np.arange(30)], 1)
    path[:, :3, :3] = Rotation.from_rotvec(turn).as_matrix()
    found = run(path)
    assert found.finite and not found.spread
    assert turn_errors(found, path).max() < 0.01
    assert np.degrees(found.parallax) < 0.5
    assert np.degrees(run(walk_round(20, 0.1)).parallax) > 5


def test_a_slow_camera_has_its_key_frames_spread_evenly() -> None:
    path = walk_round(50, 0.02)
    found = run(path, filter_threshold=2.4)
    assert found.spread and len(found.key_time) == 8
    assert found.key_time[0] == 0 and found.key_time[-1] == 49
    assert ate_of_path(found, path) < 1e-2


def test_an_operator_that_says_nan_is_found_out() -> None:
    path = walk_round(20, 0.2)

    class Broken(TrueFlow):
        def target(self, i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            coords, ahead = super().target(i, j)
            return coords * float("nan"), ahead

        def motion(self, last: tuple, context: tuple, new: tuple) -> float:
            return 9.0

    def stream() -> Iterator:
        for t in range(len(path)):
            yield t, torch.tensor([t]), EVERYTHING

    broken = Broken(np.linalg.inv(path), HW, INTRINSICS)
    found = track(
        stream, broken, HW, INTRINSICS, FrontendSettings(), BackendSettings(), torch.float64
    )
    assert not found.finite or np.allclose(found.shot_from_cam[:, :3, 3], 0, atol=1e-6)


def frames_of(path: np.ndarray) -> KeyFrames:
    operator = operator_of(path)
    frames = KeyFrames(HW, INTRINSICS, torch.float64)
    for t in range(len(path)):
        image = (torch.tensor([t]),)
        frames.append(t, image, image, EVERYTHING, operator.cam_from_world[t], 1.0)
        frames.inverse_depth[t] = operator.inverse_depth[t]
    return frames


def test_a_removed_key_frame_takes_its_edges_along() -> None:
    path = walk_round(6, 0.3)
    frames = frames_of(path)
    graph = FlowGraph(frames, operator_of(path).memory(low_memory=False), 48)
    graph.add(np.array([[0, 1], [1, 2], [4, 3], [5, 4], [3, 5]]))
    graph.rest(np.array([False, False, True, False, False]))
    graph.add(np.array([[4, 3]]))
    assert len(graph) == 4, "an edge that rests does not come back"
    graph.remove_frame(3)
    assert graph.pairs.tolist() == [[0, 1], [1, 2], [4, 3]]
    assert len(graph.rest_ii) == 0 and frames.time.tolist() == [0, 1, 2, 4, 5]
    graph.update()  # the fake finds out if slots and edges no longer agree
    assert torch.allclose(frames.cam_from_shot, operator_of(path).cam_from_world[frames.time])


def test_the_oldest_edges_make_room() -> None:
    path = walk_round(6, 0.3)
    graph = FlowGraph(frames_of(path), operator_of(path).memory(low_memory=False), 4)
    for first in range(3):
        graph.add(np.array([[first, first + 1], [first + 1, first]]), make_room=True)
        graph.age += 1
    assert graph.pairs.tolist() == [[1, 2], [2, 1], [2, 3], [3, 2]]
    assert graph.rest_ii.tolist() == [0, 1]


def test_frames_too_close_are_dropped_by_either_rule() -> None:
    path = walk_round(16, 0.1)
    for rules in ("2022", "2025"):
        kept = []
        for threshold in (0.0, 2.0):
            frames = KeyFrames(HW, INTRINSICS, torch.float64)
            settings = FrontendSettings(
                rules=rules, filter_threshold=0.1, keyframe_threshold=threshold
            )
            front = Frontend(frames, operator_of(path), settings)
            for t in range(len(path)):
                front.add(t, torch.tensor([t]), EVERYTHING)
            kept.append(len(frames))
            assert np.all(np.diff(frames.time) > 0)
        assert kept[1] < 0.8 * kept[0]


def test_the_logarithm_of_a_motion_undoes_the_exponential() -> None:
    twist = torch.from_numpy(np.random.default_rng(0).normal(0, 0.8, (50, 6)))
    assert torch.allclose(screw(exponential(twist)), twist, atol=1e-9)
    assert torch.equal(screw(torch.eye(4, dtype=torch.float64)), torch.zeros(6).double())
