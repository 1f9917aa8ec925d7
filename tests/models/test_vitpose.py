"""ViTPose against upstream's numbers (``tests/golden``) and its checkpoints' key lists."""

import cv2
import numpy as np
import pytest
import torch

from multithumbs.errors import CheckpointError
from multithumbs.models.vitpose import (
    Architecture,
    build,
    kept_part,
    official_from_ours,
    ours_from_official,
)
from multithumbs.models.vitpose.crop import crop_matrix, crop_person, crop_rectangle, normalised
from multithumbs.models.vitpose.decode import find_peaks, image_from_heatmap, locate
from multithumbs.models.vitpose.network import MIRRORED, heatmaps, mirrored_back
from multithumbs.models.weights import load_strict
from multithumbs.types import KEYPOINT_NAMES

from ..golden.fixture import load_fixture, read_keys

pytest.importorskip("transformers")

REDUCED = Architecture(hidden_size=80, layers=2, heads=5, deconvolution_channels=64)


def described(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {k: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for k, t in tensors.items()}


def zeros(keys: dict[str, tuple[tuple[int, ...], str]]) -> dict[str, torch.Tensor]:
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, (shape, dtype) in keys.items()
    }


def golden_network() -> tuple[torch.nn.Module, torch.Tensor]:
    fixture = load_fixture("vitpose_network")
    model = build(REDUCED, "coco").double()
    official = {key: torch.from_numpy(value) for key, value in fixture.weights().items()}
    load_strict(model, ours_from_official(kept_part(official, "coco")), name="vitpose-h-coco")
    return model, torch.from_numpy(fixture.input("image"))


def test_the_network_agrees_with_upstream():
    fixture = load_fixture("vitpose_network")
    model, image = golden_network()
    with torch.inference_mode():
        features = model.backbone(image).feature_maps[-1].transpose(1, 2).unflatten(2, (16, 12))
        straight = heatmaps(model, image, 17)
        mirrored = mirrored_back(heatmaps(model, image.flip(-1), 17), shift=False)
    fixture.check("features", features.numpy())
    fixture.check("heatmaps", straight.numpy())
    fixture.check("heatmaps_flip_averaged", ((straight + mirrored) / 2).numpy())


def test_the_mirror_of_a_biased_crop_is_shifted_by_one():
    maps = torch.arange(2 * 17 * 64 * 48, dtype=torch.float64).reshape(2, 17, 64, 48)
    plain, shifted = (mirrored_back(maps, shift=shift) for shift in (False, True))
    assert torch.equal(shifted[..., 1:], plain[..., :-1])
    assert torch.equal(shifted[..., 0], plain[..., 0])


def test_every_left_keypoint_mirrors_its_right_one():
    for name, other in zip(KEYPOINT_NAMES, MIRRORED, strict=True):
        swap = {"left": "right", "right": "left"}
        side, _, rest = name.partition("_")
        expected = f"{swap[side]}_{rest}" if side in swap else name
        assert KEYPOINT_NAMES[other] == expected


def test_the_full_size_expects_exactly_the_official_tensors():
    with torch.device("meta"):
        model = build(Architecture(), "coco")
    ours = dict(model.state_dict())
    assert described(ours) == read_keys("keys_vitpose_h_coco_hf.txt")
    official = official_from_ours(ours)
    expected = read_keys("keys_vitpose_h_coco_official.txt")
    assert described(official) == expected
    assert described(ours_from_official(official)) == described(ours)
    assert sum(t.numel() for t in official.values()) == 637_209_875


def test_the_wholebody_head_has_133_keypoints():
    with torch.device("meta"):
        model = build(Architecture(), "wholebody")
    official = official_from_ours(dict(model.state_dict()))
    head = {key: value for key, value in described(official).items() if "keypoint_head" in key}
    assert head == read_keys("keys_vitpose_h_wholebody_head_official.txt")


@pytest.mark.parametrize(("head", "channels"), [("coco", 17), ("wholebody", 133)])
def test_a_multi_task_file_gives_one_plain_network(head, channels):
    whole = zeros(read_keys("keys_vitposeplus_h_official.txt"))
    whole["backbone.cls_token"] = torch.empty(1, 1, 1280, device="meta")
    kept = described(kept_part(whole, head))
    expected = read_keys("keys_vitpose_h_coco_official.txt")
    expected["keypoint_head.final_layer.weight"] = ((channels, 256, 1, 1), "float32")
    expected["keypoint_head.final_layer.bias"] = ((channels,), "float32")
    assert kept == expected


def multi_task_block() -> dict[str, torch.Tensor]:
    """One block's ``fc2`` of width 3, one row of it the experts', and two heads."""
    tensors = {
        "backbone.blocks.0.norm2.bias": torch.zeros(3),
        "backbone.blocks.0.mlp.fc2.bias": torch.tensor([1.0, 2.0]),
        "keypoint_head.final_layer.bias": torch.tensor([7.0]),
        "associate_keypoint_heads.4.final_layer.bias": torch.tensor([8.0]),
    }
    for expert in range(6):
        tensors[f"backbone.blocks.0.mlp.experts.{expert}.bias"] = torch.tensor([10.0 + expert])
    return tensors


@pytest.mark.parametrize(("head", "expert", "final"), [("coco", 10, 7), ("wholebody", 15, 8)])
def test_the_expert_of_the_data_set_completes_a_block(head, expert, final):
    kept = kept_part(multi_task_block(), head)
    assert kept["backbone.blocks.0.mlp.fc2.bias"].tolist() == [1, 2, expert]
    assert kept["keypoint_head.final_layer.bias"].tolist() == [final]
    assert len(kept) == 3
    ported = kept_part(ours_from_official(multi_task_block()), head)
    assert {k: v.tolist() for k, v in ported.items()} == {k: v.tolist() for k, v in kept.items()}


def test_a_split_file_keeps_its_own_rows_and_drops_the_experts_left_in_it():
    split = multi_task_block() | {"backbone.blocks.0.mlp.fc2.bias": torch.tensor([1.0, 2.0, 3.0])}
    kept = kept_part(split, "coco")
    assert kept["backbone.blocks.0.mlp.fc2.bias"].tolist() == [1, 2, 3]
    assert not any("experts" in key for key in kept)


def test_a_file_without_the_expert_is_refused():
    without = multi_task_block()
    del without["backbone.blocks.0.mlp.experts.5.bias"]
    with pytest.raises(CheckpointError, match="expert 5"):
        kept_part(without, "wholebody")


def test_the_qkv_rows_are_query_then_key_then_value():
    rows = torch.arange(6.0)
    ours = ours_from_official({"backbone.blocks.3.attn.qkv.bias": rows})
    prefix = "backbone.encoder.layer.3.attention.attention"
    assert {k: v.tolist() for k, v in ours.items()} == {
        f"{prefix}.query.bias": [0, 1],
        f"{prefix}.key.bias": [2, 3],
        f"{prefix}.value.bias": [4, 5],
    }


@pytest.mark.parametrize(
    ("decoding", "unbiased", "name"),
    [
        ("udp", True, "udp"),
        ("quarter", False, "default"),
        ("dark", False, "dark_no_udp"),
        ("argmax", False, "argmax_no_udp"),
    ],
)
def test_decoding_agrees_with_upstream(decoding, unbiased, name):
    fixture = load_fixture("vitpose_decode")
    configuration = fixture.sidecar["configuration"]
    rectangle = torch.tensor(
        [
            [*centre, 200 * scale[0], 200 * scale[1]]
            for centre, scale in zip(
                configuration["center_xy"], configuration["scale_wh_over_200"], strict=True
            )
        ],
        dtype=torch.float64,
    )
    maps = torch.from_numpy(fixture.arrays["heatmaps_f32"]).double()
    peaks = find_peaks(maps)
    fixture.check(f"score_{name}", peaks.score[..., None].numpy())
    fixture.check("peak", peaks.xy.numpy())
    place = locate(maps, peaks, decoding)
    coords = image_from_heatmap(place, rectangle, (64, 48), unbiased=unbiased)
    meant = peaks.score.numpy() > 0  # the sidecar: [2, 16] has no place
    assert meant.sum() == 50
    stored = fixture.arrays[f"coords_{name}"]
    atol = fixture.sidecar["outputs"][f"coords_{name}"]["suggested_atol_float64"]
    np.testing.assert_allclose(coords.numpy()[meant], stored[meant], rtol=0, atol=atol)
    if decoding == "udp":
        stored = fixture.arrays["refined_udp_heatmap_frame"]
        atol = fixture.sidecar["outputs"]["refined_udp_heatmap_frame"]["suggested_atol_float64"]
        np.testing.assert_allclose(place.numpy()[meant], stored[meant], rtol=0, atol=atol)


def test_the_crop_matrices_agree_with_upstream():
    fixture = load_fixture("vitpose_decode")
    configuration = fixture.sidecar["configuration"]
    scale = 200 * np.array(configuration["scale_wh_over_200"])
    rectangle = np.concatenate([np.array(configuration["center_xy"]), scale], axis=-1)
    fixture.check("warp_udp", crop_matrix(rectangle, unbiased=True))
    fixture.check("warp_no_udp", crop_matrix(rectangle, unbiased=False))


@pytest.mark.parametrize("unbiased", [True, False])
def test_a_dot_in_the_image_is_found_where_it_is(unbiased):
    """Image to crop to heat-map and back: the two directions are one geometry."""
    rectangle = crop_rectangle(np.array([[40.0, 30.0, 130.0, 250.0]]), 1.25)
    dots = np.array([[55.25, 61.5], [120.0, 200.75], [86.1, 140.2]])
    matrix = crop_matrix(rectangle, unbiased=unbiased)[0]
    in_crop = dots @ matrix[:, :2].T + matrix[:, 2]
    extent = np.array([191.0, 255.0]) / [47, 63] if unbiased else np.array([4.0, 4.0])
    in_map = in_crop / extent
    x, y = np.arange(48.0), np.arange(64.0)
    maps = np.exp(
        -((x - in_map[:, 0, None, None]) ** 2 + (y[:, None] - in_map[:, 1, None, None]) ** 2) / 8
    )
    maps = torch.from_numpy(maps)[None]
    peaks = find_peaks(maps)
    place = locate(maps, peaks, "udp" if unbiased else "dark")
    np.testing.assert_allclose(place[0].numpy(), in_map, atol=0.05)
    found = image_from_heatmap(place, torch.from_numpy(rectangle), (64, 48), unbiased=unbiased)
    np.testing.assert_allclose(found[0].numpy(), dots, atol=0.05 * 275 / 63)


def test_preprocessing_agrees_with_the_librarys_own():
    """Both round to whole grey levels. Across the image's border OpenCV fades to black within
    a pixel and the library does not: such pixels are left out for the second box."""
    from transformers import VitPoseImageProcessor

    coarse = np.random.default_rng(0).uniform(0, 255, (9, 12, 3)).astype(np.float32)
    rgb = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    rgb = rgb.astype(np.uint8)
    boxes = np.array([[30.0, 20.0, 50.0, 80.0], [-10.0, 5.0, 90.0, 40.0]])  # x, y, w, h
    library = VitPoseImageProcessor()(rgb, boxes=[boxes], return_tensors="np")["pixel_values"]
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    matrices = crop_matrix(crop_rectangle(corners, 1.25), unbiased=True)
    crops = np.stack([crop_person(rgb, matrix) for matrix in matrices])
    ours = normalised(torch.from_numpy(crops)).numpy()
    grey_levels = np.abs(ours - np.asarray(library)) * 255 * 0.229
    for error, matrix in zip(grey_levels, matrices, strict=True):
        x, y = (np.arange(n)[None] - matrix[:, 2:] for n in (192, 256))
        u, v = x[0] / matrix[0, 0], y[1] / matrix[1, 1]
        clear = lambda p, size: np.minimum(np.abs(p), np.abs(p - (size - 1))) > 1  # noqa: E731
        compared = error[:, clear(v, 120)][:, :, clear(u, 160)]
        assert compared.size > 0.9 * error.size
        assert compared.max() < 1.1
        assert (compared > 0.01).mean() < 0.001
