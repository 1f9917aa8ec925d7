"""HMR2 against upstream's numbers (``tests/golden``), and at full size against its checkpoint."""

import cv2
import numpy as np
import pytest
import torch

from multithumbs.models.hmr2 import (
    HMR2,
    Architecture,
    crop_from_image,
    crop_person,
    normalised,
    official_key,
    square_of_box,
    transl_from_crop_camera,
)
from multithumbs.models.hmr2.network import rotmats_from_6d

from ..golden.filler import fill
from ..golden.fixture import load_fixture, read_keys

REDUCED = Architecture(
    width=80, depth=2, heads=5, head_width=64, head_depth=2, head_heads=4, head_dim=16, head_mlp=96
)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def test_the_full_size_expects_exactly_the_released_tensors():
    with torch.device("meta"):
        network = HMR2(Architecture())
    ours = {k: (tuple(t.shape), "float32") for k, t in network.state_dict().items()}
    assert ours == read_keys("keys_hmr2.txt")
    assert len(ours) == 503
    assert sum(p.numel() for p in network.backbone.parameters()) == 630_912_000
    assert sum(p.numel() for p in network.smpl_head.parameters()) == 39_547_037


def test_what_is_kept_of_a_checkpoint():
    kept = ("backbone.pos_embed", "smpl_head.init_cam", "smpl_head.decpose.bias")
    dropped = ("initialized", "discriminator.a.b", "smpl.v_template", "backbones.x")
    assert [official_key(key) for key in (*kept, *dropped)] == [*kept, None, None, None, None]


def test_the_network_computes_what_upstream_does():
    fixture = load_fixture("hmr2_network")
    network = HMR2(REDUCED).double().eval()
    network.load_state_dict(tensors(fixture.weights()), strict=True)
    image = torch.from_numpy(fixture.input("image"))
    with torch.inference_mode():
        fixture.check("features", network.backbone(image[..., 32:-32]).numpy())
        rotmats, betas, camera = network(image)
    fixture.check("global_orient", rotmats[:, :1].numpy())
    fixture.check("body_pose", rotmats[:, 1:].numpy())
    fixture.check("betas", betas.numpy())
    fixture.check("cam", camera.numpy())
    crop = torch.tensor([[5000.0, 0, 0], [0, 5000, 0], [0, 0, 1]]).double().expand(2, 3, 3)
    side = torch.full((2,), 256.0).double()
    transl = transl_from_crop_camera(camera, torch.zeros(2, 2).double(), side, crop)
    fixture.check("cam_t", transl.numpy())


def test_a_half_precision_backbone_leaves_rotations_that_are_rotations():
    fixture = load_fixture("hmr2_network")
    network = HMR2(REDUCED).eval()
    network.load_state_dict(tensors(fixture.weights()), strict=True)
    image = torch.from_numpy(fixture.input("image")).float()
    with torch.inference_mode():
        exact = network(image)
        network.backbone.bfloat16()
        rough = network(image)
    assert rough.rotmats.dtype == torch.float32
    eye = (rough.rotmats.mT @ rough.rotmats - torch.eye(3)).abs().max()
    assert eye < 1e-5
    assert (rough.rotmats - exact.rotmats).abs().mean() < 0.02
    assert not torch.equal(rough.rotmats, exact.rotmats)


def test_six_numbers_are_two_columns():
    matrix = torch.linalg.qr(torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    matrix = (matrix * torch.det(matrix)[:, None, None]).double()
    six = torch.cat([2 * matrix[..., 0], 3 * matrix[..., 1] - 5 * matrix[..., 0]], dim=-1)
    torch.testing.assert_close(rotmats_from_6d(six), matrix, atol=1e-6, rtol=0)


def test_the_square_and_its_affine():
    fixture = load_fixture("hmr2_crop")
    boxes = np.array(fixture.sidecar["inputs"]["boxes_xyxy"])
    centre, side = square_of_box(boxes)
    fixture.check("center", centre)
    fixture.check("size", side)
    affine = np.stack([crop_from_image(c, s) for c, s in zip(centre, side, strict=True)])
    fixture.check("affine_image_to_crop", affine)
    points = np.array(fixture.sidecar["inputs"]["crop_points"])
    inverse = [cv2.invertAffineTransform(a) for a in affine]
    fixture.check(
        "crop_points_in_image", np.stack([points @ a[:, :2].T + a[:, 2] for a in inverse])
    )


@pytest.mark.parametrize(
    ("output", "focal"),
    [("cam_full_default_focal", 5000 / 256 * 1280), ("cam_full_focal_1100", 1100.0)],
)
def test_the_crop_camera_in_the_image(output, focal):
    fixture = load_fixture("hmr2_crop")
    inputs = fixture.sidecar["inputs"]
    centre, side = square_of_box(np.array(inputs["boxes_xyxy"]))
    width, height = fixture.sidecar["configuration"]["image_wh"]
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).double()
    transl = transl_from_crop_camera(
        torch.tensor(inputs["cam"], dtype=torch.float64),
        torch.from_numpy(centre),
        torch.from_numpy(side),
        K.expand(3, 3, 3),
    )
    fixture.check(output, transl.numpy())


def test_any_lens_sees_the_body_where_the_crop_does():
    """The origin's pixel and the size of a metre there agree with the crop's own camera."""
    camera = torch.tensor([[0.8, 0.3, -0.2]]).double()
    centre, side = torch.tensor([[700.0, 250.0]]).double(), torch.tensor([420.0]).double()
    K = torch.tensor([[[1500.0, 4.0, 530.0], [0, 900.0, 410.0], [0, 0, 1]]]).double()
    transl = transl_from_crop_camera(camera, centre, side, K)
    seen = K @ transl[..., None]
    pixel = (seen[:, :2] / seen[:, 2:])[..., 0]
    px_per_m = 420 * 0.8 / 2
    torch.testing.assert_close(pixel, centre + camera[:, 1:] * px_per_m, atol=1e-6, rtol=0)
    horizontal, vertical = 1500 / transl[0, 2], 900 / transl[0, 2]
    assert float((horizontal * vertical).sqrt()) == pytest.approx(px_per_m)


def picture(fixture) -> np.ndarray:
    """The sidecar's recipe, as RGB."""
    height, width, _ = fixture.sidecar["inputs"]["image"]["shape"]
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    channels = []
    for channel in range(3):
        q = fill(f"input/hmr2_crop/wave{channel}", (6, 4), "uniform")
        waves = [
            (0.3 + d) * np.sin(2 * np.pi * ((0.5 + 40 * a) * x + (0.5 + 40 * b) * y + c))
            for a, b, c, d in q
        ]
        channels.append(127.5 + 30 * np.sum(waves, axis=0))
    bgr = np.stack(channels, axis=-1)
    bgr[240:360, 140:186] = (255, 0, 40)
    bgr[360:363] = 0
    bgr = np.clip(np.round(bgr), 0, 255).astype(np.uint8)
    check = fixture.sidecar["inputs"]["image_checksum"]
    assert int(bgr.sum()) == check["sum"]
    return np.ascontiguousarray(bgr[..., ::-1])


def test_crops_are_upstreams():
    """8-bit crops are rounded to whole grey levels here too: equal but for single pixels."""
    fixture = load_fixture("hmr2_crop_image")
    rgb = picture(fixture)
    centre, side = square_of_box(np.array(fixture.sidecar["inputs"]["boxes_xyxy"]))
    fixture.check("box_center", centre)
    fixture.check("box_size", side)
    crops = np.stack(
        [crop_person(rgb, c, float(s), blur=True) for c, s in zip(centre, side, strict=True)]
    )
    ready = normalised(torch.from_numpy(crops).double()).numpy()
    fixture.check("crops", ready)
    unblurred = np.abs(ready[:3, :, ::4, ::4] - fixture.arrays["crops"][:3])
    assert np.quantile(unblurred, 0.99) < 1e-6


@pytest.mark.parametrize("centre", [(280.0, 360.0), (3.0, 700.0), (900.0, -400.0)])
def test_blurring_a_part_equals_blurring_the_image(centre):
    rgb = np.random.default_rng(0).integers(0, 255, (720, 560, 3), dtype=np.uint8)
    side = 800.0
    sigma = (side / 512 - 1) / 2
    reach = int(4 * sigma + 0.5)
    whole = cv2.GaussianBlur(
        rgb.astype(np.float32), (2 * reach + 1,) * 2, sigma, borderType=cv2.BORDER_REPLICATE
    )
    expected = cv2.warpAffine(whole, crop_from_image(np.array(centre), side), (256, 256))
    crop = crop_person(rgb, np.array(centre), side, blur=True)
    np.testing.assert_allclose(crop, expected, rtol=0, atol=0.02)


def test_only_large_people_are_blurred_and_only_if_asked():
    rgb = np.random.default_rng(0).integers(0, 255, (720, 560, 3), dtype=np.uint8)
    for side, changes in ((560.0, False), (1500.0, True)):
        soft, sharp = (
            crop_person(rgb, np.array([280.0, 360.0]), side, blur=blur) for blur in (True, False)
        )
        assert (np.abs(soft - sharp).max() > 30) == changes
