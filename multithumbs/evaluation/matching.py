"""Who is whom: predicted rows to true people, frame by frame, and what follows for identities.

The two worlds have no common frame, so people are matched where both can be seen: in the
image. In each frame the Hungarian method minimises the sum of distances, where the distance
of a predicted from a true person is the mean pixel distance of their projected joints (those
whose true position lies inside the image) divided by the diagonal of the true person's joint
box. Pairs beyond `GATE` are no pairs. Matching knows nothing of identities, so a wrong
identity costs in the identity numbers and nowhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.evaluation.scene import Scene

GATE = 0.25
"""Largest distance of a pair, in diagonals of the true person's joint box."""

MIN_JOINTS = 4
"""With fewer true joints inside the image all joints are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Pairs of rows, sorted by true person, then frame."""

    true_row: Int64[np.ndarray, " M"]
    predicted_row: Int64[np.ndarray, " M"]
    distance: Float64[np.ndarray, " M"]

    def where(self, keep: Bool[np.ndarray, " M"]) -> "Matches":
        """The pairs that ``keep`` marks."""
        return Matches(
            true_row=self.true_row[keep],
            predicted_row=self.predicted_row[keep],
            distance=self.distance[keep],
        )


def match(predicted: Scene, true: Scene, hw: tuple[int, int]) -> Matches:
    """Match every frame on its own. True people whom the camera does not see well may be
    matched too (they are not demanded, but a row on them is no false one)."""
    rows: list[tuple[int, int, float]] = []
    for _, t, p, cost in frame_distances(predicted, true, hw):
        if not (len(t) and len(p)):
            continue
        # Beyond the gate one pair is as bad as another, and worse than any pair within it.
        i, j = linear_sum_assignment(np.minimum(cost, 10 * GATE))
        good = cost[i, j] <= GATE
        rows += zip(t[i[good]], p[j[good]], cost[i, j][good], strict=True)
    true_row = np.array([row[0] for row in rows], np.int64)
    order = np.lexsort((true.frame[true_row], true.person[true_row]))
    return Matches(
        true_row=true_row[order],
        predicted_row=np.array([row[1] for row in rows], np.int64)[order],
        distance=np.array([row[2] for row in rows], np.float64)[order],
    )


def frame_distances(
    predicted: Scene, true: Scene, hw: tuple[int, int]
) -> Iterator[
    tuple[
        int,
        Int64[np.ndarray, " Q"],
        Int64[np.ndarray, " P"],
        Float64[np.ndarray, "Q P"],
    ]
]:
    """Every frame that has anyone: its number, true rows, predicted rows, their distances."""
    predicted_uv, true_uv = predicted.uv(), true.uv()
    inside = _inside(true_uv, hw)
    for frame in np.union1d(predicted.frame, true.frame).tolist():
        p = np.flatnonzero(predicted.frame == frame)
        t = np.flatnonzero(true.frame == frame)
        yield frame, t, p, _distances(predicted_uv[p], true_uv[t], inside[t])


def _inside(uv: Float64[np.ndarray, "N 24 2"], hw: tuple[int, int]) -> Bool[np.ndarray, "N 24"]:
    inside = ((uv >= 0) & (uv < np.array(hw[::-1]))).all(-1)  # NaN compares false
    few = inside.sum(1) < MIN_JOINTS
    return inside | (few[..., None] & np.isfinite(uv).all(-1))


def _distances(
    predicted_uv: Float64[np.ndarray, "P 24 2"],
    true_uv: Float64[np.ndarray, "Q 24 2"],
    counts: Bool[np.ndarray, "Q 24"],
) -> Float64[np.ndarray, "Q P"]:
    """Infinite where a joint that counts is behind a camera."""
    visible = np.isfinite(true_uv)
    low = np.where(visible, true_uv, np.inf).min(1)
    high = np.where(visible, true_uv, -np.inf).max(1)
    diagonal = np.linalg.norm(np.maximum(high - low, 1.0), axis=-1)
    pixels = np.linalg.norm(true_uv[:, None] - predicted_uv[None], axis=-1)
    mean = np.where(counts[:, None], pixels, 0).sum(-1) / np.maximum(counts.sum(-1), 1)[:, None]
    comparable = (counts.sum(1) > 0)[:, None] & np.isfinite(mean)
    return np.where(comparable, mean / diagonal[:, None], np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A true person whose predicted identity changes."""

    true_person: int
    frame: int
    """First frame under the new identity."""
    before: int
    after: int
    across_cut: bool


def identity_switches(predicted: Scene, true: Scene, matches: Matches) -> tuple[Switch, ...]:
    """IDs: changes of identity from one matched frame of a true person to the next one; a count.

    The paper's Table 2 (section 4.1: "identity consistency via identity switches") counts those
    at cuts, and says no more: MOTA's switches (Bernardin and Stiefelhagen 2008), told apart.
    A change counts as across a cut where the two frames lie in different true shots, also
    when the person was out of sight for whole shots between them.
    """
    frame = true.frame[matches.true_row]
    person = true.person[matches.true_row]
    identity = predicted.person[matches.predicted_row]
    shot = true.shot_of(frame)
    changed = (person[1:] == person[:-1]) & (identity[1:] != identity[:-1])
    return tuple(
        Switch(
            true_person=int(person[i + 1]),
            frame=int(frame[i + 1]),
            before=int(identity[i]),
            after=int(identity[i + 1]),
            across_cut=bool(shot[i] != shot[i + 1]),
        )
        for i in np.flatnonzero(changed)
    )


def shared_identities(predicted: Scene, true: Scene, matches: Matches) -> int:
    """How many true people too many the identities stand for: two people under one identity
    count one. (No switch shows it when the second appears after the first has left.)"""
    pairs = np.stack(
        [predicted.person[matches.predicted_row], true.person[matches.true_row]], axis=1
    )
    pairs, frames = np.unique(pairs, axis=0, return_counts=True)
    owners = 0
    for identity in np.unique(pairs[:, 0]):
        mine = frames[pairs[:, 0] == identity]
        # A frame or two in a crossing is a switch, not a second owner.
        owners += int((mine > 0.2 * mine.sum()).sum()) - 1
    return owners
