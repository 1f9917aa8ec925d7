"""`keypoints=vitpose` end to end: a tiny random checkpoint, a tiny clip, the real adapter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from multithumbs.backends.keypoints.vitpose import Crops
from multithumbs.backends.keypoints.vitpose_boxes import box_of_points, boxes_of_meshes
from multithumbs.body import EMBEDDED_BODY
from multithumbs.config.keypoints import ViTPoseArchitecture, ViTPoseConfig
from multithumbs.errors import CheckpointError, ConfigError
from multithumbs.models.vitpose import build, official_from_ours
from multithumbs.models.vitpose.crop import crop_matrix, crop_person, crop_rectangle
from multithumbs.models.vitpose.network import MIRRORED
from multithumbs.stages import keypoints
from multithumbs.types import Bodies, Detections, Frame

from .frames import FrameList, work_on

pytest.importorskip("transformers")

TINY = ViTPoseArchitecture(hidden_size=16, layers=2, heads=2, deconvolution_channels=8)
HW = (72, 96)


@pytest.fixture(scope="module")
def clip() -> FrameList:
    rng = np.random.default_rng(0)
    return FrameList([rng.integers(0, 255, (*HW, 3)) for _ in range(6)])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> dict[str, Path]:
    """An official file of each head: ``.pth``, the weights under ``state_dict``."""
    folder = tmp_path_factory.mktemp("vitpose")
    files = {}
    for head in ("coco", "wholebody"):
        torch.manual_seed(3)
        model = build(TINY, head)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor).abs_() * 0.05)
        files[f"vitpose-h-{head}"] = folder / f"{head}.pth"
        state = official_from_ours(dict(model.state_dict()))
        torch.save({"meta": {"epoch": 1}, "state_dict": state}, folder / f"{head}.pth")
    return files


def people() -> Detections:
    """Two people in frames 1, 2 and 4; nobody in frame 3."""
    frame = np.array([1, 1, 2, 2, 4, 4])
    left = np.array([[10.0, 12.0, 40.0, 66.0]])
    right = np.array([[50.5, 5.5, 90.0, 70.0]])
    boxes = np.concatenate([left, right] * 3) + np.repeat([0.0, 1.5, 3.0], 2)[:, None]
    return Detections(frame=frame, box_xyxy=boxes, score=np.ones(6), roi=np.zeros((6, 4)))


def estimate(clip, checkpoint, *, bodies=None, **options):
    config = ViTPoseConfig(architecture=TINY, **options)
    work = replace(work_on(clip, config, checkpoint, shot=(0, 6)), body_npz=EMBEDDED_BODY)
    return keypoints.run(work, detections=people(), bodies=bodies)


@pytest.mark.parametrize(("head", "known"), [("coco", 17), ("wholebody", 23)])
def test_every_row_has_the_keypoints_of_its_head(clip, checkpoint, head, known):
    found = estimate(clip, checkpoint, head=head)
    assert len(found) == 6
    assert (found.confidence[:, known:] == 0).all()
    assert (found.confidence[:, :known] > 0).mean() > 0.5
    assert found.confidence.max() <= 1
    assert (found.uv[found.confidence == 0] == 0).all()
    assert (found.xyz_confidence == 0).all()


@pytest.mark.parametrize("decoding", ["udp", "quarter", "dark", "argmax"])
def test_batches_do_not_change_the_result(clip, checkpoint, decoding):
    together = estimate(clip, checkpoint, batch=32, decoding=decoding)
    apart = estimate(clip, checkpoint, batch=1, decoding=decoding)
    np.testing.assert_allclose(together.uv, apart.uv, atol=1e-3)
    np.testing.assert_allclose(together.confidence, apart.confidence, atol=1e-5)


def test_a_mirrored_frame_gives_the_mirrored_keypoints(checkpoint):
    """With the flip test the network's answer is symmetric, so this holds for any weights; it
    fails if pixel centres are half a pixel off anywhere on the way."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (*HW, 3)).astype(np.uint8)
    left, top, right, bottom = box = (12.0, 14.0, 47.0, 66.0)
    found = []
    for image, corners in (
        (picture, box),
        (picture[:, ::-1], (HW[1] - right, top, HW[1] - left, bottom)),
    ):
        row = Detections(
            frame=np.array([0]),
            box_xyxy=np.array([corners]),
            score=np.ones(1),
            roi=np.zeros((1, 4)),
        )
        config = ViTPoseConfig(architecture=TINY, head="coco")
        work = work_on(FrameList([image]), config, checkpoint, shot=(0, 1))
        found.append(keypoints.run(work, detections=row))
    order = list(MIRRORED)
    uv, mirrored = found[0].uv[0], found[1].uv[0, order]
    confidence = np.stack([found[0].confidence[0], found[1].confidence[0, order]])
    sure = (confidence > 0).all(0)  # a place at the image's border may fall on either side
    assert sure.sum() >= 12
    np.testing.assert_allclose(confidence[0, sure], confidence[1, sure], atol=1e-4)
    # Newton's step on the map of a random network magnifies the rounding of the crops in some
    # keypoints; an offset of half a pixel would show as a whole one in every keypoint.
    offset = np.stack([HW[1] - mirrored[sure, 0], mirrored[sure, 1]], 1) - uv[sure]
    assert np.median(np.abs(offset), axis=0).max() < 0.2


def bodies_at(depth: float, confidence: float = 1.0) -> Bodies:
    K = np.array([[90.0, 0, 48], [0, 90.0, 36], [0, 0, 1]])
    pose = np.zeros((6, 24, 3))
    pose[:, 0, 0] = np.pi  # upright in a camera whose y axis points down
    transl = np.tile([0.0, 0.0, depth], (6, 1))
    return Bodies(
        pose=pose,
        betas=np.zeros((6, 10)),
        transl=transl,
        joints_cam=np.zeros((6, 24, 3)),
        K=np.tile(K, (6, 1, 1)),
        confidence=np.full(6, confidence),
        residual_px=np.zeros(6),
    )


def test_the_boxes_of_meshes_hold_the_bodies(body):
    boxes = boxes_of_meshes(body, bodies_at(4.0), people().box_xyxy, HW)
    height = boxes[:, 3] - boxes[:, 1]
    stature = float(np.ptp(body.rest_vertices(torch.zeros(10).double())[:, 1].numpy()))
    np.testing.assert_allclose(height, 90 * stature / 4, rtol=0.05)
    assert (boxes == boxes[0]).all()
    near = boxes_of_meshes(body, bodies_at(0.7), people().box_xyxy, HW)
    assert (near[:, [0, 1]] >= 0).all() and (near[:, 2:] <= HW[::-1]).all()
    assert near[0, 1] == 0 and near[0, 3] == HW[0]


def test_without_a_mesh_in_the_image_the_detected_box_stays(body):
    detected = people().box_xyxy
    for absent in (bodies_at(4.0, confidence=0.0), bodies_at(-4.0)):
        np.testing.assert_array_equal(boxes_of_meshes(body, absent, detected, HW), detected)


def test_points_behind_the_camera_are_not_projected():
    points = np.array([[[0.0, 0.0, 2.0], [0.2, 0.1, 2.0], [5.0, 5.0, -1.0]]])
    K = np.array([[[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]]])
    assert box_of_points(points, K, (100, 100)).tolist() == [[50, 40, 60, 45]]


def test_the_meshes_boxes_are_used(clip, checkpoint):
    by_mesh = estimate(clip, checkpoint, bodies=bodies_at(4.0), boxes="meshes")
    by_box = estimate(clip, checkpoint)
    assert np.abs(by_mesh.uv - by_box.uv).max() > 1
    failed = estimate(clip, checkpoint, bodies=bodies_at(4.0, confidence=0.0), boxes="meshes")
    np.testing.assert_array_equal(failed.uv, by_box.uv)


def test_meshes_without_bodies_are_refused(clip, checkpoint):
    with pytest.raises(ConfigError, match=r"keypoints\.boxes"):
        estimate(clip, checkpoint, boxes="meshes")


def test_another_networks_file_is_refused(clip, checkpoint):
    swapped = {"vitpose-h-coco": checkpoint["vitpose-h-wholebody"]}
    with pytest.raises(CheckpointError, match=r"head\.conv"):
        estimate(clip, swapped, head="coco")


def test_a_batch_that_did_not_fit_can_be_asked_for_again(clip):
    rows = people()
    matrices = crop_matrix(crop_rectangle(rows.box_xyxy, 1.25), unbiased=True)
    expected = [
        crop_person(clip.frame(int(frame)), matrix)
        for frame, matrix in zip(rows.frame, matrices, strict=True)
    ]
    frames = (Frame(index, clip.frame(index)) for index in range(1, 5))
    crops = Crops(frames, rows.frame, matrices)
    for start, stop in ((0, 5), (0, 2), (2, 3), (3, 6)):
        np.testing.assert_array_equal(crops.take(slice(start, stop)), expected[start:stop])


@pytest.mark.parametrize("head", ["coco", "wholebody"])
def test_odd_boxes_do_no_harm(clip, checkpoint, head):
    """Without extent, outside the image, larger than it: every number stays finite and inside."""
    boxes = np.array([[20.0, 30, 20, 30], [500, 500, 540, 600], [-900, -900, 900, 900]])
    odd = Detections(
        frame=np.array([0, 0, 5]), box_xyxy=boxes, score=np.ones(3), roi=np.zeros((3, 4))
    )
    work = work_on(clip, ViTPoseConfig(architecture=TINY, head=head), checkpoint, shot=(0, 6))
    found = keypoints.run(work, detections=odd)
    assert np.isfinite(found.uv).all() and np.isfinite(found.confidence).all()
    assert (found.confidence[1] == 0).all()
    assert ((found.uv >= 0) & (found.uv < HW[::-1])).all()


def test_nobody_needs_no_network(clip):
    nobody = Detections(
        frame=np.zeros(0, np.int64),
        box_xyxy=np.zeros((0, 4)),
        score=np.zeros(0),
        roi=np.zeros((0, 4)),
    )
    work = work_on(clip, ViTPoseConfig(), {}, shot=(0, 6))
    assert len(keypoints.run(work, detections=nobody)) == 0
