"""VGGT (facts/vggt.md): written from its published description, loads its official weights."""

from multithumbs.config.boundaries_vggt import VggtArchitecture as Architecture
from multithumbs.models.vggt.network import Prediction, Vggt, official_key

__all__ = ["Architecture", "Prediction", "Vggt", "official_key"]
