"""SegFollow on made-up masks: boxes that move, hide and come back."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.config.tracks import SegFollowConfig
from multithumbs.solvers.segfollow import (
    MaskObservations,
    follow_masks,
    motion_consistency,
    repeated,
)

FPS = 25.0
WIDTH, HEIGHT = 60.0, 160.0
DEFAULT = SegFollowConfig()
RED, BLUE = np.array([1.0, 0.1, 0.0]), np.array([0.0, 0.1, 1.0])


def observe(
    x: np.ndarray,
    visible: np.ndarray,
    *,
    colours: tuple[np.ndarray, ...] = (RED, BLUE),
    shown: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[MaskObservations, np.ndarray]:
    """Upright masks with centres ``x`` (P, T) where ``visible``; ``shown`` is the seen share of
    their width, from the left."""
    rng = np.random.default_rng(seed)
    person, frame = np.nonzero(visible)
    order = np.lexsort((rng.permutation(len(frame)), frame))
    person, frame = person[order], frame[order]
    share = np.ones(len(frame)) if shown is None else shown[person, frame]
    left = x[person, frame] - WIDTH / 2
    box = np.stack([left, 0 * left + 50, left + share * WIDTH, 0 * left + 50 + HEIGHT], -1)
    box += rng.normal(0, 1.5, box.shape)
    feature = np.array([c / np.linalg.norm(c) for c in colours])[person]
    seen = MaskObservations(
        frame=frame.astype(np.int64),
        time_s=frame / FPS,
        box_xyxy=box,
        area=0.6 * np.prod(box[:, 2:] - box[:, :2], axis=1),
        score=np.full(len(frame), 0.9),
        feature=feature,
    )
    return seen, person


def follow(seen: MaskObservations, config: SegFollowConfig) -> np.ndarray:
    """With boxes for masks."""

    def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return motion_consistency(seen.box_xyxy[a], seen.box_xyxy[b])[0]

    return follow_masks(seen, overlap, config)


def switches(label: np.ndarray, person: np.ndarray) -> int:
    return sum(
        int((np.diff(own[own >= 0]) != 0).sum())
        for own in (label[person == p] for p in np.unique(person))
    )


def crossing(frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two pass each other; the second is hidden while they overlap."""
    x = np.stack([np.linspace(100, 500, frames), np.linspace(500, 100, frames)])
    visible = np.ones(x.shape, dtype=bool)
    visible[1] = np.abs(x[0] - x[1]) > 0.8 * WIDTH
    return x, visible


@pytest.mark.parametrize("alike", [False, True])
def test_motion_carries_identities_through_an_occlusion(alike: bool) -> None:
    x, visible = crossing()
    seen, person = observe(x, visible, colours=(RED, RED) if alike else (RED, BLUE))
    label = follow(seen, DEFAULT)
    assert (label >= 0).all()
    assert label.max() == 1
    assert switches(label, person) == 0


def test_looks_decide_who_turned_back() -> None:
    """Two meet and go back where they came from: motion expects them to go on."""
    frames = 60
    half = np.linspace(100, 290, frames // 2)
    x = np.stack([np.r_[half, half[::-1]], 600 - np.r_[half, half[::-1]]])
    visible = np.ones(x.shape, dtype=bool)
    visible[1] = np.abs(x[0] - x[1]) > 0.8 * WIDTH
    seen, person = observe(x, visible)
    assert switches(follow(seen, DEFAULT), person) == 0
    forgetful = SegFollowConfig(max_unseen_s=0.05)
    assert switches(follow(seen, forgetful), person) > 0


def test_half_seen_boxes_do_not_move_the_filter() -> None:
    """Somebody stands still; for a while only their left third shows, then they are gone."""
    frames = 60
    x = np.full((1, frames), 300.0)
    visible = np.ones((1, frames), dtype=bool)
    visible[0, 30:40] = False
    shown = np.ones((1, frames))
    shown[0, 20:30] = 0.35
    seen, _ = observe(x, visible, shown=shown)
    gated = follow(seen, DEFAULT)
    assert (gated == 0).all()


def test_a_long_absence_ends_a_track() -> None:
    x = np.full((1, 200), 300.0)
    visible = np.ones((1, 200), dtype=bool)
    visible[0, 30:160] = False
    seen, _ = observe(x, visible)
    label = follow(seen, DEFAULT)
    assert label[:30].max() == 0
    assert label[30:].min() == 1
    patient = SegFollowConfig(max_unseen_s=10.0)
    assert (follow(seen, patient) == 0).all()


def test_flashes_are_no_tracks() -> None:
    x = np.stack([np.full(40, 100.0), np.full(40, 400.0)])
    visible = np.ones(x.shape, dtype=bool)
    visible[1] = False
    visible[1, [7, 20, 21]] = True
    seen, person = observe(x, visible)
    label = follow(seen, DEFAULT)
    assert (label[person == 0] == 0).all()
    assert (label[person == 1] == -1).all()


def test_the_order_within_a_frame_does_not_matter() -> None:
    x, visible = crossing()
    seen, person = observe(x, visible)
    order = np.lexsort((person[::-1], seen.frame[::-1]))
    order = np.arange(len(seen))[::-1][order]
    names = MaskObservations.__slots__
    turned = MaskObservations(**{name: getattr(seen, name)[order] for name in names})
    first, second = follow(seen, DEFAULT)[order], follow(turned, DEFAULT)
    for track in np.unique(first):
        assert len(np.unique(second[first == track])) == 1


def test_nobody_and_a_single_frame() -> None:
    x, visible = crossing(1)
    seen, _ = observe(x, visible)
    assert sorted(follow(seen, DEFAULT).tolist()) == [0, 1]
    nobody, _ = observe(x, visible & False)
    assert len(follow(nobody, DEFAULT)) == 0


def test_unknown_looks_are_neutral() -> None:
    x, visible = crossing()
    seen, person = observe(x, visible)
    blind = replace(seen, feature=np.zeros((len(seen), 1)))
    assert switches(follow(blind, DEFAULT), person) == 0


def test_motion_consistency_is_iou() -> None:
    box = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    iou, inside = motion_consistency(box[:1], box)
    np.testing.assert_allclose(iou, [[1, 1 / 3, 0]])
    np.testing.assert_allclose(inside, [[1, 0.5, 0]])


def test_repeated_masks() -> None:
    frame = np.array([0, 0, 0, 1])
    iou = np.eye(4)
    iou[0, 1] = iou[1, 0] = 0.9
    iou[1, 2] = iou[2, 1] = 0.8
    drop = repeated(frame, np.array([0.9, 0.5, 0.4, 0.3]), lambda a, b: iou[np.ix_(a, b)], 0.7)
    # The third repeats the second only, which is dropped itself.
    assert drop.tolist() == [False, True, False, False]
    assert len(repeated(frame[:0], np.zeros(0), lambda a, b: iou[np.ix_(a, b)], 0.7)) == 0
