"""VPoser v2 (facts/vposer.md): written from its published description."""

from multithumbs.config.people import VPoserArchitecture as Architecture
from multithumbs.models.vposer.network import JOINTS, Posterior, VPoser, official_key

__all__ = ["JOINTS", "Architecture", "Posterior", "VPoser", "official_key"]
