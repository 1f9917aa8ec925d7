"""Per-shot, per-row observations in the image: boxes, keypoints, masks, textures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """Person candidates of one shot, sorted by frame."""

    frame: Int64[np.ndarray, " N"]
    box_xyxy: Float64[np.ndarray, "N 4"]
    """Pixels; may reach outside the image."""
    score: Float64[np.ndarray, " N"]
    """0 to 1."""
    roi: Float64[np.ndarray, "N 4"]
    """Oriented square for landmark networks: centre u, v, side (pixels), clockwise angle
    (radians) from the image's up direction to the person's; the box's own square where a
    back-end has no orientation."""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypoints:
    """The 23 keypoints of each detection row."""

    uv: Float64[np.ndarray, "N 23 2"]
    """Pixels; may lie outside the image."""
    confidence: Float64[np.ndarray, "N 23"]
    """0 (absent) to 1."""
    xyz: Float64[np.ndarray, "N 23 3"]
    """Metres along the camera's axes, relative to the middle of the hips; 0 where unknown."""
    xyz_confidence: Float64[np.ndarray, "N 23"]
    """0 where a back-end gives no 3D."""

    def __len__(self) -> int:
        return len(self.uv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """One binary mask per detection row, run-length encoded.

    Runs are COCO's: column-major, alternating background and foreground, background first.
    """

    hw: tuple[int, int]
    counts: Int64[np.ndarray, " R"]
    offsets: Int64[np.ndarray, " N_plus_1"]
    """Runs of row ``n`` are ``counts[offsets[n]:offsets[n + 1]]``; none means no mask."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def from_dense(cls, masks: list[Bool[np.ndarray, "H W"]], hw: tuple[int, int]) -> "Masks":
        """Encode dense masks, all of size ``hw``."""
        return cls.from_runs([encode_runs(mask) for mask in masks], hw)

    @classmethod
    def from_runs(cls, runs: list[Int64[np.ndarray, " _"]], hw: tuple[int, int]) -> "Masks":
        """Join already encoded rows (`encode_runs`): what a streaming stage collects."""
        offsets = np.cumsum([0, *(len(r) for r in runs)], dtype=np.int64)
        counts = np.concatenate(runs) if runs else np.zeros(0, np.int64)
        return cls(hw=hw, counts=counts, offsets=offsets)

    def dense(self, row: int) -> Bool[np.ndarray, "H W"]:
        """The mask of one row; all False where the row has none."""
        runs = self.counts[self.offsets[row] : self.offsets[row + 1]]
        height, width = self.hw
        if len(runs) == 0:
            return np.zeros((height, width), dtype=bool)
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape(width, height).T


def encode_runs(mask: Bool[np.ndarray, "H W"]) -> Int64[np.ndarray, " R"]:
    """COCO run lengths of one mask (column-major, background first)."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds)
    first = [0] if flat.size and flat[0] else []
    return np.concatenate([first, runs]).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Textures:
    """One UV texture per track of a shot, merged over a few frames."""

    track: Int64[np.ndarray, " M"]
    rgb: UInt8[np.ndarray, "M T T 3"]
    weight: Float64[np.ndarray, "M T T"]
    """0 where the texel was never seen, else how well it was seen (cosine of incidence)."""

    def of_tracks(
        self, track: Int64[np.ndarray, " N"]
    ) -> tuple[UInt8[np.ndarray, "N T T 3"], Float64[np.ndarray, "N T T"]]:
        """Colours and weights of some tracks, in their order; never seen where one has none."""
        rgb = np.zeros((len(track), *self.rgb.shape[1:]), dtype=np.uint8)
        weight = np.zeros((len(track), *self.weight.shape[1:]))
        row, column = np.nonzero(track[:, None] == self.track)
        rgb[row], weight[row] = self.rgb[column], self.weight[column]
        return rgb, weight
