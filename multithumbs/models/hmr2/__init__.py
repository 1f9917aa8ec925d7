"""HMR2.0 (4D-Humans, MIT): SMPL parameters of one person from a square crop.

Written from ``facts/hmr2.md``. ``network`` is the ViT-H backbone with the SMPL head, under the
official names of its tensors; ``crop`` cuts a person out of an image as the network expects
them; ``camera`` takes its crop camera to the whole image.
"""

from multithumbs.config.bodies import Hmr2Architecture as Architecture
from multithumbs.models.hmr2.camera import transl_from_crop_camera
from multithumbs.models.hmr2.crop import crop_from_image, crop_person, normalised, square_of_box
from multithumbs.models.hmr2.network import HMR2, Prediction, official_key

__all__ = [
    "HMR2",
    "Architecture",
    "Prediction",
    "crop_from_image",
    "crop_person",
    "normalised",
    "official_key",
    "square_of_box",
    "transl_from_crop_camera",
]
