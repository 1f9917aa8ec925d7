"""SMPL's body layer over an embedded, freely licensed body or a licensed SMPL file."""

from multithumbs.body.model import EMBEDDED_BODY, BodyModel, Posed, PosedLinear, load_body
from multithumbs.body.storage import PART_NAMES

__all__ = ["EMBEDDED_BODY", "PART_NAMES", "BodyModel", "Posed", "PosedLinear", "load_body"]
