"""The people stage with a tiny VPoser of random weights, and with files that are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multithumbs.config.people import (
    AdamWPeopleConfig,
    LmPeopleConfig,
    PeopleConfig,
    VPoserArchitecture,
)
from multithumbs.errors import CheckpointError
from multithumbs.models.vposer import VPoser
from multithumbs.types import People

from ..golden.filler import fill
from .test_people import clip, errors, hide, solve

TINY = VPoserArchitecture(neurons=16, latent=6)


def tiny() -> VPoser:
    network = VPoser(TINY)
    weights = {
        key: torch.from_numpy(fill(key, tuple(tensor.shape))).to(tensor.dtype)
        for key, tensor in network.state_dict().items()
    }
    network.load_state_dict(weights)
    return network.double().eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """As Lightning writes it: below ``state_dict``, prefixed, beside another model."""
    path = tmp_path_factory.mktemp("vposer") / "epoch=1.ckpt"
    weights = {f"vp_model.{k}": v.float() for k, v in tiny().state_dict().items()}
    weights["bm_train.v_template"] = torch.zeros(3, 3)
    torch.save({"state_dict": weights, "epoch": 1}, path)
    return path


def codes(found: People) -> float:
    """Mean squared length of the latent codes."""
    with torch.no_grad():
        mean = tiny().encode(torch.from_numpy(found.pose[:, 1:22])).mean
    return float(mean.square().sum(-1).mean())


def config_with(kind: type, **fields) -> PeopleConfig:
    return kind(pose_prior="vposer", vposer=TINY, **fields)


def test_only_the_prior_that_is_asked_for_needs_a_checkpoint():
    for kind in (AdamWPeopleConfig, LmPeopleConfig):
        assert kind().checkpoints == ()
        assert kind(pose_prior="vposer").checkpoints == ("vposer",)
        assert kind(pose_prior="vposer", refine=False).checkpoints == ()


@pytest.mark.parametrize("kind", [AdamWPeopleConfig, LmPeopleConfig])
def test_poses_become_likelier_by_the_networks_own_measure(checkpoint, kind):
    fields = {"latent_std": 0.3}
    if kind is AdamWPeopleConfig:
        fields = {"iterations": 40, "learning_rate": 5e-3}
    files = {"vposer": checkpoint}
    without = solve(clip(), kind(**fields))
    found = solve(clip(), config_with(kind, **fields), files)
    assert np.isfinite(found.joints_ground).all()
    assert codes(found) < 0.8 * codes(without)
    again = solve(clip(), config_with(kind, **fields), files)
    assert np.array_equal(found.pose, again.pose)


def test_a_weak_prior_leaves_the_least_squares_where_they_are(checkpoint):
    config = config_with(LmPeopleConfig, latent_std=100.0)
    found = solve(clip(), config, {"vposer": checkpoint})
    place, accel = errors(found, clip())
    expected = errors(solve(clip()), clip())
    assert place == pytest.approx(expected[0], rel=0.02)
    assert accel == pytest.approx(expected[1], rel=0.05)


@pytest.mark.parametrize("kind", [AdamWPeopleConfig, LmPeopleConfig])
def test_absent_people_and_nobody_are_no_error(checkpoint, kind):
    fields = {"iterations": 3} if kind is AdamWPeopleConfig else {}
    config, files = config_with(kind, **fields), {"vposer": checkpoint}
    bridged = solve(hide(clip(), 0, 20, 28), config, files)
    assert np.isfinite(bridged.joints_ground).all()
    assert (~bridged.observed).sum() == 8
    gone = tuple(replace(t, track=np.full(len(t), -1)) for t in clip().tracks)
    assert len(solve(replace(clip(), tracks=gone), config, files).person) == 0


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "vposer.ckpt"
    torch.save({"state_dict": {"bodyprior_enc_fc1.weight": torch.zeros(2, 2)}}, path)
    with pytest.raises(CheckpointError, match="vposer"):
        solve(clip(), config_with(LmPeopleConfig), {"vposer": path})
