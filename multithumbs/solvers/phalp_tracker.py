"""PHALP's tracker: predict every track's appearance, place and pose, match, and remember.

The life cycle is 4DHumans' (facts/phalp.md section 5): every unmatched detection starts a track, a
track is confirmed by its fifth consecutive sight and dies after fifty frames unseen, or at its
first miss before it is confirmed. Pure of networks and images: what compares textures and what
predicts poses are given as functions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64

from multithumbs.solvers.phalp_cost import Distance, Expected, assign, association_cost, terms
from multithumbs.solvers.phalp_location import predict_places
from multithumbs.solvers.phalp_texture import blend

Compare: TypeAlias = Callable[
    [Float[np.ndarray, "T 4 S S"], Float[np.ndarray, "N 4 S S"]], Float64[np.ndarray, "T N"]
]
PredictPose: TypeAlias = Callable[
    [Float64[np.ndarray, "T H 229"], Int64[np.ndarray, "T H"], Int64[np.ndarray, " T"]],
    Float64[np.ndarray, "T 229"],
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The published numbers are 100, 7, 50, 5 and 0.1."""

    distance: Distance
    max_cost: float
    history: int
    """Sights that places and poses are predicted from."""
    max_age: int
    """Frames unseen after which a track ends."""
    confirm_hits: int
    blend: float
    """Share of a new texture in the memory, times its squared confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sights:
    """The people of one frame."""

    frame: int
    row: Int64[np.ndarray, " N"]
    """Their detection rows."""
    pose: Float64[np.ndarray, "N 229"]
    """Rotation matrices of the 24 joints, betas, camera."""
    xy: Float64[np.ndarray, "N 2"]
    """The body's origin in the square image of side 1."""
    camera: Float64[np.ndarray, "N 3"]
    """The same point in PHALP's camera (focal length 5000 at 256 pixels), metres."""
    confidence: Float64[np.ndarray, " N"]
    texture: Float[np.ndarray, "N 4 S S"]
    """As the encoder wants it; S is 0 where no appearance is compared."""


@dataclass(slots=True, eq=False)
class _Track:
    """One person; histories are filled with the first sight."""

    frame: list[int]
    pose: list[Float64[np.ndarray, "229"]]
    xy: list[Float64[np.ndarray, "2"]]
    depth: list[float]
    texture: Float[np.ndarray, "4 S S"]
    next_pose: Float64[np.ndarray, "229"]
    next_xy: Float64[np.ndarray, "2"]
    next_depth: float
    next_spread: Float64[np.ndarray, "3"]
    rows: list[int] = field(default_factory=list)
    unseen: int = 0


class PhalpTracker:
    """Follows people frame by frame; call `step` for every frame, also for empty ones."""

    def __init__(
        self, settings: Settings, compare: Compare, predict_pose: PredictPose | None = None
    ) -> None:
        self._settings = settings
        self._compare = compare
        self._predict_pose = predict_pose
        self._active: list[_Track] = []
        self._ended: list[_Track] = []

    def step(self, seen: Sights) -> None:
        """Match the people of the next frame, or begin tracks with them."""
        for track in self._active:
            track.unseen += 1
        pairs = self._match(seen)
        for index, entry in pairs:
            self._extend(self._active[index], seen, entry)
        matched = {index for index, _ in pairs}
        survivors = []
        for index, track in enumerate(self._active):
            if index in matched or self._waits(track):
                survivors.append(track)
            else:
                self._ended.append(track)
        self._predict(survivors)
        taken = {entry for _, entry in pairs}
        begun = [self._begin(seen, n) for n in range(len(seen.row)) if n not in taken]
        self._active = survivors + begun

    def labels(self, num_rows: int, confirm_hits: int) -> Int64[np.ndarray, " num_rows"]:
        """Track of each row in order of first appearance; -1 for rows of unconfirmed tracks.

        A confirmed track's first rows, seen before it was confirmed, are its own.
        """
        label = np.full(num_rows, -1, dtype=np.int64)
        everyone = [t for t in self._ended + self._active if len(t.rows) >= confirm_hits]
        for index, track in enumerate(sorted(everyone, key=lambda t: t.rows[0])):
            label[track.rows] = index
        return label

    def _match(self, seen: Sights) -> list[tuple[int, int]]:
        tracks = self._active
        if not tracks or len(seen.row) == 0:
            return []
        expected = Expected(
            xy=np.array([t.next_xy for t in tracks]),
            depth=np.array([t.next_depth for t in tracks]),
            spread=np.array([t.next_spread for t in tracks]),
        )
        pose = np.array([t.next_pose for t in tracks])
        cost = association_cost(
            self._compare(np.array([t.texture for t in tracks]), seen.texture),
            terms(pose, expected, seen.pose, seen.xy, seen.camera[:, 2]),
            self._settings.distance,
        )
        return assign(cost, self._settings.max_cost)

    def _begin(self, seen: Sights, n: int) -> _Track:
        length = self._settings.history
        return _Track(
            frame=[seen.frame] * length,
            pose=[seen.pose[n]] * length,
            xy=[seen.xy[n]] * length,
            depth=[float(seen.camera[n, 2])] * length,
            texture=seen.texture[n],
            next_pose=seen.pose[n],
            next_xy=seen.xy[n],
            next_depth=float(seen.camera[n, 2]),
            # Upstream's: a new track's camera stands where an old one's intervals do.
            next_spread=seen.camera[n],
            rows=[int(seen.row[n])],
        )

    def _extend(self, track: _Track, seen: Sights, n: int) -> None:
        track.frame = [*track.frame[1:], seen.frame]
        track.pose = [*track.pose[1:], seen.pose[n]]
        track.xy = [*track.xy[1:], seen.xy[n]]
        track.depth = [*track.depth[1:], float(seen.camera[n, 2])]
        track.texture = blend(
            track.texture, seen.texture[n], float(seen.confidence[n]), self._settings.blend
        )
        track.rows.append(int(seen.row[n]))
        track.unseen = 0

    def _waits(self, track: _Track) -> bool:
        confirmed = len(track.rows) >= self._settings.confirm_hits
        return confirmed and track.unseen <= self._settings.max_age

    def _predict(self, tracks: list[_Track]) -> None:
        if not tracks:
            return
        frame = np.array([t.frame for t in tracks], dtype=np.int64)
        unseen = np.array([t.unseen for t in tracks], dtype=np.int64)
        expected = predict_places(
            frame, np.array([t.xy for t in tracks]), np.array([t.depth for t in tracks]), unseen
        )
        history = np.array([t.pose for t in tracks])
        pose = history[:, -1]
        if self._predict_pose is not None:
            pose = self._predict_pose(history, frame, unseen)
        for n, track in enumerate(tracks):
            track.next_xy, track.next_depth = expected.xy[n], float(expected.depth[n])
            track.next_spread, track.next_pose = expected.spread[n], pose[n]
