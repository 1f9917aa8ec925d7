"""Identities across shots, and the final people."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Which track of which shot is which person (paper section 3.4)."""

    shot: Int64[np.ndarray, " M"]
    track: Int64[np.ndarray, " M"]
    person: Int64[np.ndarray, " M"]
    confidence: Float64[np.ndarray, " M"]
    """Of the link that ties this track to its person; 1 where the person has one track."""
    by_appearance: Bool[np.ndarray, " M"]
    """True where the link spans islands and so rests on appearance alone."""
    link_shot: Int64[np.ndarray, "L 2"]
    link_track: Int64[np.ndarray, "L 2"]
    link_distance_m: Float64[np.ndarray, " L"]
    link_cost: Float64[np.ndarray, " L"]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Everyone's motion, one row per person and frame, sorted by person, then frame."""

    person: Int64[np.ndarray, " N"]
    frame: Int64[np.ndarray, " N"]
    shot: Int64[np.ndarray, " N"]
    island: Int64[np.ndarray, " N"]
    pose: Float64[np.ndarray, "N 24 3"]
    """Axis-angle; row 0 is the global orientation in ``ground``."""
    betas: Float64[np.ndarray, "N 10"]
    """Equal in all rows of one person."""
    transl: Float64[np.ndarray, "N 3"]
    joints_ground: Float64[np.ndarray, "N 24 3"]
    observed: Bool[np.ndarray, " N"]
    """False where the motion bridges a gap."""
    confidence: Float64[np.ndarray, " N"]
    ground_from_world: Float64[np.ndarray, "I 4 4"]
    """Per island; the rigid transform that puts the floor at y = 0 with +y up."""
