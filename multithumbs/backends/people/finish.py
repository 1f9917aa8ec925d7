"""Rows in ``ground`` -> `People`."""

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.people.ground import posed
from multithumbs.backends.people.rows import Rows
from multithumbs.body import BodyModel
from multithumbs.types import People


def to_people(
    body: BodyModel, rows: Rows, ground_from_world: Float64[np.ndarray, "I 4 4"]
) -> People:
    """The artifact; joints are computed from the parameters that are stored."""
    joints, _ = posed(body, rows)
    return People(
        person=rows.person,
        frame=rows.frame,
        shot=rows.shot,
        island=rows.island,
        pose=rows.pose,
        betas=rows.betas,
        transl=rows.transl,
        joints_ground=joints,
        observed=rows.observed,
        confidence=rows.confidence,
        ground_from_world=ground_from_world,
    )
