"""SAM against upstream's numbers (``tests/golden``), SAM 2's mapping, and what surrounds both."""

import cv2
import numpy as np
import pytest
import torch

from multithumbs.models.sam import Sam2Architecture, SamArchitecture, build_sam, build_sam2
from multithumbs.models.sam import checkpoint as sam
from multithumbs.models.sam import checkpoint_sam2 as sam2
from multithumbs.models.sam.pixels import (
    masks_of,
    sam2_boxes,
    sam2_logits,
    sam2_pixels,
    sam_boxes,
    sam_logits,
    sam_pixels,
)
from multithumbs.models.weights import load_strict

from ..golden.fixture import load_fixture, read_keys

pytest.importorskip("transformers")

REDUCED = SamArchitecture(
    image_size=256, hidden_size=48, layers=2, heads=4, global_layers=(1,), window=7, channels=32,
    mask_channels=16, decoder_heads=4, decoder_mlp=64, quality_width=32,
)  # fmt: skip

REDUCED2 = Sam2Architecture(
    image_size=64, width=16, heads=1, blocks=(1, 2, 3, 1), windows=(4, 2, 2, 2),
    global_blocks=(4,), position_size=3, channels=256, memory_layers=2, mask_channels=16,
    decoder_heads=8, decoder_mlp=2048,
)  # fmt: skip


def described(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {k: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for k, t in tensors.items()}


def test_the_network_agrees_with_upstream():
    fixture = load_fixture("sam_network")
    model = build_sam(REDUCED).double()
    official = {key: torch.from_numpy(value) for key, value in fixture.weights().items()}
    load_strict(model, sam.ours_from_official(official), name="sam-vit-h")
    image = torch.from_numpy(fixture.input("image"))
    mask = 3 * torch.from_numpy(fixture.input("mask"))
    given = {
        key: torch.tensor(fixture.sidecar["inputs"][key], dtype=torch.float64)
        for key in ("boxes_xyxy", "points", "labels")
    }
    boxes, points, labels = given["boxes_xyxy"][None], given["points"][None], given["labels"][None]
    prompts = {
        "box": {"input_boxes": boxes},
        "box_multi": {"input_boxes": boxes},
        "point": {"input_points": points, "input_labels": labels},
        "point_mask": {"input_points": points, "input_labels": labels, "input_masks": mask},
        "point_box": {
            "input_points": points, "input_labels": labels, "input_boxes": boxes[:, :1],
        },
    }  # fmt: skip
    with torch.inference_mode():
        embedding = model.vision_encoder(image).last_hidden_state
        fixture.check("image_embedding", embedding.numpy())
        fixture.check("dense_pe", model.get_image_wide_positional_embeddings().numpy())
        for name, prompt in prompts.items():
            full = {"input_points": None, "input_labels": None, "input_boxes": None}
            full |= {"input_masks": None} | prompt
            sparse, _ = model.prompt_encoder(**full)
            fixture.check(f"{name}_sparse", sparse[0].numpy())
            several = fixture.sidecar["outputs"][f"{name}_masks"]["full_shape"][1] == 3
            found = model(image_embeddings=embedding, multimask_output=several, **prompt)
            fixture.check(f"{name}_masks", found.pred_masks[0].numpy())
            fixture.check(f"{name}_iou", found.iou_scores[0].numpy())


def test_sam2s_network_agrees_with_upstream():
    """Under the official names: a norm or projection mapped onto another's place would show."""
    fixture = load_fixture("sam2_network")
    model = build_sam2(REDUCED2, video=True).double()
    official = {key: torch.from_numpy(value) for key, value in fixture.weights().items()}
    load_strict(model, sam2.ours_from_official(official), name="sam2.1-hiera-l")
    given = {
        name: torch.from_numpy(fixture.input(name))
        for name in ("image", "mask", "current", "current_position", "memory", "memory_position")
    }
    boxes = torch.tensor(fixture.sidecar["inputs"]["boxes_xyxy"], dtype=torch.float64)[None]
    decoder = model.mask_decoder
    with torch.inference_mode():
        fine, middle, coarse = model.vision_encoder(given["image"]).fpn_hidden_states
        maps = [decoder.conv_s0(fine), decoder.conv_s1(middle)]
        for name, level in zip(("4", "8", "16"), (*maps, coarse), strict=True):
            fixture.check(f"features_{name}", level.numpy())
        sparse, dense = model.prompt_encoder(
            input_points=None, input_labels=None, input_boxes=boxes, input_masks=None
        )
        fixture.check("box_sparse", sparse[0].numpy())
        for name, several in (("box", False), ("box_multi", True)):
            masks, quality, tokens, presence = decoder(
                image_embeddings=coarse + model.no_memory_embedding.view(1, -1, 1, 1),
                image_positional_embeddings=model.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=several,
                high_resolution_features=maps,
            )
            fixture.check(f"{name}_masks", masks[0].numpy())
            fixture.check(f"{name}_iou", quality[0].numpy())
            fixture.check(f"{name}_presence", presence[0].numpy())
        fixture.check("object_pointer", model.object_pointer_proj(tokens[0, :, 0]).numpy())
        memory, _ = model.memory_encoder(coarse, 20 * torch.sigmoid(3 * given["mask"]) - 10)
        fixture.check("memory", memory.numpy())
        attended = model.memory_attention(
            current_vision_features=given["current"],
            current_vision_position_embeddings=given["current_position"],
            memory=given["memory"],
            memory_posision_embeddings=given["memory_position"],
            num_object_pointer_tokens=4,
        )
        fixture.check("attended", attended.reshape(16, 1, 256).numpy())


def test_the_full_size_expects_exactly_the_official_tensors():
    with torch.device("meta"):
        ours = dict(build_sam(SamArchitecture()).state_dict())
    assert described(ours) == read_keys("keys_sam_vith_hf.txt")
    official = sam.official_from_ours(ours)
    assert described(official) == read_keys("keys_sam_vith_official.txt")
    assert described(sam.ours_from_official(official)) == described(ours)
    assert described(sam.ours_from_official(ours)) == described(ours)
    parameters = sum(t.numel() for k, t in official.items() if "gaussian" not in k)
    assert parameters == 641_090_608


def test_sam2s_full_size_expects_exactly_the_official_tensors():
    with torch.device("meta"):
        ours = dict(build_sam2(Sam2Architecture(), video=True).state_dict())
        image = dict(build_sam2(Sam2Architecture(), video=False).state_dict())
    assert described(ours) == read_keys("keys_sam2video_large_hf.txt")
    official = sam2.official_from_ours(ours)
    assert described(official) == read_keys("keys_sam2.1_hiera_l_official.txt")
    assert described(sam2.ours_from_official(official)) == described(ours)
    assert described(sam2.ours_from_official(ours)) == described(ours)
    assert described(image) == read_keys("keys_sam2_large_hf.txt")
    assert described(sam2.image_part(ours)) == described(image)


def test_the_kinds_of_points_keep_their_order():
    rows = {sam2.OFFICIAL_POINT.format(kind): torch.full((1, 2), kind) for kind in range(4)}
    ours = sam2.ours_from_official({"image_encoder.neck.convs.0.conv.bias": torch.zeros(1), **rows})
    assert ours[sam2.POINTS][:, 0].tolist() == [0, 1, 2, 3]
    back = sam2.official_from_ours(ours)
    assert all(torch.equal(back[name], row) for name, row in rows.items())


def picture(hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(0, 255, (9, 12, 3)).astype(np.float32)
    big = cv2.resize(coarse, hw[::-1], interpolation=cv2.INTER_CUBIC)
    return big.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("hw", [(120, 160), (700, 1300), (1500, 800)])
def test_sams_preprocessing_agrees_with_the_librarys_own(hw):
    """Pillow rounds after each axis, we once: a grey level at most, in few pixels."""
    from transformers import SamImageProcessor, SamProcessor

    rgb = picture(hw)
    box = [hw[1] * 0.1, hw[0] * 0.2, hw[1] * 0.6, hw[0] * 0.9]
    processor = SamProcessor(SamImageProcessor())
    library = processor(rgb, input_boxes=[[box]], return_tensors="pt")
    ours = sam_pixels(torch.from_numpy(rgb)[None], 1024)
    grey = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    difference = (ours - library["pixel_values"]).abs() * grey
    assert float(difference.max()) < 1.01
    assert float((difference > 0.01).float().mean()) < 0.2
    prompt = sam_boxes(torch.tensor([box]), hw, 1024)
    # The library hands the box on as it is; we tell the network where our pixels' centres are.
    torch.testing.assert_close(prompt + 0.5, library["input_boxes"][0].float())
    low = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 256, 256))).float()
    library_masks = processor.image_processor.post_process_masks(
        [low[None]], library["original_sizes"], library["reshaped_input_sizes"], binarize=False
    )[0]
    torch.testing.assert_close(sam_logits(low, hw, 1024)[None], library_masks)


def test_sam2_squeezes_the_image_into_a_square():
    """Against an exact average: halving both axes with a triangle two pixels wide."""
    rgb = picture((64, 128))
    ours = sam2_pixels(torch.from_numpy(rgb)[None], 64)
    mean = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    columns = (torch.from_numpy(rgb).permute(2, 0, 1).double() / 255).split(1, dim=-1)
    inner = slice(2, -2)  # two columns become one, with weights 1, 3, 3, 1 over 8; rows stay
    pairs = range(2, 62)
    outer = torch.cat([columns[2 * i - 1] + columns[2 * i + 2] for i in pairs], -1)
    middle = torch.cat([columns[2 * i] + columns[2 * i + 1] for i in pairs], -1)
    expected = ((outer + 3 * middle) / 8 - mean) / std
    torch.testing.assert_close(ours[0, :, :, inner].double(), expected, atol=1e-4, rtol=0)
    boxes = sam2_boxes(torch.tensor([[0.0, 0.0, 128.0, 64.0]]), (64, 128), 64)
    assert boxes.tolist() == [[-0.5, -0.5, 63.5, 63.5]]
    assert sam2_logits(torch.ones(3, 16, 16), (64, 128)).shape == (3, 64, 128)


def test_a_pixel_belongs_to_the_higher_logit():
    logits = torch.tensor([[[1.0, 2.0, -1.0, 3.0]], [[2.0, 1.0, -2.0, -1.0]], [[9.0] * 4]])
    usable = torch.tensor([True, True, False])
    apart = masks_of(logits, usable, exclusive=True)
    assert apart[:, 0].int().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
    shared = masks_of(logits, usable, exclusive=False)
    assert shared[:, 0].int().tolist() == [[1, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    nobody = masks_of(torch.zeros(0, 4, 5), torch.zeros(0, dtype=torch.bool), exclusive=True)
    assert nobody.shape == (0, 4, 5)
