"""BlazePose's geometry and decoding, without the networks."""

import cv2
import numpy as np
import pytest

from multithumbs.errors import CheckpointError
from multithumbs.models.blazepose import DetectorNetwork, LandmarkNetwork, decode_landmarks
from multithumbs.models.blazepose.detector import anchor_centres, decode_candidates
from multithumbs.models.blazepose.erase import overlaps, paint_over, silhouette
from multithumbs.models.blazepose.face import FACE_OF_TORSO, HEAD, face_region, sharpness
from multithumbs.models.blazepose.landmarks import MIRROR, Landmarks, hide, refine, turn
from multithumbs.models.blazepose.region import (
    apply_affine,
    crop,
    crop_from_image,
    image_from_crop,
    paste,
    region_from_points,
)
from multithumbs.models.blazepose.skeleton import (
    LANDMARK_OF_KEYPOINT,
    MIRRORED_KEYPOINT,
)
from multithumbs.types import KEYPOINT_NAMES

ROIS = np.array(
    [[60.3, 50.2, 64.0, 0.0], [80.0, 45.5, 100.0, 0.7], [70.0, 60.0, 40.0, -2.9]], dtype=np.float64
)


@pytest.mark.parametrize("roi", ROIS)
def test_region_maps_are_inverse(roi):
    uv = np.random.default_rng(0).uniform(-50, 300, (20, 2))
    there = apply_affine(crop_from_image(roi, 256), uv)
    np.testing.assert_allclose(apply_affine(image_from_crop(roi, 256), there), uv, atol=1e-9)


def test_crop_of_the_image_itself_is_the_image():
    """The region that is the image maps pixel centres onto pixel centres: no half-pixel shift."""
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop(rgb, np.array([32.0, 32.0, 64.0, 0.0]), 64), rgb)


@pytest.mark.parametrize("roi", ROIS)
@pytest.mark.parametrize("side", [32, 64])
def test_crop_samples_where_the_map_says(roi, side):
    """On a ramp whose value is the coordinate, a crop pixel reads its centre's own coordinate."""
    v, u = np.mgrid[0:120, 0:160]
    rgb = np.stack([u, v, np.zeros_like(u)], -1).astype(np.uint8)
    pixels = crop(rgb, roi, side) + 0.5
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    expected = apply_affine(image_from_crop(roi, side), np.stack([columns, rows], -1))
    inside = ((expected > 3) & (expected < (157, 117))).all(-1)
    error = (pixels[..., :2] - expected)[inside]
    assert inside.sum() > 100
    assert np.abs(error).max() < 0.6  # grey levels are rounded


def test_paste_puts_a_crop_back_where_it_was_taken():
    roi = np.array([80.0, 60.0, 80.0, 0.5])
    v, u = np.mgrid[0:120, 0:160] + 0.5
    disc = np.hypot(u - 85, v - 55) < 20
    seen = crop(np.repeat(disc[..., None] * np.uint8(255), 3, -1), roi, 256)[..., 0]
    back = paste(seen.astype(np.float32) - 127.5, roi, (120, 160), outside=-1e4) > 0
    assert (back ^ disc).sum() < 0.04 * disc.sum()


def test_region_points_away_from_the_hips_to_the_head():
    hip = np.array([100.0, 100.0])
    upright = region_from_points(hip, np.array([100.0, 60.0]))
    np.testing.assert_allclose(upright, [100, 100, 100, 0])
    head_to_the_right = region_from_points(hip, np.array([140.0, 100.0]))
    np.testing.assert_allclose(head_to_the_right[3], np.pi / 2)
    top_of_crop = apply_affine(image_from_crop(head_to_the_right, 256), np.array([128.0, 0.0]))
    np.testing.assert_allclose(top_of_crop, [150, 100], atol=1e-9)


def test_anchors_cover_the_input_in_the_networks_order():
    anchors = anchor_centres()
    assert len(anchors) == 2254
    np.testing.assert_array_equal(anchors[[0, 1, 2]], [[4, 4], [4, 4], [12, 4]])
    np.testing.assert_array_equal(anchors[28 * 28 * 2], [8, 8])
    np.testing.assert_array_equal(anchors[-1], [208, 208])


def test_candidates_are_offsets_from_anchors_best_first():
    anchors = anchor_centres()
    boxes = np.zeros((2254, 12), dtype=np.float32)
    boxes[7, 4:8] = 1, 2, 1, -48
    logits = np.full((2254, 1), -9.0, dtype=np.float32)
    logits[7], logits[2253], logits[9] = 1, 2, -0.1
    found = decode_candidates(boxes, logits, anchors, min_score=0.5)
    assert len(found) == 2
    np.testing.assert_allclose(found.score, 1 / (1 + np.exp([-2.0, -1.0])))
    np.testing.assert_allclose(found.hip_uv[1], anchors[7] + (1, 2))
    np.testing.assert_allclose(found.scale_uv[1], anchors[7] + (1, -48))


def test_refinement_follows_a_clear_peak_only():
    heatmap = np.full((64, 64, 3), -20.0, dtype=np.float32)
    heatmap[30, 21, 0] = heatmap[30, 22, 0] = 8  # rows, columns: 4 crop pixels each
    heatmap[10, 10, 1] = -1  # too weak
    heatmap[0, 0, 2] = 8  # in the corner
    uv = np.array([[80.0, 125.0], [40.0, 40.0], [1.0, -3.0]])
    moved = refine(uv, heatmap)
    np.testing.assert_allclose(moved[0], [86.4, 120.4], atol=1e-3)
    np.testing.assert_array_equal(moved[1], uv[1])
    np.testing.assert_allclose(moved[2], [0.4, 0.4], atol=1e-3)


def raw_outputs(seed: int):
    rng = np.random.default_rng(seed)
    rows = np.zeros((39, 5), dtype=np.float32)
    rows[:, :2] = rng.uniform(40, 216, (39, 2))
    rows[:, 3:] = rng.normal(size=(39, 2))
    heatmap = np.full((64, 64, 39), -9.0, dtype=np.float32)  # no peak: nothing is refined
    segmentation = rng.normal(size=(256, 256)).astype(np.float32)
    world = rng.normal(size=(39, 3)).astype(np.float32)
    return rows, heatmap, segmentation, world


def test_a_mirrored_crop_decodes_to_the_same_person():
    """Outputs for the mirror image, in which left and right are exchanged, say the same."""
    rows, heatmap, segmentation, world = raw_outputs(0)
    order = np.concatenate([MIRROR, np.arange(35, 39)])
    mirrored_rows, mirrored_world = rows[order], world[order]
    mirrored_rows[:, 0] = 256 - mirrored_rows[:, 0]
    mirrored_world[:, 0] = -mirrored_world[:, 0]
    roi = ROIS[1]
    a = decode_landmarks(rows.ravel(), 0.9, segmentation, heatmap, world.ravel(), roi)
    b = decode_landmarks(
        mirrored_rows.ravel(),
        0.9,
        np.ascontiguousarray(segmentation[:, ::-1]),
        heatmap,
        mirrored_world.ravel(),
        roi,
        mirrored=True,
    )
    np.testing.assert_allclose(a.uv, b.uv, atol=1e-4)
    np.testing.assert_allclose(a.xyz, b.xyz, atol=1e-6)
    np.testing.assert_allclose(a.visibility, b.visibility)
    np.testing.assert_array_equal(a.segmentation, b.segmentation)


def test_metric_landmarks_turn_with_the_region():
    """What points up in the crop of a person lying head to the right points right in the image."""
    up = np.array([[0.0, -1.0, 0.3]])
    np.testing.assert_allclose(turn(up, np.pi / 2), [[1, 0, 0.3]], atol=1e-12)
    roi = np.array([0.0, 0.0, 256.0, 0.4])
    linear = image_from_crop(roi, 256)[:, :2]
    xyz = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(turn(xyz, 0.4)[:, :2], xyz[:, :2] @ linear.T, atol=1e-12)


def somebody(roi, segmentation) -> Landmarks:
    return Landmarks(
        roi=np.asarray(roi, dtype=np.float64),
        uv=np.tile([100.0, 60.0], (35, 1)),
        visibility=np.ones(35),
        presence=np.ones(35),
        xyz=np.zeros((33, 3)),
        flag=1.0,
        segmentation=segmentation,
    )


def test_silhouettes_move_between_regions():
    """A disc segmented in one region is where it belongs in the crop of another one."""
    rows, columns = np.mgrid[0:256, 0:256] + 0.5
    other = somebody(
        [100, 60, 128, 0.3],
        np.where(np.hypot(columns - 128, rows - 128) < 40, 9.0, -9.0).astype(np.float32),
    )
    roi = np.array([110.0, 70.0, 100.0, -1.0])
    shape = silhouette(other, roi, 200)
    v, u = np.nonzero(shape)
    centre = apply_affine(image_from_crop(roi, 200), np.array([u.mean() + 0.5, v.mean() + 0.5]))
    np.testing.assert_allclose(centre, [100, 60], atol=0.5)
    np.testing.assert_allclose(np.sqrt(shape.sum() / np.pi), 40 / 256 * 128 / 100 * 200 + 3, atol=1)
    hidden = hide(other, np.ones((256, 256), dtype=bool))
    assert hidden.visibility.max() < 0.5 < other.visibility.min()


def test_painting_over_continues_the_surroundings():
    ramp = np.tile(np.linspace(20, 220, 128), (128, 1))
    rgb = np.repeat(ramp[..., None], 3, -1).astype(np.uint8)
    hidden = np.zeros((128, 128), dtype=bool)
    hidden[40:80, 50:70] = True
    spoilt = np.where(hidden[..., None], np.uint8(0), rgb)
    painted = paint_over(spoilt, hidden)
    np.testing.assert_array_equal(painted[~hidden], rgb[~hidden])
    assert np.abs(painted[hidden].astype(float) - rgb[hidden]).max() < 25
    everything = paint_over(spoilt, np.ones((128, 128), dtype=bool))
    assert everything.shape == rgb.shape


def test_regions_far_apart_do_not_overlap():
    a = np.array([0.0, 0.0, 10.0, 0.0])
    assert overlaps(a, np.array([12.0, 0.0, 10.0, 0.5]))
    assert not overlaps(a, np.array([20.0, 0.0, 10.0, 0.5]))


def test_keypoint_tables_name_the_same_sides():
    for keypoint, other in enumerate(MIRRORED_KEYPOINT):
        name = KEYPOINT_NAMES[keypoint]
        sides = {"left": "right", "right": "left"}
        swapped = "_".join(sides.get(part, part) for part in name.split("_"))
        assert KEYPOINT_NAMES[other] == swapped
        landmark = LANDMARK_OF_KEYPOINT[keypoint]
        if landmark >= 0:
            assert LANDMARK_OF_KEYPOINT[other] == MIRROR[landmark]


def test_a_file_that_is_no_model_is_refused(tmp_path):
    bad = tmp_path / "pose_detection.tflite"
    bad.write_bytes(b"not a model" * 100)
    with pytest.raises(CheckpointError, match="verify"):
        DetectorNetwork(bad, threads=1)
    with pytest.raises(CheckpointError, match="verify"):
        LandmarkNetwork(tmp_path / "missing.tflite", threads=1)


def test_the_face_region_is_around_the_head_and_as_large_as_the_torso_says():
    uv = np.full((35, 2), 500.0)
    uv[[11, 12]], uv[[23, 24]] = (100.0, 100.0), (100.0, 180.0)
    uv[list(HEAD)] = (103.0, 60.0)
    seen = reading(uv, roi=(100.0, 150.0, 300.0, 0.2))
    mirrored = reading(uv + np.array([2.0, 0.0]), roi=(100.0, 150.0, 300.0, 0.2))
    expected = [104.0, 60.0, 80 * FACE_OF_TORSO, 0.2]
    np.testing.assert_allclose(face_region([seen, mirrored]), expected)


def test_a_blurred_picture_is_less_sharp_and_the_border_of_the_image_does_not_sharpen_it():
    noise = np.random.default_rng(0).random((192, 192, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4)
    assert sharpness(noise) > 10 * sharpness(blurred)
    bordered = blurred.copy()
    bordered[:20] = 0
    assert sharpness(bordered) < 1.5 * sharpness(blurred)


def reading(uv, roi) -> Landmarks:
    return Landmarks(
        roi=np.array(roi), uv=uv, visibility=np.ones(35), presence=np.ones(35),
        xyz=np.zeros((33, 3)), flag=1.0, segmentation=np.zeros((256, 256), dtype=np.float32),
    )  # fmt: skip
