"""Long videos in pieces of bounded size, whose overlaps are blended."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.backends.people.rows import Rows


class Piece(NamedTuple):
    """Rows that are solved together."""

    rows: Int64[np.ndarray, " M"]
    """Sorted; whole sequences, or one part of a long one."""
    weight: Float64[np.ndarray, " M"]
    """1, or a ramp over the overlap with the neighbouring part."""


def cut_into_pieces(rows: Rows, limit: int, overlap_s: float) -> list[Piece]:
    """Whole sequences packed together up to ``limit`` rows; longer ones cut with overlaps."""
    ends = np.flatnonzero(~rows.linked()) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    pieces: list[Piece] = []
    packed: list[np.ndarray] = []
    size = 0
    for start, end in zip(starts, ends, strict=True):
        index = np.arange(start, end)
        if len(index) > limit:
            pieces += _windows(index, rows.time_s, limit, overlap_s)
            continue
        if size + len(index) > limit:
            pieces.append(_whole(packed))
            packed, size = [], 0
        packed.append(index)
        size += len(index)
    if packed:
        pieces.append(_whole(packed))
    return pieces


def blend(
    pieces: list[Piece],
    results: list[tuple[np.ndarray, np.ndarray]],
    count: int,
) -> tuple[Float64[np.ndarray, "N 24 3"], Float64[np.ndarray, "N 3"]]:
    """Pose (M, 24, 3) and translation (M, 3) of the pieces joined; weighted means in overlaps."""
    pose, transl = np.zeros((count, 24, 3)), np.zeros((count, 3))
    total = np.zeros(count)
    for piece, (part_pose, part_transl) in zip(pieces, results, strict=True):
        seen = total[piece.rows] > 0
        fresh, again = piece.rows[~seen], piece.rows[seen]
        pose[fresh], transl[fresh] = part_pose[~seen], part_transl[~seen]
        total[fresh] = piece.weight[~seen]
        if len(again):
            share = piece.weight[seen] / (total[again] + piece.weight[seen])
            pose[again] = _between(pose[again], part_pose[seen], share)
            transl[again] += share[:, None] * (part_transl[seen] - transl[again])
            total[again] += piece.weight[seen]
    return pose, transl


def _whole(packed: list[np.ndarray]) -> Piece:
    rows = np.concatenate(packed)
    return Piece(rows, np.ones(len(rows)))


def _windows(
    index: Int64[np.ndarray, " L"], time_s: Float64[np.ndarray, " N"], limit: int, overlap_s: float
) -> list[Piece]:
    step = float(time_s[index[-1]] - time_s[index[0]]) / max(len(index) - 1, 1)
    overlap = int(np.clip(round(overlap_s / max(step, 1e-6)), 4, limit // 2))
    count = int(np.ceil((len(index) - overlap) / (limit - overlap)))
    size = int(np.ceil((len(index) + (count - 1) * overlap) / count))  # no more than overlaps need
    first = np.linspace(0, len(index) - size, count).round().astype(int)
    ramp = np.linspace(0, 1, overlap + 2)[1:-1]
    out = []
    for k, start in enumerate(first):
        weight = np.ones(size)
        if k > 0:
            weight[:overlap] = ramp
        if k < count - 1:
            weight[-overlap:] = ramp[::-1]
        out.append(Piece(index[start : start + size], weight))
    return out


def _between(
    first: Float64[np.ndarray, "M 24 3"],
    second: Float64[np.ndarray, "M 24 3"],
    share: Float64[np.ndarray, " M"],
) -> Float64[np.ndarray, "M 24 3"]:
    start = Rotation.from_rotvec(first.reshape(-1, 3))
    arc = (start.inv() * Rotation.from_rotvec(second.reshape(-1, 3))).as_rotvec()
    part = Rotation.from_rotvec(arc * np.repeat(share, 24)[:, None])
    return (start * part).as_rotvec().reshape(first.shape)
