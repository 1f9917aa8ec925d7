"""VGGT against upstream's numbers (``tests/golden``), and at full size against its checkpoint."""

import numpy as np
import pytest
import torch

from multithumbs.errors import CheckpointError
from multithumbs.models.vggt import Architecture, Vggt, official_key
from multithumbs.models.vggt.pose import decode, encode, pixel_centred, points_from_depth
from multithumbs.models.weights import load_strict

from ..golden.filler import fill
from ..golden.fixture import load_fixture, read_keys

REDUCED = Architecture(
    width=384,
    depth=2,
    heads=6,
    encoder_depth=2,
    encoder_heads=6,
    camera_depth=2,
    taps=(0, 0, 1, 1),
    dpt_features=32,
    dpt_channels=(16, 32, 48, 64),
)
TINY = Architecture(
    image_size=56,
    width=32,
    depth=2,
    heads=2,
    encoder_depth=1,
    encoder_heads=2,
    camera_depth=1,
    camera_heads=2,
    taps=(0, 0, 1, 1),
    dpt_features=8,
    dpt_channels=(8, 8, 8, 8),
)


@pytest.fixture(scope="module")
def fixture():
    return load_fixture("vggt_network")


@pytest.fixture(scope="module")
def network(fixture):
    network = Vggt(REDUCED).double().eval()
    weights = {key: torch.from_numpy(value) for key, value in fixture.weights().items()}
    load_strict(network, weights, name="vggt-1b")
    return network


def tiny() -> Vggt:
    """Far from its initialisation, where LayerScale hides the blocks."""
    network = Vggt(TINY).double().eval()
    filled = {k: torch.from_numpy(fill(k, tuple(v.shape))) for k, v in network.state_dict().items()}
    load_strict(network, filled, name="vggt-1b")
    return network


def test_the_full_size_expects_exactly_the_released_tensors():
    with torch.device("meta"):
        network = Vggt(Architecture())
    ours = {k: (tuple(t.shape), "float32") for k, t in network.state_dict().items()}
    assert ours == read_keys("keys_vggt.txt")
    assert len(ours) == 1797 - 394
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in network.named_children()}
    assert counts == {
        "aggregator": 909_112_320,
        "camera_head": 216_174_610,
        "depth_head": 32_654_562,
        "point_head": 32_654_628,
    }


def test_what_is_kept_of_a_checkpoint():
    assert official_key("point_head.norm.weight") == "point_head.norm.weight"
    assert official_key("point_head.norm.weight", point_head=False) is None
    assert official_key("track_head.fmap_norm.weight") is None
    assert official_key("aggregator.camera_token") == "aggregator.camera_token"
    network = Vggt(TINY, point_head=False)
    assert not any(key.startswith("point_head.") for key in network.state_dict())


def test_a_checkpoint_that_lacks_a_block_is_refused():
    network = tiny()
    weights = {k: v for k, v in network.state_dict().items() if "frame_blocks.1.mlp" not in k}
    with pytest.raises(CheckpointError, match="frame_blocks"):
        load_strict(tiny(), weights, name="vggt-1b")


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_network_computes_what_upstream_does(fixture, network, frames):
    images = torch.from_numpy(fixture.input("images"))[:, :frames]
    with torch.no_grad():
        tokens = network.aggregator(images, {0, 1})
        out = network(images)
        normalised = (images[0] - IMAGENET[0]) / IMAGENET[1]
        patches = network.aggregator.patch_embed(normalised)
    found = {
        "patch_tokens": patches,
        "tokens_0": tokens[0],
        "tokens_1": tokens[1],
        "pose_enc": out.pose_encodings,
        "depth": out.depth[..., None],
        "depth_conf": out.depth_confidence,
        "points": out.points,
        "points_conf": out.points_confidence,
        "extrinsics": decode(out.pose_encodings[-1], (56, 70))[0][..., :3, :],
    }
    stored = {name for name in fixture.sidecar["outputs"] if name.startswith(f"s{frames}_")}
    assert stored
    for name in stored:
        fixture.check(name, found[name[3:]].numpy())


IMAGENET = torch.tensor(
    [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64
)[..., None, None]  # fmt: skip


def test_only_the_first_frame_is_special():
    network, images = tiny(), torch.rand(1, 3, 3, 28, 42, dtype=torch.float64)
    with torch.no_grad():
        plain, swapped = network(images), network(images[:, [0, 2, 1]])
        other = network(images[:, [1, 0, 2]])
    torch.testing.assert_close(plain.depth, swapped.depth[:, [0, 2, 1]], atol=1e-10, rtol=0)
    torch.testing.assert_close(
        plain.pose_encodings, swapped.pose_encodings[:, :, [0, 2, 1]], atol=1e-10, rtol=0
    )
    assert (plain.depth - other.depth[:, [1, 0, 2]]).abs().max() > 1e-6


def test_frames_beyond_one_chunk_of_the_dense_head_do_not_change_it():
    network, images = tiny(), torch.rand(1, 10, 3, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        tokens = network.aggregator(images, {0, 1})
        whole = network.depth_head(tokens, network.aggregator.special, (28, 28))
        one = {k: v[:, 9:] for k, v in tokens.items()}
        alone = network.depth_head(one, network.aggregator.special, (28, 28))
    torch.testing.assert_close(whole[:, 9:], alone, atol=1e-10, rtol=0)


def test_pose_encodings_mean_what_upstream_means():
    fixture = load_fixture("vggt_pose")
    height_width = tuple(fixture.sidecar["configuration"]["image_hw"])
    encoding = fixture.input("enc")
    encoding[..., 7:] = 0.3 + 1.2 * fixture.input("fov")
    cam_from_scene, K = decode(torch.from_numpy(encoding), height_width)
    fixture.check("extrinsics", cam_from_scene[..., :3, :].numpy())
    fixture.check("intrinsics", K.numpy())
    fixture.check("encoding_again", encode(cam_from_scene, K, height_width).numpy())


def test_the_half_pixel_is_converted_once():
    """Upstream unprojects pixel index u as (u - W / 2) / fx; ours must give the same rays."""
    hw = (28, 42)
    encoding = torch.tensor([0, 0, 0, 0, 0, 0, 1, 0.8, 1.1], dtype=torch.float64)
    _, K = decode(encoding, hw)
    depth = 1 + torch.rand(hw, dtype=torch.float64)
    points = points_from_depth(depth, pixel_centred(K))
    for row, column in ((0, 0), (5, 40), (27, 13)):
        z = float(depth[row, column])
        upstream = [
            (column - hw[1] / 2) / float(K[0, 0]) * z,
            (row - hw[0] / 2) / float(K[1, 1]) * z,
            z,
        ]
        np.testing.assert_allclose(points[row, column].numpy(), upstream, atol=1e-12)
        ours = (pixel_centred(K) @ points[row, column])[:2] / z
        np.testing.assert_allclose(ours.numpy(), [column + 0.5, row + 0.5], atol=1e-9)


def test_low_precision_touches_the_trunk_only():
    network = tiny().float()
    images = torch.rand(1, 2, 3, 28, 42)
    with torch.no_grad():
        out, low = network(images), network(images, trunk_dtype=torch.bfloat16)
        network.round_trunk(torch.bfloat16)
        rounded = network(images, trunk_dtype=torch.bfloat16)
    # Rounding once or in every call is the same.
    torch.testing.assert_close(rounded.depth, low.depth, rtol=0, atol=0)
    assert rounded.pose_encodings.dtype == torch.float32
    assert low.depth.dtype == low.pose_encodings.dtype == torch.float32
    assert not torch.equal(out.depth, low.depth)
    torch.testing.assert_close(out.depth, low.depth, rtol=0.05, atol=0.05)
