"""Algorithm 1 as printed: AdamW for 500 iterations of stage 2 and 1500 of stage 3."""

from typing import NamedTuple

import torch
from torch import Tensor

from multithumbs.geometry import rigid, rotations
from multithumbs.solvers.alignment import (
    AlignmentProblem,
    AlignmentState,
    AlignmentWeights,
    loss,
)


class AdamWSettings(NamedTuple):
    """What the paper leaves open: learning rates, per parameter and iteration."""

    rotation_rate: float
    """Radians."""
    translation_rate: float
    """Metres."""
    camera_rotation_rate: float
    camera_translation_rate: float
    weight_decay: float


def minimise(
    start: AlignmentState,
    problem: AlignmentProblem,
    weights: AlignmentWeights,
    settings: AdamWSettings,
    *,
    iterations: int,
    cameras: bool,
) -> AlignmentState:
    """One stage: Γ and Φ of all people of all frames, and the cameras where ``cameras``.

    Orientations are parametrised by axis-angle vectors, as SMPL's are.
    """
    orient = rotations.axis_angle_from_matrix(start.rotation).requires_grad_()
    pelvis = start.pelvis.clone().requires_grad_()
    turn = rotations.axis_angle_from_matrix(start.cam_from_scene[:, :3, :3])
    turn.requires_grad_(cameras)
    shift = start.cam_from_scene[:, :3, 3].clone().requires_grad_(cameras)
    groups = [
        {"params": [orient], "lr": settings.rotation_rate},
        {"params": [pelvis], "lr": settings.translation_rate},
    ]
    if cameras:
        groups += [
            {"params": [turn], "lr": settings.camera_rotation_rate},
            {"params": [shift], "lr": settings.camera_translation_rate},
        ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)

    def current() -> AlignmentState:
        return _state(orient, pelvis, turn, shift)

    for _ in range(iterations):
        optimiser.zero_grad()
        loss(current(), problem, weights, start.cam_from_scene).total(weights).sum().backward()
        optimiser.step()
    return AlignmentState(*(field.detach() for field in current()))


def _state(orient: Tensor, pelvis: Tensor, turn: Tensor, shift: Tensor) -> AlignmentState:
    cameras = rigid.compose(rotations.matrix_from_axis_angle(turn), shift)
    return AlignmentState(rotations.matrix_from_axis_angle(orient), pelvis, cameras)
