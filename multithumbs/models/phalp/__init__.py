"""PHALP's two networks (facts/phalp.md section 2), written from their tensors and constants.

`AppearanceEncoder` turns a UV texture into a vector; `PosePredictor` turns a track's past poses
into its next ones. Everything else that PHALP does is arithmetic: `multithumbs.solvers.phalp_cost`.
"""

from multithumbs.models.phalp.encoder import (
    AppearanceEncoder,
    Architecture,
    encoder_name,
    process_uv_image,
)
from multithumbs.models.phalp.predictor import (
    PosePredictor,
    PredictorArchitecture,
    predictor_name,
)

__all__ = [
    "AppearanceEncoder",
    "Architecture",
    "PosePredictor",
    "PredictorArchitecture",
    "encoder_name",
    "predictor_name",
    "process_uv_image",
]
