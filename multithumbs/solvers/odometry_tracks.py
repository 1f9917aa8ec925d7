"""Observations of background points, as flat arrays: what every motion model reads."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class PointTracks:
    """``O`` observations of background points in the ``T`` frames of one shot, sorted by frame."""

    num_frames: int
    frame: Int64[np.ndarray, " O"]
    """0-based within the shot."""
    point: Int64[np.ndarray, " O"]
    """0, 1, ... in order of first appearance."""
    uv: Float64[np.ndarray, "O 2"]
    """Pixels of the full image."""

    @property
    def num_points(self) -> int:
        return int(self.point.max()) + 1 if len(self.point) else 0

    def frame_slices(self) -> Int64[np.ndarray, " T_plus_1"]:
        """Observations of frame ``t`` are ``[out[t], out[t + 1])``."""
        return np.searchsorted(self.frame, np.arange(self.num_frames + 1)).astype(np.int64)

    def count_per_frame(self) -> Int64[np.ndarray, " T"]:
        return np.bincount(self.frame, minlength=self.num_frames).astype(np.int64)

    def first_observation(self) -> Int64[np.ndarray, " P"]:
        """Index of each point's first observation."""
        first = np.full(self.num_points, len(self.point), dtype=np.int64)
        np.minimum.at(first, self.point, np.arange(len(self.point)))
        return first

    def at_frames(
        self, frames: Int64[np.ndarray, " K"]
    ) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"], Float64[np.ndarray, "M 2"]]:
        """The observations in some frames: position in ``frames``, point, pixels."""
        position = np.full(self.num_frames, -1, dtype=np.int64)
        position[frames] = np.arange(len(frames))
        keep = position[self.frame] >= 0
        return position[self.frame[keep]], self.point[keep], self.uv[keep]


def grouped_median(
    values: Float64[np.ndarray, " O"], group: Int64[np.ndarray, " O"], num_groups: int
) -> Float64[np.ndarray, " G"]:
    """Lower median of the values of each group; NaN for empty groups."""
    order = np.lexsort((values, group))
    bounds = np.searchsorted(group[order], np.arange(num_groups + 1))
    count = np.diff(bounds)
    middle = bounds[:-1] + np.maximum(count - 1, 0) // 2
    out = np.full(num_groups, np.nan)
    out[count > 0] = values[order][middle[count > 0]]
    return out


def select_points(tracks: PointTracks, keep: Bool[np.ndarray, " P"]) -> PointTracks:
    """Only the observations of some points (their numbers stay)."""
    chosen = keep[tracks.point]
    return PointTracks(
        num_frames=tracks.num_frames,
        frame=tracks.frame[chosen],
        point=tracks.point[chosen],
        uv=tracks.uv[chosen],
    )
