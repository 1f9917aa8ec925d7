"""Stage `tracks`: rows of bodies, keypoints and frames become tracks."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from multithumbs.backends.tracks.appearance import describe
from multithumbs.config.tracks import Hungarian3DConfig
from multithumbs.stages import tracks
from multithumbs.types import Bodies, Detections, Frame, Keypoints, Masks, Tracks, VideoInfo
from multithumbs.types.work import Runtime, Work

HW = (240, 426)
FOCAL = 480.0
FRAMES = 60
COLOURS = np.array([[220, 30, 30], [30, 30, 220]], np.uint8)
FIGURE = np.random.default_rng(1).uniform([-0.25, -0.85], [0.25, 0.85], (23, 2))
FIGURE[[5, 6, 11, 12]] = [[0.18, -0.5], [-0.18, -0.5], [0.12, 0.05], [-0.12, 0.05]]


class Painted:
    """Two people as plain rectangles of their colours, the nearer one in front."""

    def __init__(self, places: np.ndarray) -> None:
        self.places = places  # (2, T, 3)
        self.info = VideoInfo(
            sha256="",
            hw=HW,
            frame_rate=Fraction(25),
            timestamps_s=np.arange(places.shape[1]) / 25,
        )

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self.frame(index))

    def frame(self, index: int) -> np.ndarray:
        rgb = np.full((*HW, 3), 128, np.uint8)
        for person in np.argsort(-self.places[:, index, 2]):
            low, high = box(self.places[person, index]).reshape(2, 2).astype(int)
            low = np.maximum(low, 0)
            rgb[low[1] : high[1], low[0] : high[0]] = COLOURS[person]
        return rgb


def box(place: np.ndarray) -> np.ndarray:
    corner = np.array([[-0.3, -0.9], [0.3, 0.9]])
    return (FOCAL * (place[:2] + corner) / place[2] + [HW[1] / 2, HW[0] / 2]).reshape(-1)


def scene(crossing: bool) -> tuple[Painted, Detections, Keypoints, Bodies, np.ndarray]:
    """Two who meet, stand together unseen apart, and part again (or pass one another)."""
    half = FRAMES // 2
    to_middle = np.linspace(1.5, 0, half)
    away = to_middle[::-1]
    sign = -1 if crossing else 1
    x = np.stack([np.r_[-to_middle, -sign * away], np.r_[to_middle, sign * away]])
    places = np.stack([x, 0 * x, np.array([[5.0], [5.4]]) + 0 * x], -1)
    person, frame = (a.reshape(-1) for a in np.indices((2, FRAMES)))
    # Both are seen as one while they overlap: only the nearer has a row.
    keep = (person == 0) | (np.abs(x[person, frame]) > 0.25)
    order = np.lexsort((person, frame))
    order = order[keep[order]]
    person, frame = person[order], frame[order]
    place = places[person, frame]
    uv = FOCAL * (place[:, None, :2] + FIGURE) / place[:, None, 2:] + [HW[1] / 2, HW[0] / 2]
    count = len(frame)
    joints = np.repeat(place[:, None], 24, 1)
    joints[:, 12, 1] -= 0.25
    joints[:, 0, 1] += 0.25
    K = np.array([[FOCAL, 0, HW[1] / 2], [0, FOCAL, HW[0] / 2], [0, 0, 1]])
    detections = Detections(
        frame=frame.astype(np.int64),
        box_xyxy=np.stack([box(p) for p in place]),
        score=np.full(count, 0.9),
        roi=np.zeros((count, 4)),
    )
    keypoints = Keypoints(
        uv=uv,
        confidence=np.ones((count, 23)),
        xyz=np.zeros((count, 23, 3)),
        xyz_confidence=np.zeros((count, 23)),
    )
    bodies = Bodies(
        pose=np.zeros((count, 24, 3)),
        betas=np.zeros((count, 10)),
        transl=place,
        joints_cam=joints,
        K=np.repeat(K[None], count, 0),
        confidence=np.ones(count),
        residual_px=np.ones(count),
    )
    return Painted(places), detections, keypoints, bodies, person


def run(
    video: Painted, detections: Detections, keypoints: Keypoints, bodies: Bodies, **fields: float
) -> Tracks:
    work = Work(
        video=video,
        config=Hungarian3DConfig(**fields),
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=Path(),
        checkpoints={},
        progress=lambda done, total: None,
    )
    masks = Masks.from_runs([], HW)
    return tracks.run(work, detections=detections, keypoints=keypoints, bodies=bodies, masks=masks)


@pytest.mark.parametrize("crossing", [False, True])
def test_clothes_decide_where_motion_cannot(crossing: bool) -> None:
    video, detections, keypoints, bodies, person = scene(crossing)
    found = run(video, detections, keypoints, bodies)
    np.testing.assert_array_equal(found.track, person)


def test_rows_without_a_body_are_still_followed() -> None:
    video, detections, keypoints, bodies, person = scene(crossing=False)
    confidence = bodies.confidence.copy()
    confidence[::5] = 0
    fields = {name: getattr(bodies, name) for name in Bodies.__slots__}
    found = run(video, detections, keypoints, Bodies(**(fields | {"confidence": confidence})))
    np.testing.assert_array_equal(found.track, person)


def test_no_rows() -> None:
    video, detections, keypoints, bodies, _ = scene(crossing=False)
    empty = [
        type(rows)(**{name: getattr(rows, name)[:0] for name in type(rows).__slots__})
        for rows in (detections, keypoints, bodies)
    ]
    assert len(run(video, *empty)) == 0


def test_colours_are_those_painted() -> None:
    video, detections, keypoints, _, person = scene(crossing=False)
    colour, weight = describe(video, detections, keypoints)
    apart = detections.frame < 10
    torso = colour[apart, 4]
    assert float(weight[apart, 4].min()) > 0.9
    # In CIELAB red is high in a*, blue low in b*.
    assert float(torso[person[apart] == 0, 1].min()) > 40
    assert float(torso[person[apart] == 1, 2].max()) < -40
