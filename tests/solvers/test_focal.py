"""Focal lengths from people whose camera is known."""

import math

import numpy as np
import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.config.bodies import FitConfig
from multithumbs.config.intrinsics import PeopleIntrinsicsConfig
from multithumbs.geometry.projection import intrinsics, project
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.solvers.focal import estimate_focal, floor_cost, posterior

HW = (720, 1280)
CONFIG = PeopleIntrinsicsConfig(
    grid=5, evidence_weight=1.0, fit=FitConfig(landmarks_face_ray=False, iterations=10)
)
BODY = load_body(EMBEDDED_BODY)


def crowd(pitch: float, count: int = 8, seed: int = 0):
    """Joints and keypoints in ``cam`` of people who stand on one floor, arms and legs moving."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((count, 24, 3))
    down = matrix_from_axis_angle(torch.tensor([math.pi + pitch, 0, 0], dtype=torch.float64))
    turn = np.stack([np.zeros(count), rng.uniform(-3, 3, count), np.zeros(count)], -1)
    root = down @ matrix_from_axis_angle(torch.from_numpy(turn))
    pose[:, 0] = axis_angle_from_matrix(root).numpy()
    pose[:, 16] = [0, -0.6, -0.8]
    pose[:, 17] = [0, 0.9, 0.4]
    pose[:, 18, 1], pose[:, 19, 1] = -0.7, 0.9
    betas = torch.zeros(count, 10, dtype=torch.float64)
    still = torch.zeros(count, 3, dtype=torch.float64)
    posed = BODY.posed(torch.from_numpy(pose), betas, still)
    # The floor, 1.5 m below the camera, in the camera's axes.
    normal = down[:, 1].numpy()
    ahead = np.cross(normal, np.array([1.0, 0, 0]))
    place = rng.uniform(2, 4, (count, 1)) * ahead + rng.uniform(-0.8, 0.8, (count, 1)) * [1, 0, 0]
    low = (posed.keypoints.numpy() @ -normal).max(1)
    place -= normal * (1.5 - low)[:, None]
    shift = torch.from_numpy(place)[:, None]
    return posed.joints + shift, posed.keypoints + shift


@pytest.mark.parametrize("ratio", [0.75, 1.4])
def test_clean_keypoints_tell_the_focal_length(ratio: float) -> None:
    _, points = crowd(pitch=0.15)
    focal = ratio * math.hypot(*HW)
    K = intrinsics(torch.full((len(points),), focal, dtype=torch.float64), HW)
    sure = torch.full(points.shape[:2], 0.9, dtype=torch.float64)
    xyz = points - points[:, 11:13].mean(1, keepdim=True)
    found = estimate_focal(BODY, project(points, K), sure, xyz, sure, HW, CONFIG)
    prior = CONFIG.focal_over_diagonal * math.hypot(*HW)
    assert abs(math.log(found.focal_px / focal)) < 0.5 * abs(math.log(prior / focal))
    assert 0 < found.log_std < CONFIG.log_focal_std


def test_the_true_floor_costs_least() -> None:
    joints, points = (x.numpy() for x in crowd(pitch=0.3))
    true = floor_cost(joints, points, CONFIG)
    stretched = floor_cost(joints * [1, 1, 1.5], points * [1, 1, 1.5], CONFIG)
    assert true < 0.5 * stretched


def test_without_evidence_the_posterior_is_the_prior() -> None:
    grid = np.linspace(-1, 1, 9)
    found = posterior(grid, np.zeros(9), 0.0, 0.25)
    assert math.isclose(found.focal_px, 1, abs_tol=1e-6)
    assert math.isclose(found.log_std, 0.25, abs_tol=0.01)


def test_evidence_moves_and_narrows_the_posterior() -> None:
    grid = np.linspace(-1, 1, 9)
    found = posterior(grid, ((grid - 0.4) / 0.25) ** 2, 0.0, 0.25)
    assert math.isclose(math.log(found.focal_px), 0.2, abs_tol=0.01)
    assert math.isclose(found.log_std, 0.25 / math.sqrt(2), abs_tol=0.01)
