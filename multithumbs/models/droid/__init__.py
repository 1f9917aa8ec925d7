"""DROID-SLAM's networks (Teed and Deng, NeurIPS 2021), written from ../shared/facts/droid.md.

``interface`` says what the SLAM system around them may rely on, ``network`` is the module that
the official checkpoint is loaded into, ``correlation`` the all-pairs volume and its low-memory
form. The geometry lives in `multithumbs.geometry.inverse_depth`, the bundle adjustment in
`multithumbs.solvers.dense_ba`.
"""

from multithumbs.models.droid.correlation import CorrelationVolume, OnDemandCorrelation
from multithumbs.models.droid.interface import Correlation, Networks, Update, UpdateOperator
from multithumbs.models.droid.network import Architecture, Droid, strip_official
from multithumbs.models.droid.update import motion_input, upsample_convex

__all__ = [
    "Architecture",
    "Correlation",
    "CorrelationVolume",
    "Droid",
    "Networks",
    "OnDemandCorrelation",
    "Update",
    "UpdateOperator",
    "motion_input",
    "strip_official",
    "upsample_convex",
]
