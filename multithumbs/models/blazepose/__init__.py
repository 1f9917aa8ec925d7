"""BlazePose (Google's MediaPipe models, Apache-2.0): our decoding around two LiteRT networks.

A 224 x 224 detector proposes oriented square regions around people; a 256 x 256 landmark
network turns one region into 39 image landmarks, 33 metric ones, a pose flag and a
segmentation. ``region`` is the geometry between them, ``detector`` and ``landmarks`` decode
raw outputs (pure NumPy), ``network`` runs the files.
"""

from multithumbs.models.blazepose.detector import Candidates, decode_candidates
from multithumbs.models.blazepose.landmarks import Landmarks, decode_landmarks
from multithumbs.models.blazepose.network import DetectorNetwork, LandmarkNetwork

__all__ = [
    "Candidates",
    "DetectorNetwork",
    "LandmarkNetwork",
    "Landmarks",
    "decode_candidates",
    "decode_landmarks",
]
