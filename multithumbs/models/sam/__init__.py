"""SAM and SAM 2.1 (both Apache-2.0), prompted with boxes, through ``transformers``.

Written from ``facts/groundedsam.md``. ``network`` builds the ports with the official constants,
``checkpoint`` and ``checkpoint_sam2`` map the official files onto them, ``pixels`` holds the pure
functions before and after the networks.
"""

from multithumbs.config.masks import Sam2Architecture, SamArchitecture
from multithumbs.models.sam.network import build_sam, build_sam2

__all__ = ["Sam2Architecture", "SamArchitecture", "build_sam", "build_sam2"]
