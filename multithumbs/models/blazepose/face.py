"""Whether a head shows its face: the region that the face network looks at, and what it says.

Facts (MediaPipe's ``face_landmark`` graph): input 192 x 192 RGB in [0, 1]; 468 landmarks, and the
logit that the input shows a face. Only the logit is used. The graph frames a face by a detector's
box; here the head's landmarks frame it, which are there for people seen from behind, too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from multithumbs.models.blazepose.landmarks import HIPS, SHOULDERS, Landmarks

INPUT_SIDE = 192
HEAD = (0, 2, 5, 7, 8)
"""Nose, eyes and ears."""
FACE_OF_TORSO = 0.5
"""Side of the region over the torso's length. Measured on rendered people: at 0.42 or 0.6 a front
and a back are told apart less well."""
MIN_TORSO = 0.12
"""A torso seen shorter than this, over the region's side, is seen from its end."""


class Face(NamedTuple):
    """What the face network says of one head."""

    logit: float
    """That the region shows a face; also low for a blurred one."""
    sharpness: float
    """See `sharpness`."""


def sharpness(pixels: Float32[np.ndarray, "S S 3"]) -> float:
    """The 90th percentile of the Laplacian's size over a crop with values in [0, 1].

    A percentile, since the border of the image may run through the crop.
    """
    edges = cv2.Laplacian(pixels.mean(-1), cv2.CV_32F)
    return float(np.percentile(np.abs(edges), 90))


def torso(reading: Landmarks) -> Float64[np.ndarray, "2"]:
    """From the middle of the hips to that of the shoulders, pixels."""
    return reading.uv[list(SHOULDERS)].mean(0) - reading.uv[list(HIPS)].mean(0)


def torso_length(reading: Landmarks) -> float:
    """Of `torso`, pixels; at least `MIN_TORSO`."""
    return max(float(np.linalg.norm(torso(reading))), MIN_TORSO * float(reading.roi[2]))


def face_region(readings: Sequence[Landmarks]) -> Float64[np.ndarray, "4"]:
    """The oriented square ``(cu, cv, side, angle)`` around the head that the readings agree on."""
    centre = np.mean([reading.uv[list(HEAD)].mean(0) for reading in readings], axis=0)
    side = FACE_OF_TORSO * np.mean([torso_length(reading) for reading in readings])
    return np.array([*centre, side, readings[0].roi[3]])
