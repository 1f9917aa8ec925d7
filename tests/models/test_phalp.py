"""PHALP's networks against upstream's numbers (``tests/golden``) and the released tensors."""

import numpy as np
import pytest
import torch

from multithumbs.errors import CheckpointError
from multithumbs.models.phalp import (
    AppearanceEncoder,
    PosePredictor,
    PredictorArchitecture,
    encoder_name,
    predictor_name,
    process_uv_image,
)
from multithumbs.models.weights import load_strict

from ..golden.fixture import load_fixture, read_keys


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def test_the_encoder_expects_exactly_the_released_tensors() -> None:
    with torch.device("meta"):
        encoder = AppearanceEncoder()
    ours = {key: (tuple(t.shape), "float32") for key, t in encoder.state_dict().items()}
    assert ours == read_keys("keys_phalp_encoder.txt")
    assert len(ours) == 12


def test_what_is_kept_of_the_released_file() -> None:
    dropped = (
        "hmar.backbone.conv1.weight",
        "hmar.texture_head.x.weight",
        "hmar.encoding_head.t_conv5.weight",
        "other.encoding_head.conv2.weight",
    )
    assert encoder_name("hmar.encoding_head.conv5_1.bias") == "encoding_head.conv5_1.bias"
    assert encoder_name("encoding_head.conv5_1.bias") == "encoding_head.conv5_1.bias"
    assert [encoder_name(name) for name in dropped] == [None] * 4


def test_the_encoder_computes_what_upstream_does() -> None:
    fixture = load_fixture("phalp_encoder")
    encoder = AppearanceEncoder().double().eval()
    released = {f"hmar.{key}": value for key, value in tensors(fixture.weights()).items()}
    released["hmar.encoding_head.t_conv5.bias"] = torch.zeros(256)
    load_strict(encoder, released, name="phalp-hmar", keep=encoder_name)
    with torch.inference_mode():
        code = encoder(0.5 * torch.from_numpy(fixture.input("uv")))
    assert code.shape == (2, 4096)
    fixture.check("encoding", code.reshape(2, 16, 16, 16).numpy())


def test_a_file_without_the_encoder_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"12 of 12 tensors are missing"):
        load_strict(
            AppearanceEncoder(),
            {"hmar.backbone.conv1.weight": torch.zeros(1)},
            name="phalp-hmar",
            keep=encoder_name,
        )


def test_textures_are_scaled_and_masked() -> None:
    uv = torch.tensor([2.0, -1.0, 0.5, 0.25]).reshape(1, 4, 1, 1).repeat(1, 1, 2, 2)
    uv[0, 3, 0, 1] = 0
    made = process_uv_image(uv)
    torch.testing.assert_close(made[0, :, 0, 0], torch.tensor([0.4, -0.2, 0.1, 1.0]))
    torch.testing.assert_close(made[0, :, 0, 1], torch.tensor([0.0, 0.0, 0.0, -1.0]))


def reduced_predictor() -> PosePredictor:
    weights = tensors(load_fixture("phalp_predictor").weights())
    released = {f"encoder.{key}": value for key, value in weights.items()}
    kept = {name: value for key, value in released.items() if (name := predictor_name(key))}
    predictor = PosePredictor(PredictorArchitecture.of(kept, head_width=8)).double().eval()
    load_strict(predictor, released, name="phalp-pose-predictor", keep=predictor_name)
    return predictor


def test_the_predictor_reads_its_dimensions_from_the_file() -> None:
    size = reduced_predictor().architecture
    assert size == PredictorArchitecture(
        width=32, frames=25, depth=2, heads=4, head_width=8, mlp=48, pose_hidden=24
    )
    with torch.device("meta"):
        full = dict(PosePredictor().state_dict())
    assert PredictorArchitecture.of(full) == PredictorArchitecture()


def test_the_predictor_computes_what_upstream_does() -> None:
    fixture = load_fixture("phalp_predictor")
    config = fixture.sidecar["configuration"]
    pose, mean, std = (torch.from_numpy(fixture.input(name)) for name in ("pose", "mean", "std"))
    frames, elapsed = torch.tensor(config["times"]), torch.tensor(config["elapsed"])
    with torch.inference_mode():
        found = reduced_predictor().predict_next(pose, frames, elapsed, 0.1 * mean, 0.5 + std)
    fixture.check("pose", found.numpy())


def test_a_foreign_predictor_is_refused() -> None:
    with pytest.raises(CheckpointError, match="lacks 'mask_token'"):
        PredictorArchitecture.of({})
    with torch.device("meta"):
        tensors = dict(PosePredictor(PredictorArchitecture(depth=1)).state_dict())
    with pytest.raises(CheckpointError, match="set the width"):
        PredictorArchitecture.of(tensors, head_width=60)


def test_the_guessed_key_list_fits_the_predictor() -> None:
    """LART's published dimensions give the tensors that facts/phalp.md expects (unverified)."""
    with torch.device("meta"):
        ours = {k: tuple(t.shape) for k, t in PosePredictor().state_dict().items()}
    guessed = read_keys("keys_phalp_pose_predictor_unverified.txt")
    assert {k: shape for k, (shape, _) in guessed.items() if predictor_name(k)} == ours
