"""Decoding of the landmark network: image landmarks, their heat maps, metric landmarks.

Facts (MediaPipe's ``pose_landmark`` graphs): input 256 x 256 RGB in [0, 1]; 39 landmarks of
(x, y, z, visibility, presence) in input pixels, the last two as logits; landmarks 33 and 34
are the centre and the scale point of the person's next region; a pose flag that already is a
probability; segmentation logits; 64 x 64 heat-map logits per landmark; 39 metric landmarks
around the middle of the hips, along the crop's axes (x right, y down, z away).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from multithumbs.models.blazepose.detector import sigmoid
from multithumbs.models.blazepose.region import (
    apply_affine,
    crop_from_image,
    image_from_crop,
    region_from_points,
)

INPUT_SIDE = 256
NUM_LANDMARKS = 33
CENTRE, SCALE = 33, 34
SHOULDERS, HIPS = (11, 12), (23, 24)
"""Left and right."""
REFINE_RADIUS = 3
"""Heat-map cells on either side of a landmark that refine it (the graph's kernel of 7)."""
REFINE_MIN_PEAK = 0.5
"""Least heat-map probability near a landmark that lets it be moved (the graph's)."""
CELL_CENTRE = 0.1
"""Where in a heat-map cell its value belongs, in cells: not the middle, because the network's
strided convolutions pad on one side only. Measured: at this value the heat maps agree with the
regressed landmarks, and a mirrored crop gives mirrored landmarks, both to 0.1 crop pixels; at
0.5 mirrored landmarks are 4.2 crop pixels apart."""
HIDDEN = 0.2
"""Factor on the visibility of landmarks behind somebody else."""

MIRROR = np.array(
    [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21,
     24, 23, 26, 25, 28, 27, 30, 29, 32, 31, 33, 34]
)  # fmt: skip
"""Landmark that each of the first 35 becomes in a mirrored image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """One person as the landmark network sees them in one region."""

    roi: Float64[np.ndarray, "4"]
    uv: Float64[np.ndarray, "35 2"]
    """Image pixels; rows 33 and 34 span the next region."""
    visibility: Float64[np.ndarray, " 35"]
    """Probability of lying in the frame and not being hidden."""
    presence: Float64[np.ndarray, " 35"]
    """Probability of lying in the frame."""
    xyz: Float64[np.ndarray, "33 3"]
    """Metres along the camera's axes, relative to the middle of the hips."""
    flag: float
    """Probability that the region holds a person."""
    segmentation: Float32[np.ndarray, "256 256"]
    """Logits in the region's crop."""

    @property
    def next_roi(self) -> Float64[np.ndarray, "4"]:
        """The region that these landmarks put around the person."""
        return region_from_points(self.uv[CENTRE], self.uv[SCALE])


def decode_landmarks(
    landmarks: Float32[np.ndarray, "195"],
    flag: float,
    segmentation: Float32[np.ndarray, "256 256"],
    heatmap: Float32[np.ndarray, "64 64 39"],
    world: Float32[np.ndarray, "117"],
    roi: Float64[np.ndarray, "4"],
    *,
    mirrored: bool = False,
) -> Landmarks:
    """Raw outputs for the crop of ``roi``, or for its mirror image, -> landmarks in the image."""
    rows = landmarks.reshape(39, 5)[:35].astype(np.float64)
    xyz = world.reshape(39, 3)[:NUM_LANDMARKS].astype(np.float64)
    crop_uv = refine(rows[:, :2], heatmap[..., :35])
    if mirrored:
        rows, crop_uv, xyz = rows[MIRROR], crop_uv[MIRROR], xyz[MIRROR[:NUM_LANDMARKS]]
        crop_uv = crop_uv * (-1, 1) + (INPUT_SIDE, 0)
        xyz = xyz * (-1, 1, 1)
        segmentation = segmentation[:, ::-1]
    return Landmarks(
        roi=roi,
        uv=apply_affine(image_from_crop(roi, INPUT_SIDE), crop_uv),
        visibility=sigmoid(rows[:, 3]),
        presence=sigmoid(rows[:, 4]),
        xyz=turn(xyz, roi[3]),
        flag=flag,
        segmentation=segmentation,
    )


def hide(seen: Landmarks, hidden: Bool[np.ndarray, "256 256"]) -> Landmarks:
    """Lower the visibility of landmarks where the crop was painted over: they are guesses."""
    column, row = crop_index(seen, seen.uv)
    return replace(seen, visibility=seen.visibility * np.where(hidden[row, column], HIDDEN, 1.0))


def crop_index(
    seen: Landmarks, uv: Float64[np.ndarray, "n 2"]
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Column and row of the crop's pixel nearest to each image point."""
    crop_uv = apply_affine(crop_from_image(seen.roi, INPUT_SIDE), uv)
    column, row = np.floor(crop_uv).clip(0, INPUT_SIDE - 1).astype(np.int64).T
    return column, row


def refine(
    crop_uv: Float64[np.ndarray, "L 2"], heatmap: Float32[np.ndarray, "h w L"]
) -> Float64[np.ndarray, "L 2"]:
    """Replace each landmark by the centre of mass of its heat map around it.

    Landmarks whose heat map has no clear peak there keep their regressed position.
    """
    height, width, count = heatmap.shape
    cell = INPUT_SIDE / width
    offset = np.arange(-REFINE_RADIUS, REFINE_RADIUS + 1)
    home = np.floor(crop_uv / cell).astype(np.int64)
    row = home[:, 1, None, None] + offset[:, None]
    column = home[:, 0, None, None] + offset[None, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    index = np.arange(count)[:, None, None]
    logits = heatmap[row.clip(0, height - 1), column.clip(0, width - 1), index]
    mass = np.where(inside, sigmoid(logits), 0.0)
    total = mass.sum((1, 2))
    moved = np.stack([(mass * column).sum((1, 2)), (mass * row).sum((1, 2))], -1)
    moved = (moved / np.maximum(total, 1e-12)[:, None] + CELL_CENTRE) * cell
    return np.where((mass.max((1, 2)) >= REFINE_MIN_PEAK)[:, None], moved, crop_uv)


def turn(xyz: Float64[np.ndarray, "*b 3"], angle: float) -> Float64[np.ndarray, "*b 3"]:
    """Points along a region's axes -> along the camera's (both z forward)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return xyz @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
