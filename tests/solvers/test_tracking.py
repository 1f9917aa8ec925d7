"""Tracking on made-up trajectories whose identities are known."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.config.tracks import Hungarian3DConfig
from multithumbs.solvers.tracking import Observations, follow, keypoint_similarity, transition
from multithumbs.solvers.tracking_boxes import covered
from multithumbs.solvers.tracking_links import merge, track

FOCAL = 1000.0
FPS = 25.0


def observe(
    paths: np.ndarray,
    visible: np.ndarray,
    *,
    seed: int = 0,
    depth_noise: float = 0.05,
    pan: np.ndarray | None = None,
) -> tuple[Observations, np.ndarray]:
    """Rows of people at ``paths`` (P, T, 3) m in the camera, where ``visible`` (P, T)."""
    rng = np.random.default_rng(seed)
    people = len(paths)
    figure = rng.normal(0, [0.25, 0.5], (people, 23, 2))
    person, frame = np.nonzero(visible)
    order = np.lexsort((rng.permutation(len(frame)), frame))
    person, frame = person[order], frame[order]
    place = paths[person, frame]
    z = place[:, 2]
    swing = 0.1 * np.sin(frame / 5 + person)[:, None, None]
    uv = FOCAL * (place[:, None, :2] + figure[person] + swing) / z[:, None, None]
    if pan is not None:
        uv += FOCAL * pan[frame][:, None]
    uv += rng.normal(0, 3, uv.shape)
    measured = np.stack([place[:, 0] / z, place[:, 1] / z, np.log(z)], -1)
    if pan is not None:
        measured[:, :2] += pan[frame]
    noise = np.stack([0.03 / z, 0.03 / z, np.full_like(z, depth_noise)], -1)
    measured += rng.normal(size=measured.shape) * noise
    seen = Observations(
        frame=frame.astype(np.int64),
        time_s=frame / FPS,
        place=measured,
        place_std=np.stack([0.06 / z, 0.06 / z, np.full_like(z, 0.08)], -1),
        uv=uv,
        confidence=np.ones(uv.shape[:2]),
        focal=np.full(len(z), FOCAL),
        size_px=FOCAL * 1.7 / z,
        log_size=rng.normal(0, 0.03, len(z)),
        score=np.full(len(z), 0.9),
        colour=np.zeros((len(z), 2, 3)),
        colour_weight=np.zeros((len(z), 2)),
        crowding=np.zeros(len(z)),
    )
    return seen, person


def walk(start: list[float], end: list[float], frames: int) -> np.ndarray:
    return np.linspace(start, end, frames)


def switches(label: np.ndarray, person: np.ndarray) -> int:
    """Changes of label along each person's rows, dropped rows left out."""
    return sum(
        int((np.diff(own[own >= 0]) != 0).sum())
        for own in (label[person == p] for p in np.unique(person))
    )


def test_people_apart_are_never_switched() -> None:
    paths = np.stack([
        walk([-3, 0, 6], [-2, 0, 8], 120),
        walk([0, 0, 5], [0.5, 0, 4], 120),
        walk([3, 0, 7], [2, 0, 6], 120),
    ])  # fmt: skip
    seen, person = observe(paths, np.ones((3, 120), dtype=bool))
    label = track(seen, Hungarian3DConfig())
    assert label.max() == 2
    assert (label >= 0).all()
    assert switches(label, person) == 0


@pytest.mark.parametrize("seed", range(6))
def test_crossing_with_occlusion_keeps_identities(seed: int) -> None:
    """Two people cross 1.5 m apart in depth; the far one is unseen for 0.6 s."""
    frames = 100
    paths = np.stack([
        walk([-2, 0, 5], [2, 0, 5], frames),
        walk([2, 0, 6.5], [-2, 0, 6.5], frames),
    ])  # fmt: skip
    visible = np.ones((2, frames), dtype=bool)
    visible[1, 42:57] = False
    seen, person = observe(paths, visible, seed=seed)
    label = track(seen, Hungarian3DConfig())
    assert label.max() == 1
    assert switches(label, person) == 0


def test_reentry_after_a_long_absence() -> None:
    frames = 150
    paths = np.stack([walk([-1, 0, 5], [-1, 0.1, 5], frames), walk([2, 0, 7], [2, 0, 7.2], frames)])
    visible = np.ones((2, frames), dtype=bool)
    visible[0, 60:110] = False
    seen, person = observe(paths, visible)
    label = track(seen, Hungarian3DConfig())
    assert label.max() == 1
    assert switches(label, person) == 0


def test_someone_else_after_an_absence_is_someone_else() -> None:
    frames = 120
    paths = np.stack([walk([-3, 0, 5], [-3, 0, 5], frames), walk([3, 0, 9], [3, 0, 9], frames)])
    visible = np.zeros((2, frames), dtype=bool)
    visible[0, :50] = True
    visible[1, 70:] = True
    seen, person = observe(paths, visible)
    label = track(seen, Hungarian3DConfig())
    assert label.max() == 1
    assert label[person == 0].max() == 0
    assert label[person == 1].min() == 1


def test_a_panning_camera_is_followed() -> None:
    frames = 80
    paths = np.stack([walk([-1, 0, 6], [1, 0, 6], frames), walk([0.2, 0, 8], [0, 0, 8], frames)])
    pan = np.stack([0.4 * np.sin(np.arange(frames) / 12), np.zeros(frames)], -1)
    seen, person = observe(paths, np.ones((2, frames), dtype=bool), pan=pan)
    assert switches(track(seen, Hungarian3DConfig()), person) == 0


def test_duplicates_and_flashes_are_dropped() -> None:
    frames = 40
    paths = np.stack([walk([-1, 0, 5], [0, 0, 5], frames), walk([-1, 0, 5], [0, 0, 5], frames)])
    visible = np.ones((2, frames), dtype=bool)
    seen, person = observe(paths, visible)
    same = Observations(
        **{
            name: getattr(seen, name)
            for name in Observations.__slots__
            if name not in ("uv", "score")
        },
        uv=seen.uv[np.flatnonzero(person == 0)[seen.frame]],
        score=np.where(person == 0, 0.9, 0.5),
    )
    label = track(same, Hungarian3DConfig())
    assert (label[person == 0] == 0).all()
    assert (label[person == 1] == -1).all()


def test_a_few_scattered_sights_are_no_person() -> None:
    frames = 60
    paths = np.stack([walk([-1, 0, 5], [0, 0, 5], frames), walk([2, 0, 9], [2, 0, 9], frames)])
    visible = np.ones((2, frames), dtype=bool)
    visible[1] = False
    visible[1, [10, 12, 15, 19, 24, 28, 33, 38, 43]] = True
    seen, person = observe(paths, visible)
    label = track(seen, Hungarian3DConfig())
    assert (label[person == 0] == 0).all()
    assert (label[person == 1] == -1).all()
    credulous = track(seen, Hungarian3DConfig(min_density=0))
    assert (credulous[person == 1] == 1).any()


def test_a_shot_of_one_frame_keeps_its_people() -> None:
    paths = np.stack([walk([-1, 0, 5], [-1, 0, 5], 1), walk([1, 0, 5], [1, 0, 5], 1)])
    seen, _ = observe(paths, np.ones((2, 1), dtype=bool))
    assert sorted(track(seen, Hungarian3DConfig())) == [0, 1]


def test_no_rows() -> None:
    paths = np.zeros((1, 3, 3))
    seen, _ = observe(paths + 5.0, np.zeros((1, 3), dtype=bool))
    assert len(track(seen, Hungarian3DConfig())) == 0


def test_transition_composes() -> None:
    """Predicting in two steps moves the mean as one step does."""
    config = Hungarian3DConfig()
    depth = np.array([1.5])
    whole, _ = transition(np.array([0.5]), depth, config)
    half, _ = transition(np.array([0.25]), depth, config)
    np.testing.assert_allclose(half[0] @ half[0], whole[0], atol=1e-12)


def test_similarity_is_one_for_the_same_points() -> None:
    uv = np.random.default_rng(0).normal(0, 100, (2, 23, 2))
    ones = np.ones((2, 23))
    similarity = keypoint_similarity(uv, ones, uv, ones, np.full((2, 2), 100.0), 0.1)
    np.testing.assert_allclose(np.diag(similarity), 1)
    assert similarity[0, 1] < 0.6


def test_boxes_in_the_way() -> None:
    frame = np.array([0, 0, 0, 1])
    box = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10], [0, 0, 10, 10]])
    np.testing.assert_allclose(covered(frame, box), [0.5, 0.5, 0, 0])
    nearer = covered(frame, box, np.array([5.0, 4, 3, 1]))
    np.testing.assert_allclose(nearer, [0.5, 0, 0, 0])
    assert len(covered(frame[:0], box[:0])) == 0


def test_two_filters_on_one_person_become_one_track() -> None:
    """Colours that flicker make a second track; both take turns at the same rows."""
    frames = 60
    paths = walk([-1, 0, 5], [1, 0, 5], frames)[None]
    seen, _ = observe(paths, np.ones((1, frames), dtype=bool))
    config = Hungarian3DConfig()
    whole = follow(seen, config)[0]
    odd, even = (replace(whole, rows=whole.rows[i::2]) for i in (1, 0))
    assert [t.rows for t in merge(seen, [even, odd], config)] == [whole.rows]
    other = walk([1, 0, 5], [3, 0, 5], frames)[None]
    both = observe(np.concatenate([paths, other]), np.ones((2, frames), dtype=bool))[0]
    assert len(merge(both, follow(both, config), config)) == 2
