"""The paper's post-processing on gathered rows."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from multithumbs.backends.people.ground import on_ground
from multithumbs.backends.people.rows import Rows
from multithumbs.backends.threads import one_thread
from multithumbs.body import BodyModel
from multithumbs.config.people import AdamWPeopleConfig
from multithumbs.models.vposer import JOINTS, VPoser
from multithumbs.solvers.smoothing_adamw import (
    Bodies,
    Crossing,
    PoseLatent,
    joint_limits,
    minimise,
)
from multithumbs.types import Cameras


@one_thread()
def refine(
    body: BodyModel,
    rows: Rows,
    cameras: Cameras,
    config: AdamWPeopleConfig,
    progress: Callable[[int, int], None],
    vposer: VPoser | None = None,
) -> tuple[Rows, Float64[np.ndarray, "I 4 4"]]:
    """Rows in ``ground``, and ``ground_from_world`` of every island.

    ``vposer`` gives Eq. 10's latent code; without it what passes the joints' limits stands in.
    """
    latent = joint_limits if vposer is None else partial(_code, vposer)
    if len(rows):
        rows = _minimise(body, rows, config, progress, latent)
    return on_ground(body, rows, cameras, config.ground)


def _code(vposer: VPoser, body_pose: Float[Tensor, "N 23 3"]) -> Float[Tensor, "N Z"]:
    """Zeta of Eq. 10: the mean of what VPoser makes of a pose, hands left out."""
    return vposer.encode(body_pose[:, :JOINTS]).mean


def _minimise(
    body: BodyModel,
    rows: Rows,
    config: AdamWPeopleConfig,
    progress: Callable[[int, int], None],
    latent: PoseLatent,
) -> Rows:
    _, first, person = np.unique(rows.person, return_index=True, return_inverse=True)
    out = minimise(
        body,
        Bodies(*(body.tensor(x) for x in (rows.pose, rows.transl, rows.betas[first]))),
        torch.from_numpy(person).to(body.device),
        torch.from_numpy(np.flatnonzero(rows.linked())).to(body.device),
        _crossing(rows, body),
        latent,
        smooth_weight=config.smooth_weight,
        cross_weight=config.cross_weight,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        iterations=config.iterations,
        progress=lambda done: progress(done, config.iterations),
    )
    pose, transl, betas = (x.double().numpy(force=True) for x in out)
    return replace(rows, pose=pose, transl=transl, betas=betas[person])


def _crossing(rows: Rows, body: BodyModel) -> Crossing:
    """Both directions across every cut, for people who were seen on both of its sides."""
    before = np.flatnonzero(rows.linked()[:-1] & (np.diff(rows.shot) != 0))
    before = before[rows.observed[before] & rows.observed[before + 1]]
    row = np.concatenate([before, before + 1])
    other = np.concatenate([before + 1, before])
    return Crossing(
        row=torch.from_numpy(row).to(body.device),
        cam_from_world=body.tensor(rows.cam_from_world[other]),
        K=body.tensor(rows.K[other]),
        uv=body.tensor(rows.uv[other]),
        weight=body.tensor((rows.uv_confidence[other] > 0).astype(np.float64)),
    )
