"""Finished results that tests of outputs and scores share: two people walking in circles."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.types.outputs import Result

SHOT_FRAMES = 12
HW = (180, 320)


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body(EMBEDDED_BODY)


def look_at(eye, target):
    """``world_from_cam`` of an upright camera in a world with +y up."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=1)
    return matrix


def walk(body: BodyModel, person: int, frame: np.ndarray, fps: float):
    """Pose (T, 24, 3), betas (T, 10), transl (T, 3) of someone who walks in a circle."""
    time = frame / fps
    angle = time * 0.9 + person * 2.4
    centre = np.array([(-1.1, 0.0, 0.3), (1.0, 0.0, -0.4), (0.0, 0.0, 1.8)][person % 3])
    pose = np.zeros((len(frame), 24, 3))
    pose[:, 0, 1] = -angle
    swing = 0.5 * np.sin(time * 2 * np.pi * 0.9 + person)
    pose[:, 1, 0], pose[:, 2, 0] = swing, -swing
    pose[:, 4, 0], pose[:, 5, 0] = 0.4 + 0.4 * np.abs(swing), 0.4 + 0.4 * np.abs(swing)
    pose[:, 16, 2], pose[:, 17, 2] = -1.2, 1.2
    pose[:, 16, 1], pose[:, 17, 1] = swing, swing
    betas = np.zeros((len(frame), 10))
    betas[:, :3] = (0.8, -0.5, 0.3) if person % 2 == 0 else (-0.9, 0.6, 0.1)
    rest = body.rest_vertices(torch.from_numpy(betas[0]).to(body.dtype))
    position = centre + 0.9 * np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    return pose, betas, position - np.array([0.0, float(rest[:, 1].min()), 0.0])


def circles(
    body: BodyModel,
    *,
    num_people: int = 2,
    shot_frames: int = SHOT_FRAMES,
    hw: tuple[int, int] = HW,
    num_shots: int = 2,
    islands: tuple[int, ...] | None = None,
) -> Result:
    """Everyone in every frame; each shot from another side, the second one moving."""
    fps = Fraction(30000, 1001)
    frame = np.arange(num_shots * shot_frames)
    shot = frame // shot_frames
    island = np.array(islands or (0,) * num_shots)[shot]
    eyes = np.array([(0.0, 1.6, 6.0), (-4.6, 1.9, -3.2), (3.0, 1.5, 3.5)])[shot % 3]
    eyes[shot == 1] += np.linspace(0, 0.8, (shot == 1).sum())[:, None] * [1.0, 0.0, -0.2]
    world_from_cam = np.stack([look_at(eye, (0.0, 0.9, 0.0)) for eye in eyes])
    focal = 1.1 * hw[1]
    K = np.array([[focal, 0, hw[1] / 2], [0, focal, hw[0] / 2], [0, 0, 1]])
    motions = [walk(body, person, frame, float(fps)) for person in range(num_people)]
    pose, betas, transl = (
        np.concatenate([m[i] for m in motions]) if motions else np.zeros(empty)
        for i, empty in enumerate([(0, 24, 3), (0, 10), (0, 3)])
    )
    joints = body.posed(*(torch.from_numpy(x).to(body.dtype) for x in (pose, betas, transl)))
    observed = np.ones(len(pose), bool)
    observed[shot_frames - 2 : shot_frames] = False
    return Result(
        person=np.repeat(np.arange(num_people), len(frame)),
        frame=np.tile(frame, num_people),
        shot=np.tile(shot, num_people),
        island=np.tile(island, num_people),
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:].reshape(-1, 69),
        betas=betas,
        transl=transl,
        joints_world=joints.joints.double().numpy(),
        observed=observed,
        confidence=np.where(observed, 0.9, 0.2),
        camera_frame=frame,
        K=np.repeat(K[None], len(frame), 0),
        world_from_cam=world_from_cam,
        camera_island=island,
        shot_start=np.arange(num_shots) * shot_frames,
        shot_end=(np.arange(num_shots) + 1) * shot_frames,
        fps=fps,
        body_model=body.name,
        profile="embedded",
        licences=("embedded body: CC0-1.0", "BlazePose: Apache-2.0"),
    )


@pytest.fixture(scope="session")
def two_shots(body) -> Result:
    return circles(body)


@pytest.fixture(scope="session")
def two_islands(body) -> Result:
    return circles(body, islands=(0, 1))


@pytest.fixture(scope="session")
def nobody(body) -> Result:
    return circles(body, num_people=0)
