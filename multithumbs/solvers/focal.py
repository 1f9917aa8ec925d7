"""The focal length of a shot from its people: a weak measurement, weighed against a prior.

Two cues change with the focal length. A body seen from nearby shows perspective (the nearer
hand is larger), which a wrong focal length cannot reproduce: the cost of fitting it rises.
And a wrong focal length tilts the floor under people's feet against the direction in which
they stand upright. Neither is strong next to a keypoint network's own biases, hence the
weights well below one and a posterior rather than a minimum.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.config.intrinsics import PeopleIntrinsicsConfig
from multithumbs.geometry.projection import intrinsics
from multithumbs.solvers.body_fit import fit_rows, gather_evidence, judge

PELVIS, NECK = 0, 12
FEET = (15, 16, 17, 18, 19, 20, 21, 22)
INDEPENDENT_ROWS = 12
"""Rows of one shot that count as independent for the floor."""
ROBUST_STD = 3.0


class FocalEstimate(NamedTuple):
    """Mean and spread of the posterior of the logarithm."""

    focal_px: float
    log_std: float


def estimate_focal(
    model: BodyModel,
    uv: Float[Tensor, "B 23 2"],
    confidence: Float[Tensor, "B 23"],
    xyz: Float[Tensor, "B 23 3"],
    xyz_confidence: Float[Tensor, "B 23"],
    hw: tuple[int, int],
    config: PeopleIntrinsicsConfig,
) -> FocalEstimate:
    """Posterior over focal lengths, given every row of one shot that is to be used."""
    centre = np.log(config.focal_over_diagonal * np.hypot(*hw))
    reach = 2 * config.log_focal_std
    grid = np.linspace(centre - reach, centre + reach, config.grid)
    costs = np.zeros(config.grid)
    for index, log_focal in enumerate(grid):
        K = intrinsics(uv.new_tensor(float(np.exp(log_focal))).expand(len(uv)), hw)
        evidence, landmarks, weight = gather_evidence(
            uv, confidence, xyz, xyz_confidence, K, config.fit
        )
        state = fit_rows(model, evidence, landmarks, weight, config.fit)
        fit = judge(model, evidence, state, config.fit)
        good = (fit.confidence > 0) & fit.cost.isfinite()
        # A row that fails under one focal length must not make that one look cheap.
        worst = float(fit.cost[good].max()) if bool(good.any()) else 0.0
        cost = torch.where(good, fit.cost, torch.full_like(fit.cost, worst))
        posed = model.posed_by_matrices(state.rotmats(), state.betas, state.transl)
        costs[index] = config.evidence_weight * float(cost.sum())
        if int(good.sum()) >= 3:
            costs[index] += config.floor_weight * floor_cost(
                posed.joints[good].numpy(force=True),
                posed.keypoints[good].numpy(force=True),
                config,
            )
    return posterior(grid, costs, centre, config.log_focal_std)


def posterior(
    grid: Float64[np.ndarray, " G"], costs: Float64[np.ndarray, " G"], centre: float, std: float
) -> FocalEstimate:
    """Mean and spread under ``exp(-costs / 2)`` times the prior, between the grid's ends."""
    fine = np.linspace(grid[0], grid[-1], 50 * len(grid))
    energy = CubicSpline(grid, costs)(fine) + ((fine - centre) / std) ** 2
    density = np.exp(-(energy - energy.min()) / 2)
    density /= density.sum()
    mean = float((density * fine).sum())
    spread = float(np.sqrt((density * (fine - mean) ** 2).sum()))
    return FocalEstimate(float(np.exp(mean)), spread)


def floor_cost(
    joints: Float64[np.ndarray, "B 24 3"],
    keypoints: Float64[np.ndarray, "B 23 3"],
    config: PeopleIntrinsicsConfig,
) -> float:
    """How badly the best floor and vertical agree with these bodies, squared deviations.

    Unknown are the downward direction and the camera's height. Moving a body along its ray by
    a share of its depth moves its feet by that share of the camera's height, hence the noise.
    """
    up = joints[:, NECK] - joints[:, PELVIS]
    up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    feet = keypoints[:, FEET]
    share = np.sqrt(min(1.0, INDEPENDENT_ROWS / len(joints)))

    def residuals(unknown: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, " R"]:
        down = np.array([unknown[0], 1.0, unknown[1]])
        down /= np.linalg.norm(down)
        lean = np.linalg.norm(np.cross(up, down), axis=1) / config.upright_std_rad
        height = (feet @ down).max(1) - unknown[2]
        noise = np.hypot(config.floor_std_m, config.stature_std * unknown[2])
        both = np.concatenate([lean, height / noise])
        return share * both / np.sqrt(1 + (both / ROBUST_STD) ** 2)

    mean_up = up.mean(0)
    tilt = -mean_up[[0, 2]] / max(-mean_up[1], 0.2)
    down = np.array([-tilt[0], 1.0, -tilt[1]]) / np.linalg.norm([*tilt, 1.0])
    first = np.array([-tilt[0], -tilt[1], float(np.median((feet @ down).max(1)))])
    return 2 * float(least_squares(residuals, first).cost)
