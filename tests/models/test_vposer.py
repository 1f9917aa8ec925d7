"""VPoser v2 against upstream's numbers (``tests/golden``) and against its checkpoint."""

import numpy as np
import pytest
import torch

from multithumbs.errors import CheckpointError
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.models.vposer import Architecture, VPoser, official_key
from multithumbs.models.weights import load_strict

from ..golden.fixture import load_fixture, read_keys


@pytest.fixture(scope="module")
def fixture():
    return load_fixture("vposer")


@pytest.fixture(scope="module")
def network(fixture):
    network = VPoser(Architecture())
    weights = {f"vp_model.{k}": torch.from_numpy(v) for k, v in fixture.weights().items()}
    # A released checkpoint also holds the body model that it was trained with.
    weights["bm_train.shapedirs"] = torch.zeros(5, 3)
    load_strict(network, weights, name="vposer", keep=official_key, dtype=torch.float64)
    return network.eval().requires_grad_(False)


def test_it_expects_exactly_the_released_tensors():
    with torch.device("meta"):
        network = VPoser(Architecture())
    ours = {
        key: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for key, tensor in network.state_dict().items()
    }
    assert ours == read_keys("keys_vposer.txt")
    assert sum(p.numel() for p in network.parameters()) == 936_252


def test_what_is_kept_of_a_checkpoint():
    assert official_key("vp_model.encoder_net.8.mu.bias") == "encoder_net.8.mu.bias"
    assert official_key("decoder_net.0.weight") == "decoder_net.0.weight"
    assert official_key("bm_train.weights") is None
    assert official_key("bodyprior_enc_fc1.weight") is None  # version 1


def test_another_version_is_refused():
    weights = {"bodyprior_enc_fc1.weight": torch.zeros(512, 63)}
    with pytest.raises(CheckpointError, match="26 of 26 tensors are missing"):
        load_strict(VPoser(Architecture()), weights, name="vposer", keep=official_key)


def test_it_computes_what_upstream_does(fixture, network):
    pose = torch.from_numpy(0.3 * fixture.input("pose"))
    posterior = network.encode(pose)
    flat = network.encode(pose.flatten(1))
    assert torch.equal(posterior.mean, flat.mean)
    fixture.check("encode_mean", posterior.mean.numpy())
    fixture.check("encode_std", posterior.std.numpy())
    again = network.decode(posterior.mean)
    fixture.check("reconstruct_matrot", again.flatten(2).numpy())
    fixture.check("reconstruct_aa", network.decode_axis_angle(posterior.mean).numpy())
    latent = torch.from_numpy(fixture.input("z"))
    fixture.check("decode_matrot", network.decode(latent).flatten(2).numpy())
    fixture.check("decode_aa", network.decode_axis_angle(latent).numpy())


def test_the_closed_derivative_is_that_of_the_encoder(network):
    pose = 0.5 * torch.randn(4, 63, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, derivative = network.linearise(pose)
    torch.testing.assert_close(mean, network.encode(pose).mean, rtol=0, atol=1e-12)
    one = lambda p: network.encode(p[None]).mean[0]  # noqa: E731
    by_torch = torch.stack([torch.func.jacrev(one)(p) for p in pose])
    torch.testing.assert_close(derivative, by_torch, rtol=0, atol=1e-12)


def test_the_logarithm_has_a_gradient_at_the_identity(network):
    """Upstream's goes through quaternions and is NaN there."""
    small = torch.zeros(3, 3, dtype=torch.float64)
    small[1] = 1e-12
    small[2, 0] = 1e-5
    small.requires_grad_()
    from multithumbs.geometry.rotations import axis_angle_from_matrix

    derivative = torch.autograd.functional.jacobian(
        lambda x: axis_angle_from_matrix(matrix_from_axis_angle(x)).sum(0), small
    )
    np.testing.assert_allclose(
        derivative.permute(1, 0, 2).numpy(), np.tile(np.eye(3), (3, 1, 1)), atol=1e-4
    )
    latent = torch.zeros(1, 32, dtype=torch.float64, requires_grad=True)
    network.decode_axis_angle(latent).square().sum().backward()
    assert latent.grad.isfinite().all()
