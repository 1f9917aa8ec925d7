"""DROID's networks and correlations against upstream's numbers, and the forms of one another."""

import numpy as np
import pytest
import torch

from multithumbs.models.droid import (
    CorrelationVolume,
    Droid,
    OnDemandCorrelation,
    motion_input,
    strip_official,
    upsample_convex,
)
from multithumbs.models.droid.correlation import LEVELS, RADIUS, WINDOW
from tests.golden.fixture import load_fixture, read_keys

HEADS = ("update.weight.2.", "update.delta.2.")


@pytest.fixture(scope="module")
def golden():
    return load_fixture("droid_network")


@pytest.fixture(scope="module")
def droid(golden) -> Droid:
    module = Droid().double().eval()
    module.load_state_dict({k: torch.from_numpy(v) for k, v in golden.weights().items()})
    return module


@pytest.fixture(scope="module")
def features(golden, droid) -> torch.Tensor:
    image = torch.from_numpy(255 * golden.input("image"))[0].permute(0, 2, 3, 1)
    with torch.no_grad():
        return droid.fnet(droid.normalise(image.flip(-1)))


def random_features(frames: int, channels: int, h: int, w: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, channels, h, w, generator=generator, dtype=torch.float64)


def random_coords(edges: int, h: int, w: int, seed: int = 1) -> torch.Tensor:
    """Scattered in and around the grid, with whole numbers, far and broken values among them."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.rand(edges, h, w, 2, generator=generator, dtype=torch.float64)
    coords = coords * torch.tensor([w + 12.0, h + 12.0]) - 6
    coords[0, 0, :4] = torch.tensor([[3.0, 2.0], [-1e9, 2.0], [1e30, -3.0], [torch.nan, 1.0]])
    return coords


def test_names_and_shapes_are_the_checkpoint_s() -> None:
    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in Droid().state_dict().items()}
    official = {key: shape for key, (shape, _) in read_keys("keys_droid.txt").items()}
    assert len(official) == 102
    assert ours == official


def test_the_released_file_loads_after_stripping() -> None:
    """It was saved from a wrapper, and its heads have a third row that nothing uses."""
    wanted = dict(Droid().state_dict())
    released = {
        "module." + key: torch.cat([tensor, tensor[:1]]) if key.startswith(HEADS) else tensor
        for key, tensor in wanted.items()
    }
    stripped = strip_official(released)
    assert list(stripped) == list(wanted)
    assert all(torch.equal(stripped[key], wanted[key]) for key in wanted)


def test_encoders_as_upstream(golden, droid, features) -> None:
    image = torch.from_numpy(255 * golden.input("image"))[0].permute(0, 2, 3, 1)
    with torch.no_grad():
        net, inp = droid.cnet(droid.normalise(image.flip(-1))).chunk(2, dim=1)
    golden.check("fmaps", features[None].numpy())
    golden.check("net", net.tanh()[None].numpy())
    golden.check("inp", inp.relu()[None].numpy())


def test_context_of_eight_bit_images(droid) -> None:
    """The public methods are the normalised encoders, RGB in."""
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = torch.from_numpy((image.numpy() / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        net, inp = droid.context(image)
        expected = droid.cnet(normalised)
        torch.testing.assert_close(droid.features(image), droid.fnet(normalised))
    torch.testing.assert_close(net, expected[:, :128].tanh())
    torch.testing.assert_close(inp, expected[:, 128:].clamp_min(0))


def test_update_operator_as_upstream(golden, droid) -> None:
    net = torch.from_numpy(np.tanh(golden.input("net")))[0]
    inp = torch.from_numpy(np.maximum(golden.input("inp"), 0))[0]
    corr = torch.from_numpy(golden.input("corr"))[0]
    motion = torch.from_numpy(4 * golden.input("motion"))[0]
    ii, jj = (torch.tensor(golden.sidecar["inputs"][name]) for name in ("ii", "jj"))
    with torch.no_grad():
        update = droid.update(net, inp, corr, motion, ii, jj)
        alone = droid.update(net, inp, corr)
        prepared = droid.update(net, droid.update.prepared(inp), corr, motion, ii, jj)
    assert update.frames.tolist() == [0, 2, 3]
    for once, each in zip(prepared, update, strict=True):
        torch.testing.assert_close(once, each, rtol=0, atol=1e-12)
    golden.check("upd_net", update.net[None].numpy())
    golden.check("upd_delta", update.delta[None].numpy())
    golden.check("upd_weight", update.weight[None].numpy())
    golden.check("upd_eta", update.damping[None].numpy())
    golden.check("upd_upmask", update.upmask[None].numpy())
    golden.check("upd0_net", alone.net[None].numpy())
    golden.check("upd0_delta", alone.delta[None].numpy())
    golden.check("upd0_weight", alone.weight[None].numpy())
    assert alone.frames is None and alone.damping is None and alone.upmask is None


def test_convex_upsampling_as_upstream(golden) -> None:
    inverse_depth = torch.from_numpy(golden.input("disp") + 0.1)[..., 0]
    mask = torch.from_numpy(2 * golden.input("mask"))
    golden.check("cvx_upsampled", upsample_convex(inverse_depth, mask)[..., None].numpy())


def test_half_precision_gives_the_geometry_float32(golden, droid) -> None:
    """As on CUDA: correlations and motion arrive in float32, the network runs in float16."""
    half = Droid().half().eval()
    half.load_state_dict(droid.state_dict())
    net = torch.from_numpy(np.tanh(golden.input("net")))[0]
    inp = torch.from_numpy(np.maximum(golden.input("inp"), 0))[0]
    corr, motion = (torch.from_numpy(golden.input(name))[0].float() for name in ("corr", "motion"))
    ii = torch.tensor([2, 0, 0, 3, 2])
    with torch.no_grad():
        expected = droid.update(net, inp, corr.double(), motion.double(), ii)
        found = half.update(net.half(), inp.half(), corr, motion, ii)
        image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
        features = half.features(image)
        torch.testing.assert_close(features.double(), droid.features(image), rtol=0, atol=0.05)
    assert features.dtype == found.net.dtype == torch.float16
    for name, atol in (("delta", 4e-3), ("weight", 1e-3), ("damping", 2e-5)):
        ours, exact = getattr(found, name), getattr(expected, name)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), exact, rtol=0, atol=atol)


def test_motion_input_is_clamped_and_ordered() -> None:
    coords0 = torch.zeros(2, 3, 2)
    coords1 = torch.full((1, 2, 3, 2), 5.0)
    coords1[..., 1] = 100.0
    target = coords1 + torch.tensor([-7.0, -90.0])
    motion = motion_input(coords0, coords1, target)
    assert motion.shape == (1, 4, 2, 3)
    assert motion[0, :, 1, 2].tolist() == [5.0, 64.0, -7.0, -64.0]


@pytest.mark.parametrize("kernels", ["torch", "warp"])
@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_lookup_as_upstream(golden, features, form, kernels) -> None:
    noise = torch.from_numpy(golden.input("coords_noise"))
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    coords = torch.stack([x, y], -1) + 3 * noise
    edges = torch.tensor([0, 1]), torch.tensor([1, 0])
    golden.check("corr_lookup", form.between(features, *edges, kernels)(coords).numpy())


def naive_lookup(source: np.ndarray, target: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """196 correlations of one cell by a double loop; ``source`` (C,), ``target`` (C, h, w)."""
    found = []
    volume = np.einsum("c,chw->hw", source / 4, target / 4)
    for level in range(LEVELS):
        x, y = uv / 2**level
        for dx in range(-RADIUS, RADIUS + 1):
            for dy in range(-RADIUS, RADIUS + 1):
                total = 0.0
                column, row = np.floor(x + dx), np.floor(y + dy)
                for c, wx in ((column, 1 - (x + dx - column)), (column + 1, x + dx - column)):
                    for r, wy in ((row, 1 - (y + dy - row)), (row + 1, y + dy - row)):
                        if 0 <= c < volume.shape[1] and 0 <= r < volume.shape[0]:
                            total += wx * wy * volume[int(r), int(c)]
                found.append(total)
        h, w = volume.shape[0] // 2, volume.shape[1] // 2
        if level + 1 < LEVELS:
            volume = volume[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3))
    return np.array(found)


@pytest.mark.parametrize("kernels", ["torch", "warp"])
@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_lookup_is_a_plain_double_loop(form, kernels) -> None:
    """Odd sizes (the pooling drops a row), borders, whole numbers and broken coordinates."""
    features = random_features(3, 8, 9, 13)
    coords = random_coords(2, 9, 13)
    found = form.between(features, torch.tensor([2, 0]), torch.tensor([1, 1]), kernels)(coords)
    assert found.shape == (2, LEVELS * WINDOW**2, 9, 13)
    for e, y, x in [(0, 0, 0), (0, 4, 7), (0, 8, 12), (1, 3, 1), (1, 8, 0), (1, 0, 12)]:
        source = features[(2, 0)[e], :, y, x].numpy()
        expected = naive_lookup(source, features[1].numpy(), coords[e, y, x].numpy())
        np.testing.assert_allclose(found[e, :, y, x].numpy(), expected, rtol=0, atol=1e-10)
    assert not found[0, :, 0, 1:4].any()


def test_both_forms_and_both_kernels_agree() -> None:
    features = random_features(4, 16, 12, 17)
    ii, jj = torch.tensor([0, 1, 2, 3, 0, 2]), torch.tensor([1, 0, 3, 0, 3, 2])
    coords = random_coords(6, 12, 17)
    expected = CorrelationVolume.between(features, ii, jj, "torch")(coords)
    assert expected.abs().max() > 0.5
    for form in (CorrelationVolume, OnDemandCorrelation):
        for kernels in ("torch", "warp"):
            found = form.between(features, ii, jj, kernels)(coords)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_cuda_finds_the_same(form) -> None:
    features = random_features(3, 16, 9, 13)
    ii, jj = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    coords = random_coords(3, 9, 13)
    expected = form.between(features, ii, jj, "torch")(coords)
    found = form.between(features.cuda(), ii.cuda(), jj.cuda())(coords.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernels", ["torch", "warp"])
@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_half_precision_is_stored_and_float32_comes_out(form, kernels) -> None:
    features = random_features(2, 16, 8, 9).half()
    edges = torch.tensor([0, 1]), torch.tensor([1, 0])
    coords = random_coords(2, 8, 9).float()
    found = form.between(features, *edges, kernels)(coords)
    expected = form.between(features.double(), *edges, "torch")(coords.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=4e-3)


def test_a_volume_may_be_kept_in_half_precision() -> None:
    """Computed as the features are, stored in half the memory, also for edges that join later."""
    features = random_features(2, 16, 8, 9)
    first, second = torch.tensor([0]), torch.tensor([1])
    coords = random_coords(2, 8, 9)
    volume = CorrelationVolume.between(features, first, second, stored=torch.float16)
    volume = volume.extended(features, second, first)
    both = torch.tensor([0, 1]), torch.tensor([1, 0])
    expected = CorrelationVolume.between(features, *both)(coords)
    assert {level.dtype for level in volume.levels} == {torch.float16}
    torch.testing.assert_close(volume(coords), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_edges_come_and_go(form) -> None:
    features = random_features(3, 8, 8, 8)
    ii, jj = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    coords = random_coords(3, 8, 8)
    whole = form.between(features, ii, jj)
    grown = form.between(features, ii[:1], jj[:1]).extended(features, ii[1:], jj[1:])
    torch.testing.assert_close(grown(coords), whole(coords), rtol=0, atol=0)
    mask = torch.tensor([True, False, True])
    torch.testing.assert_close(whole.keep(mask)(coords[mask]), whole(coords)[mask])
    order = torch.tensor([2, 0])
    torch.testing.assert_close(whole.keep(order)(coords[order]), whole(coords)[order])
    nothing = whole.keep(torch.zeros(3, dtype=torch.bool))
    assert nothing(coords[:0]).shape == (0, LEVELS * WINDOW**2, 8, 8)


@pytest.mark.parametrize("form", [CorrelationVolume, OnDemandCorrelation])
def test_a_grid_too_small_for_four_levels_is_refused(form) -> None:
    with pytest.raises(ValueError, match="7 x 20 cells"):
        form.between(random_features(2, 8, 7, 20), torch.tensor([0]), torch.tensor([1]))
