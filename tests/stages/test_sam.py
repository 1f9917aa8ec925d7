"""`masks=sam`, `sam2` and `segment_anything`: tiny random checkpoints through the real adapters."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from multithumbs.backends.masks import sam2_video
from multithumbs.backends.masks.sam2_video import Follower, box_of_logits, box_overlap, fitting
from multithumbs.backends.masks.sam_boxes import runs_of
from multithumbs.config.masks import (
    Sam2Architecture,
    Sam2MasksConfig,
    SamArchitecture,
    SamMasksConfig,
    SegmentAnythingMasksConfig,
)
from multithumbs.errors import BackendUnavailable, CheckpointError
from multithumbs.models.sam import build_sam, build_sam2
from multithumbs.models.sam import checkpoint as sam_names
from multithumbs.models.sam import checkpoint_sam2 as sam2_names
from multithumbs.models.sam.pixels import sam2_boxes, sam2_logits, sam2_pixels
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.stages import masks
from multithumbs.types import Detections, Masks
from multithumbs.types.detections import encode_runs

from .frames import FrameList, work_on

pytest.importorskip("transformers")

HW = (60, 80)
TINY = SamArchitecture(
    image_size=64, hidden_size=16, layers=2, heads=2, global_layers=(1,), window=2, channels=16,
    mask_channels=4, decoder_heads=2, decoder_mlp=16, quality_width=8,
)  # fmt: skip
TINY2 = Sam2Architecture(
    image_size=64, width=8, heads=1, blocks=(1, 1, 2, 1), windows=(2, 2, 2, 2), global_blocks=(3,),
    position_size=2, channels=128, memory_layers=1, mask_channels=4,
    decoder_heads=2, decoder_mlp=16,
)  # fmt: skip


def scrambled(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's state, no weight left at its first value."""
    generator = torch.Generator().manual_seed(7)
    for tensor in model.state_dict().values():
        noise = torch.randn(tensor.shape, generator=generator)
        tensor.copy_(tensor.float() * 0.5 + noise / max(tensor[0].numel(), 4) ** 0.5)
    state = dict(model.state_dict())
    for head, value in (("iou_prediction_head", 0.5), ("pred_obj_score_head", 2.0)):
        if f"mask_decoder.{head}.proj_out.bias" in state:  # masks are trusted, people are there
            state[f"mask_decoder.{head}.proj_out.weight"] *= 0.1
            state[f"mask_decoder.{head}.proj_out.bias"].fill_(value)
    return state


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Official files: SAM's bare, SAM 2's under ``model``."""
    folder = tmp_path_factory.mktemp("sam")
    with torch.no_grad():
        first = sam_names.official_from_ours(scrambled(build_sam(TINY)))
        second = sam2_names.official_from_ours(scrambled(build_sam2(TINY2, video=True)))
    torch.save(first, folder / "sam.pth")
    torch.save({"model": second}, folder / "sam2.pt")
    return {"sam-vit-h": folder / "sam.pth", "sam2.1-hiera-l": folder / "sam2.pt"}


@pytest.fixture(scope="module")
def clip() -> FrameList:
    rng = np.random.default_rng(0)
    return FrameList([rng.integers(0, 255, (*HW, 3)) for _ in range(7)])


def people() -> Detections:
    """Two people in frames 1, 2, 3 and 5, one of them in frame 6; nobody in frame 4."""
    frame = np.array([1, 1, 2, 2, 3, 3, 5, 5, 6])
    boxes = np.array([[8.0, 10.0, 30.0, 55.0], [40.0, 5.0, 75.0, 58.0]])[np.arange(9) % 2]
    return Detections(
        frame=frame, box_xyxy=boxes + frame[:, None] * 0.5, score=np.ones(9), roi=np.zeros((9, 4))
    )


def segment(clip, checkpoints, config) -> Masks:
    return masks.run(work_on(clip, config, checkpoints, shot=(0, 7)), detections=people())


def dense(found: Masks) -> np.ndarray:
    return np.stack([found.dense(row) for row in range(len(found))])


OPTIONS = {
    "sam": lambda **options: SamMasksConfig(architecture=TINY, **options),
    "sam2": lambda **options: Sam2MasksConfig(architecture=TINY2, **options),
    "sam2_video": lambda **options: Sam2MasksConfig(architecture=TINY2, propagate=True, **options),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_row_has_a_mask_and_pixels_one_owner(clip, checkpoints, option):
    found = segment(clip, checkpoints, OPTIONS[option]())
    assert len(found) == 9 and found.hw == HW
    shapes = dense(found)
    assert shapes.any((1, 2)).sum() >= 5
    for frame in np.unique(people().frame):
        assert shapes[people().frame == frame].sum(0).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_runs_found_on_the_device_are_the_types_own(share):
    mask = np.random.default_rng(0).random((9, 14)) < share
    np.testing.assert_array_equal(runs_of(torch.from_numpy(mask)), encode_runs(mask))
    np.testing.assert_array_equal(runs_of(torch.from_numpy(~mask)), encode_runs(~mask))


@pytest.mark.parametrize("option", ["sam", "sam2"])
def test_batches_do_not_change_the_masks(clip, checkpoints, option):
    together = dense(segment(clip, checkpoints, OPTIONS[option](batch=4)))
    apart = dense(segment(clip, checkpoints, OPTIONS[option](batch=1)))
    assert (together != apart).mean() < 1e-3


@pytest.mark.parametrize("option", ["sam", "sam2"])
def test_masks_without_quality_are_left_out(clip, checkpoints, option):
    none = segment(clip, checkpoints, OPTIONS[option](min_quality=0.999999))
    assert len(none) == 9
    assert len(none.counts) == 0


def test_sam2_in_the_adapter_is_the_librarys_own_network(clip, checkpoints):
    """The adapter runs the encoder and the decoder apart; the whole must be the same."""
    model = build_sam2(TINY2, video=False)
    tensors = sam2_names.ours_from_official(read_tensors(checkpoints["sam2.1-hiera-l"]))
    load_strict(model, sam2_names.image_part(tensors), name="sam2.1-hiera-l")
    boxes = sam2_boxes(torch.from_numpy(people().box_xyxy[:2]).float(), HW, 64)
    with torch.inference_mode():
        whole = model(
            pixel_values=sam2_pixels(torch.from_numpy(clip.frame(1))[None], 64),
            input_boxes=boxes[None],
            multimask_output=False,
        )
    expected = sam2_logits(whole.pred_masks[0, :, 0], HW) > 0
    found = dense(segment(clip, checkpoints, OPTIONS["sam2"](exclusive=False)))[:2]
    good = whole.iou_scores[0, :, 0].numpy() >= 0
    assert good.all()
    assert (found != expected.numpy()).mean() < 1e-3


def test_a_followed_mask_is_the_librarys_own(clip, checkpoints, monkeypatch):
    """The library computes its features itself and forgets nothing; we share and trim them."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    config = OPTIONS["sam2_video"]()
    work = work_on(clip, config, checkpoints, shot=(0, 7))
    frames = [torch.from_numpy(clip.frame(index))[None] for index in range(5)]
    box = people().box_xyxy[:1]
    corners = sam2_boxes(torch.from_numpy(box).float(), HW, 64).view(1, 1, 2, 2)
    follower = Follower(work, config)
    session = Sam2VideoInferenceSession(video_height=HW[0], video_width=HW[1], dtype=torch.float32)
    session.add_point_inputs(
        session.obj_id_to_idx(0),
        0,
        {"point_coords": corners, "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32)},
    )
    session.obj_with_new_inputs = [0]
    monkeypatch.setattr(sam2_video, "fitting", lambda boxes, followed, _: [len(followed) - 1])
    for step, frame in enumerate(frames):
        with torch.inference_mode():
            expected = follower._model(session, frame=sam2_pixels(frame, 64), frame_idx=step)
            found = follower.step(step, frame, box)
        logits = sam2_logits(expected.pred_masks[:, 0], HW)
        assert float(logits.std()) > 1e-3
        torch.testing.assert_close(found.logits, logits, atol=1e-4, rtol=1e-4)
    assert len(follower._people) == 1


def test_people_come_and_go(clip, checkpoints, monkeypatch):
    """Of two people one is found again, one is not: a box without a mask starts another."""
    config = OPTIONS["sam2_video"](max_lost=2)
    follower = Follower(work_on(clip, config, checkpoints, shot=(0, 7)), config)
    boxes = people().box_xyxy[:2]
    of_box = iter([[-1, -1], [0, -1], [], []])
    monkeypatch.setattr(sam2_video, "fitting", lambda *_: next(of_box))
    seen = []
    with torch.inference_mode():
        for step, here in enumerate((boxes, boxes, boxes[:0], boxes[:0])):
            shapes = follower.step(step, torch.from_numpy(clip.frame(step))[None], here)
            assert shapes.logits.shape == (len(here), *HW)
            seen.append([person.seen for person in follower._people])
    assert seen == [[0, 0], [1, 0, 1], [1, 1], []]


def test_memory_does_not_grow_with_the_shot(clip, checkpoints):
    config = OPTIONS["sam2_video"](max_lost=1000)
    follower = Follower(work_on(clip, config, checkpoints, shot=(0, 7)), config)
    sizes = []
    with torch.inference_mode():
        for step in range(24):
            follower.step(
                step, torch.from_numpy(clip.frame(step % 7))[None],
                people().box_xyxy[:1] if step == 0 else np.zeros((0, 4)),
            )  # fmt: skip
            (person,) = follower._people
            (output,) = person.session.output_dict_per_obj.values()
            sizes.append(len(output["non_cond_frame_outputs"]))
            assert len(person.session.processed_frames) == 1
    assert sizes[-1] == sizes[-5] <= 16


def test_followed_masks_go_to_the_boxes_that_they_fit():
    boxes = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]])
    followed = [np.array([21.0, 20, 30, 30]), np.zeros(4), np.array([0.0, 0, 10, 9])]
    assert fitting(boxes, followed, 0.3) == [2, -1, 0]
    assert fitting(boxes, [], 0.3) == [-1, -1, -1]
    assert box_overlap(boxes[0], boxes[0]) == 1
    assert box_overlap(boxes[0], np.array([5.0, 0, 15, 10])) == pytest.approx(1 / 3)
    assert box_overlap(boxes[0], boxes[1]) == 0


def test_the_box_of_a_mask_reaches_its_last_pixels_far_side():
    logits = torch.full((6, 8), -1.0)
    logits[2:4, 3:7] = 1
    assert box_of_logits(logits).tolist() == [3, 2, 7, 4]
    assert box_of_logits(-torch.ones(6, 8)).tolist() == [0, 0, 0, 0]


def test_another_networks_file_is_refused(clip, checkpoints):
    swapped = {
        "sam-vit-h": checkpoints["sam2.1-hiera-l"], "sam2.1-hiera-l": checkpoints["sam-vit-h"]
    }  # fmt: skip
    for option in OPTIONS.values():
        with pytest.raises(CheckpointError, match="holds other weights"):
            segment(clip, swapped, option())


@pytest.mark.parametrize("option", OPTIONS)
def test_odd_boxes_do_no_harm(clip, checkpoints, option):
    boxes = np.array([[20.0, 30, 20, 30], [500, 500, 540, 600], [-900, -900, 900, 900]])
    odd = Detections(
        frame=np.array([0, 0, 6]), box_xyxy=boxes, score=np.ones(3), roi=np.zeros((3, 4))
    )
    work = work_on(clip, OPTIONS[option](), checkpoints, shot=(0, 7))
    found = masks.run(work, detections=odd)
    assert len(found) == 3
    assert dense(found).shape == (3, *HW)


def test_nobody_needs_no_network(clip):
    nobody = Detections(
        frame=np.zeros(0, np.int64),
        box_xyxy=np.zeros((0, 4)),
        score=np.zeros(0),
        roi=np.zeros((0, 4)),
    )
    for config in (SamMasksConfig(), Sam2MasksConfig(propagate=True), SegmentAnythingMasksConfig()):
        found = masks.run(work_on(clip, config, {}, shot=(0, 7)), detections=nobody)
        assert len(found) == 0 and found.hw == HW


def test_nothing_is_imported_that_was_not_chosen():
    """Not even by the adapters: only building a network does."""
    program = (
        "import sys; from multithumbs.stages import keypoints, masks; "
        "from multithumbs.backends.keypoints import vitpose; "
        "from multithumbs.backends.masks import sam, sam2, sam2_video, segment_anything; "
        "heavy = {'transformers', 'torchvision', 'segment_anything'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_device_that_is_too_small_is_said_in_one_line(clip, checkpoints, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Follower, "_look", too_much)
    with pytest.raises(BackendUnavailable, match="memory"):
        segment(clip, checkpoints, OPTIONS["sam2_video"]())


def test_without_its_package_segment_anything_says_what_to_install(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(BackendUnavailable, match=r"multithumbs\[segment-anything\]"):
        segment(clip, {}, SegmentAnythingMasksConfig())


def test_segment_anything_is_given_tensors_and_its_own_pixels(clip, checkpoints, monkeypatch):
    """With a stand-in for the package: it is handed no file, and boxes from pixel centres."""
    seen: list[np.ndarray] = []

    class Predictor:
        def __init__(self, network):
            assert isinstance(network, torch.nn.Linear)
            self.transform = SimpleNamespace(apply_boxes_torch=lambda boxes, hw: boxes * 2)

        def set_image(self, rgb):
            assert rgb.shape == (*HW, 3) and rgb.dtype == np.uint8

        def predict_torch(self, *, boxes, multimask_output, return_logits, **points):
            assert return_logits and not multimask_output
            seen.append(boxes.numpy() / 2)
            logits = torch.full((len(boxes), 1, *HW), -1.0)
            for row, (left, top, right, bottom) in enumerate((boxes / 2 + 0.5).int().tolist()):
                logits[row, 0, top:bottom, left:right] = 1
            return logits, torch.ones(len(boxes), 1), None

    def registry(checkpoint):
        assert checkpoint is None
        return torch.nn.Linear(2, 3)

    package = SimpleNamespace(SamPredictor=Predictor, sam_model_registry={"vit_h": registry})
    monkeypatch.setitem(sys.modules, "segment_anything", package)
    file = checkpoints["sam-vit-h"].with_name("linear.pth")
    torch.save(torch.nn.Linear(2, 3).state_dict(), file)
    found = segment(clip, {"sam-vit-h": file}, SegmentAnythingMasksConfig())
    np.testing.assert_allclose(np.concatenate(seen), people().box_xyxy - 0.5, rtol=1e-6)
    area = dense(found).sum((1, 2))
    floor = np.floor(people().box_xyxy)
    np.testing.assert_array_equal(area, np.prod(floor[:, 2:] - floor[:, :2], axis=1))
