"""BlazePose (Google's MediaPipe models, Apache-2.0): our decoding around two LiteRT networks.

A 224 x 224 detector proposes oriented square regions around people; a 256 x 256 landmark
network turns one region into 39 image landmarks, 33 metric ones, a pose flag and a
segmentation; a 192 x 192 network says whether a head shows its face. ``region`` is the geometry
between them, ``detector``, ``landmarks`` and ``face`` read raw outputs (pure NumPy), ``network``
runs the files.
"""

from multithumbs.models.blazepose.detector import Candidates, decode_candidates
from multithumbs.models.blazepose.landmarks import Landmarks, decode_landmarks
from multithumbs.models.blazepose.network import DetectorNetwork, FaceNetwork, LandmarkNetwork

__all__ = [
    "Candidates",
    "DetectorNetwork",
    "FaceNetwork",
    "LandmarkNetwork",
    "Landmarks",
    "decode_candidates",
    "decode_landmarks",
]
