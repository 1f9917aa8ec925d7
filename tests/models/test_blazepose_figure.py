"""The stick figure against silhouettes of a real body, and of one it does not belong to."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.models.blazepose import Landmarks
from multithumbs.models.blazepose.figure import agreement, stick_figure
from multithumbs.models.blazepose.landmarks import INPUT_SIDE, NUM_LANDMARKS
from multithumbs.models.blazepose.region import apply_affine, crop_from_image, image_from_crop
from multithumbs.models.blazepose.skeleton import LANDMARK_OF_KEYPOINT

HW = (400, 500)
ROI = np.array([250.0, 200.0, 380.0, 0.0])
PIXELS_PER_METRE = 160.0


def standing(turn: float, *, lowered: float = 1.2) -> Landmarks:
    """Someone upright, turned by ``turn`` radians, arms lowered by ``lowered``."""
    body = load_body(EMBEDDED_BODY)
    pose = torch.zeros(1, 24, 3, dtype=body.dtype)
    pose[0, 0, 1] = turn
    pose[0, 16, 2], pose[0, 17, 2] = -lowered, lowered
    state = pose, torch.zeros(1, 10, dtype=body.dtype), torch.zeros(1, 3, dtype=body.dtype)
    posed = body.posed(*state)
    pelvis = posed.joints[0, 0].numpy()

    def metric(points: torch.Tensor) -> np.ndarray:
        return (points.numpy() - pelvis) * (1, -1, -1)

    known = np.flatnonzero(LANDMARK_OF_KEYPOINT >= 0)
    keypoints = metric(posed.keypoints[0])
    xyz = np.tile(keypoints[9], (NUM_LANDMARKS, 1))  # fingers and lips: at a wrist
    xyz[LANDMARK_OF_KEYPOINT[known]] = keypoints[known]
    uv = ROI[:2] + PIXELS_PER_METRE * np.vstack([xyz, np.zeros((2, 3))])[:, :2]
    vertices = ROI[:2] + PIXELS_PER_METRE * metric(body.vertices(*state)[0])[:, :2]
    corners = apply_affine(crop_from_image(ROI, INPUT_SIDE), vertices).round().astype(np.int32)
    shown = np.zeros((INPUT_SIDE, INPUT_SIDE), dtype=np.uint8)
    for face in body.faces.numpy():
        cv2.fillConvexPoly(shown, corners[face], (1,))
    return Landmarks(
        roi=ROI,
        uv=uv,
        visibility=np.ones(35),
        presence=np.ones(35),
        xyz=xyz,
        flag=1.0,
        segmentation=np.where(shown > 0, 5.0, -5.0).astype(np.float32),
    )


@pytest.mark.parametrize("turn", [0.0, 0.8, np.pi / 2, np.pi])
@pytest.mark.parametrize("lowered", [0.2, 1.2])
def test_a_body_agrees_with_its_own_silhouette(turn, lowered):
    assert agreement(standing(turn, lowered=lowered), HW) > 0.7


@pytest.mark.parametrize("turn", [0.0, np.pi / 2])
def test_half_a_body_does_not_agree_with_a_whole_silhouette(turn):
    person = standing(turn)
    top = person.uv[:NUM_LANDMARKS].min(0)
    squeezed = replace(person, uv=top + (person.uv - top) / 2)
    assert agreement(squeezed, HW) < agreement(person, HW) - 0.3


def test_only_what_the_image_shows_counts():
    """Legs below the image's edge neither help nor harm."""
    person = standing(0.0)
    knees = int(person.uv[[25, 26], 1].mean())
    cut = person.segmentation.copy()
    v = apply_affine(
        image_from_crop(ROI, INPUT_SIDE), np.stack([np.zeros(256), np.arange(256) + 0.5], -1)
    )[:, 1]
    cut[v >= knees] = -5.0
    seen = replace(person, segmentation=cut)
    assert agreement(seen, (knees, HW[1])) > 0.7
    assert agreement(seen, (knees, HW[1])) > agreement(seen, HW) + 0.1


def test_nothing_in_the_image_agrees_with_nothing():
    person = standing(0.0)
    away = replace(person, uv=person.uv + 5000, segmentation=np.full_like(person.segmentation, -5))
    assert agreement(away, HW) == 0.0


def test_the_figure_is_as_thick_as_the_metric_landmarks_say():
    person = standing(0.0)
    slim = stick_figure(replace(person, xyz=2 * person.xyz)).sum()
    assert slim < 0.75 * stick_figure(person).sum()
