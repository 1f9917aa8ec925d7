"""Stage `bodies` with HMR2: the whole adapter around tiny networks of random or chosen weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from multithumbs.backends.bodies.hmr2 import turned_to_ray
from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.config.bodies import Hmr2Architecture, Hmr2Config
from multithumbs.errors import CheckpointError
from multithumbs.geometry.projection import project
from multithumbs.geometry.rotations import (
    angle_between,
    axis_angle_from_matrix,
    matrix_from_axis_angle,
)
from multithumbs.models.hmr2 import (
    HMR2,
    crop_person,
    normalised,
    square_of_box,
    transl_from_crop_camera,
)
from multithumbs.stages import bodies
from multithumbs.types import Bodies, Detections, Intrinsics, Keypoints

from ..golden.filler import fill
from .frames import FrameList, work_on

TINY = Hmr2Architecture(
    width=16, depth=1, heads=2, head_width=16, head_depth=2, head_heads=2, head_dim=8, head_mlp=16
)
HW = (180, 320)
K = np.array([[400.0, 0, 150.0], [0, 400.0, 100.0], [0, 0, 1]])
CAMERA = (0.9, 0.1, -0.05)
LENS = Intrinsics(K=K, source="given", log_focal_std=0.0)
BODY = load_body(EMBEDDED_BODY)
WIDE = torch.tensor([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]]).double()
"""82 degrees over 1920 pixels."""


def weights(**overrides: torch.Tensor) -> dict[str, torch.Tensor]:
    state = HMR2(TINY).state_dict()
    filled = {k: torch.from_numpy(fill(k, tuple(v.shape))).float() for k, v in state.items()}
    filled["smpl_head.init_cam"] = torch.tensor([CAMERA])
    filled["smpl_head.deccam.weight"] *= 0.1
    return {**filled, **overrides}


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """As released: a Lightning file with parts that are not needed."""
    return save(tmp_path / "hmr2.ckpt", weights())


def save(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    rest = {
        "initialized": torch.tensor(True),
        "discriminator.fc.weight": torch.zeros(2, 2),
        "smpl.v_template": torch.zeros(5, 3),
    }
    torch.save({"epoch": 35, "state_dict": {**rest, **tensors}}, path)
    return path


def people() -> Detections:
    boxes = [
        (20, 10, 90, 170), (200.5, 30, 300, 120), (-30, 60, 60, 200), (100, 20, 160, 150),
        (250, 90, 340, 220),
    ]  # fmt: skip
    box = np.array(boxes, dtype=np.float64)
    return detected(box, np.array([3, 3, 4, 6, 6]))


def detected(box: np.ndarray, frame: np.ndarray) -> Detections:
    centre, side = square_of_box(box)
    roi = np.concatenate([centre, side[:, None], 0 * side[:, None]], axis=1)
    score = np.linspace(0.9, 0.5, len(box))
    return Detections(frame=frame, box_xyxy=box, score=score, roi=roi)


def clip(shift: tuple[int, int] = (0, 0)) -> FrameList:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (8, *HW, 3), dtype=np.uint8)
    return FrameList(np.roll(frames, shift, axis=(1, 2)))


def run(
    checkpoint: Path,
    people: Detections,
    *,
    video: FrameList | None = None,
    keypoints: Keypoints | None = None,
    lens: Intrinsics = LENS,
    **options,
) -> Bodies:
    config = Hmr2Config(architecture=TINY, **options)
    work = work_on(video or clip(), config, {"hmr2": checkpoint}, shot=(2, 8))
    work = replace(work, body_npz=EMBEDDED_BODY)
    return bodies.run(work, detections=people, keypoints=keypoints, intrinsics=lens)


def test_every_row_is_the_networks_reading_of_its_crop(checkpoint):
    rows = people()
    found = run(checkpoint, rows, face_ray=False)
    network = HMR2(TINY).eval()
    network.load_state_dict(weights())
    video = clip()
    centres, sides = square_of_box(rows.box_xyxy)
    for n, (centre, side) in enumerate(zip(centres, sides, strict=True)):
        crop = crop_person(video.frame(rows.frame[n]), centre - 0.5, float(side), blur=True)
        with torch.inference_mode():
            rotmats, betas, camera = network(normalised(torch.from_numpy(crop)[None]))
        ours = matrix_from_axis_angle(torch.from_numpy(found.pose[n])).float()
        torch.testing.assert_close(ours, rotmats[0], atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.betas[n], betas[0], atol=1e-4)
        s, x, y = camera[0].double().tolist()
        expected = [
            x + 2 * (centre[0] - K[0, 2]) / (side * s),
            y + 2 * (centre[1] - K[1, 2]) / (side * s),
            2 * 400 / (side * s),
        ]
        np.testing.assert_allclose(found.transl[n], expected, atol=1e-4)
    assert np.array_equal(found.confidence, rows.score)
    assert np.array_equal(found.residual_px, np.zeros(5))
    assert np.array_equal(found.K, np.broadcast_to(K, (5, 3, 3)))
    posed = BODY.posed(*(torch.from_numpy(v) for v in (found.pose, found.betas, found.transl)))
    np.testing.assert_allclose(found.joints_cam, posed.joints, atol=1e-9)


def test_batches_do_not_matter_nor_memory_that_runs_out(checkpoint, monkeypatch):
    whole = run(checkpoint, people(), batch=100)
    single = run(checkpoint, people(), batch=1)
    plain, tried = HMR2.forward, []

    def forward(self, crops):
        tried.append(len(crops))
        if len(crops) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, crops)

    monkeypatch.setattr(HMR2, "forward", forward)
    halved = run(checkpoint, people(), batch=5)
    assert tried == [5, 2, 2, 1]
    for name in ("pose", "betas", "transl", "joints_cam"):
        np.testing.assert_allclose(getattr(single, name), getattr(whole, name), atol=1e-4)
        np.testing.assert_allclose(getattr(halved, name), getattr(whole, name), atol=1e-4)


def test_a_moved_picture_moves_the_body_and_nothing_else(checkpoint):
    """Whole pixels: the same crops, so that only the place may change."""
    box = np.array([[100.0, 60.0, 150.0, 130.0]])
    here = run(checkpoint, detected(box, np.array([3])), face_ray=False)
    moved = detected(box + np.tile([40, 20], 2), np.array([3]))
    there = run(checkpoint, moved, video=clip((20, 40)), face_ray=False)
    np.testing.assert_allclose(there.pose, here.pose, atol=1e-6)
    shift = here.transl[0, 2] * np.array([40, 20]) / 400
    np.testing.assert_allclose(there.transl[0] - here.transl[0], [*shift, 0], atol=1e-5)


def test_the_body_is_seen_where_the_crop_camera_says(tmp_path):
    """A network that always answers with a standing body: its origin is at the box's centre."""
    constant = weights()
    for part, answer in (("decpose", [1.0, 0, 0, 0, 1, 0] * 24), ("decshape", [0.0] * 10)):
        constant[f"smpl_head.{part}.weight"] *= 0
        constant[f"smpl_head.{part}.bias"] = torch.tensor(answer)
    constant["smpl_head.deccam.weight"] *= 0
    constant["smpl_head.deccam.bias"] *= 0
    for name, size in (("body_pose", 144), ("betas", 10)):
        constant[f"smpl_head.init_{name}"] = torch.zeros(1, size)
    constant["smpl_head.init_cam"] = torch.tensor([[0.8, 0.0, 0.0]])
    rows = people()
    found = run(save(tmp_path / "hmr2.ckpt", constant), rows, face_ray=False)
    np.testing.assert_allclose(found.pose, 0, atol=1e-6)
    centre, side = square_of_box(rows.box_xyxy)
    uv = found.transl @ K.T
    np.testing.assert_allclose(uv[:, :2] / uv[:, 2:], centre, atol=1e-4)
    np.testing.assert_allclose(400 / found.transl[:, 2], 0.8 * side / 2, rtol=1e-5)
    rest = BODY.rest_joints(torch.zeros(10).double()).numpy()
    np.testing.assert_allclose(found.joints_cam, rest + found.transl[:, None], atol=1e-5)


def test_people_off_the_axis_are_turned_by_the_angle_of_their_ray(checkpoint):
    plain = run(checkpoint, people(), face_ray=False)
    turned = run(checkpoint, people())
    for name in ("betas", "transl", "confidence"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(plain, name))
    np.testing.assert_array_equal(turned.pose[:, 1:], plain.pose[:, 1:])
    np.testing.assert_allclose(turned.joints_cam[:, 0], plain.joints_cam[:, 0], atol=1e-9)
    before, after = (
        matrix_from_axis_angle(torch.from_numpy(b.pose[:, 0])) for b in (plain, turned)
    )
    ray = torch.from_numpy(plain.joints_cam[:, 0])
    ahead = (after @ before.mT)[..., 2]
    torch.testing.assert_close(ahead, ray / ray.norm(dim=-1, keepdim=True), atol=1e-6, rtol=0)


def answer_to_a_crop(
    pose: torch.Tensor, place: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a network says that reprojects into its crop as HMR2 was taught to: a long lens.

    Returns the orientation (3, 3), our ``transl`` (3,), and the pixels of the keypoints (23, 2).
    """
    betas = torch.zeros(10).double()
    seen = project(BODY.posed(pose, betas, place).keypoints, WIDE)
    box = torch.cat([seen.amin(0) - 10, seen.amax(0) + 10])[None]
    centre, side = (torch.from_numpy(v) for v in square_of_box(box.numpy()))
    wanted = (seen - centre) / side
    long_lens = torch.tensor([5000 / 256, 5000 / 256, 1]).double().diag()
    truth = matrix_from_axis_angle(pose[0])

    def crop_error(p: np.ndarray) -> np.ndarray:
        orient = axis_angle_from_matrix(matrix_from_axis_angle(torch.from_numpy(p[:3])) @ truth)
        transl = torch.tensor([p[4], p[5], 2 * 5000 / (256 * p[3])])
        posed = BODY.posed(torch.cat([orient[None], pose[1:]]), betas, transl)
        return (project(posed.keypoints, long_lens) - wanted).flatten().numpy()

    best = torch.from_numpy(least_squares(crop_error, [0, 0, 0, 0.8, 0, 0]).x)
    transl = transl_from_crop_camera(best[None, 3:], centre, side, WIDE[None])[0]
    return matrix_from_axis_angle(best[:3]) @ truth, transl, seen


@pytest.mark.parametrize("off_axis", [0.0, 0.4, -0.6])
def test_answers_that_fit_their_crops_are_right_once_turned(off_axis):
    """Under a wide lens their orientation is wrong by the angle of the ray; turned, only what a
    long lens cannot see of a near body is left."""
    betas, place = torch.zeros(10).double(), torch.tensor([5 * off_axis, 0.2, 5.0]).double()
    upright = matrix_from_axis_angle(torch.tensor([np.pi, 0, 0]).double())
    errors = []
    for seed in range(6):
        pose = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.2, (24, 3)))
        truth = upright @ matrix_from_axis_angle(torch.tensor([0, 1.1 * seed, 0]).double())
        pose[0] = axis_angle_from_matrix(truth)
        plain, transl, seen = answer_to_a_crop(pose, place)
        turned = turned_to_ray(plain[None], betas[None], transl[None], BODY)[0]
        for orient in (plain, turned):
            pose[0] = axis_angle_from_matrix(orient)
            again = project(BODY.posed(pose, betas, transl).keypoints, WIDE)
            rms_px = float((again - seen).square().sum(-1).mean().sqrt())
            errors.append((np.degrees(float(angle_between(orient, truth))), rms_px))
        # A wide lens magnifies what is off its axis, so that it seems nearer; the ray is right.
        assert abs(float(transl[2] / place[2]) - 1) < 0.12
        np.testing.assert_allclose(transl / transl[2], place / place[2], atol=0.02)
    (plain_deg, plain_px), (turned_deg, turned_px) = np.reshape(errors, (6, 2, 2)).mean(0)
    assert turned_deg < 8
    assert turned_px < 9
    assert abs(plain_deg - np.degrees(np.arctan(abs(off_axis)))) < 4
    assert off_axis == 0 or plain_px > 4 * turned_px


def test_the_residual_is_in_pixels(checkpoint):
    found = run(checkpoint, people())
    posed = BODY.posed(*(torch.from_numpy(v) for v in (found.pose, found.betas, found.transl)))
    seen = posed.keypoints.numpy() @ K.T
    uv = seen[..., :2] / seen[..., 2:]
    confidence = np.full(uv.shape[:2], 0.7)
    confidence[1, 3:] = 0
    confidence[2] = 0
    uv[0] += (3, 4)
    uv[1, 3:] = 1e6
    joints = Keypoints(
        uv=uv, confidence=confidence, xyz=np.zeros((5, 23, 3)), xyz_confidence=np.zeros((5, 23))
    )
    compared = run(checkpoint, people(), keypoints=joints)
    np.testing.assert_allclose(compared.residual_px, [5, 0, 0, 0, 0], atol=1e-6)


def test_rows_that_fail_say_so(tmp_path):
    """Boxes of no size; a body behind the camera; numbers that overflow."""
    rows = people()
    box = rows.box_xyxy.copy()
    box[0] = (50, 50, 51, 51)
    box[1] = np.nan
    found = run(save(tmp_path / "hmr2.ckpt", weights()), replace(rows, box_xyxy=box))
    assert np.array_equal(found.confidence > 0, [False, False, True, True, True])
    behind = weights(**{"smpl_head.init_cam": torch.tensor([[-5.0, 0, 0]])})
    overflow = weights(**{"smpl_head.decshape.bias": torch.full((10,), torch.inf)})
    for bad in (behind, overflow):
        found = run(save(tmp_path / "hmr2.ckpt", bad), rows)
        assert np.array_equal(found.confidence, np.zeros(5))
        for name in ("pose", "betas", "transl", "joints_cam", "residual_px"):
            assert np.isfinite(getattr(found, name)).all()


def test_nobody(tmp_path):
    nobody = detected(np.zeros((0, 4)), np.zeros(0, np.int64))
    found = run(tmp_path / "not even there.ckpt", nobody)
    assert len(found) == 0
    assert found.joints_cam.shape == (0, 24, 3)


@pytest.mark.parametrize("lack", ["smpl_head.deccam.bias", "backbone.pos_embed"])
def test_another_checkpoint_is_refused(tmp_path, lack):
    incomplete = {k: v for k, v in weights().items() if k != lack}
    with pytest.raises(CheckpointError, match=f"hmr2.*1 of .*{lack}") as caught:
        run(save(tmp_path / "hmr2.ckpt", incomplete), people())
    assert "\n" not in str(caught.value)


def test_an_architecture_that_cannot_be():
    with pytest.raises(ValueError, match="not divisible"):
        Hmr2Architecture(width=100, heads=16)
