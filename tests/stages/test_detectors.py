"""Stage `detections` with the detectors of other libraries, at tiny sizes and random weights."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from multithumbs.backends.detections import grounding_dino, rtdetr
from multithumbs.backends.detections.framewise import Boxes, detections_of, select
from multithumbs.backends.detections.nms import overlap, suppress
from multithumbs.backends.detections.pretrained import resized
from multithumbs.config.detections import (
    BASE_GROUNDING_DINO,
    BoxDetectorConfig,
    GroundingDinoArchitecture,
    GroundingDinoConfig,
    RtDetrArchitecture,
    RtDetrConfig,
    YoloConfig,
)
from multithumbs.errors import BackendUnavailable, CheckpointError
from multithumbs.stages import detections
from multithumbs.types import Detections

from ..golden.fixture import read_keys
from .frames import FrameList, work_on

transformers = pytest.importorskip("transformers", minversion="5")

TINY_RTDETR = RtDetrArchitecture(
    stem=8, stages=(8, 8, 16, 16), depths=(1, 1, 1, 1), width=16, heads=2, hidden=16,
    decoder_layers=2, queries=20, labels=3,
)  # fmt: skip
TINY_DINO = GroundingDinoArchitecture(
    swin_width=8, swin_depths=(1, 1, 1, 1), swin_heads=(1, 1, 2, 2), swin_window=4,
    text_width=16, text_depth=1, text_heads=2, text_hidden=16,
    width=32, heads=2, hidden=16, layers=2, queries=20,
)  # fmt: skip
LOOSE = {"min_score": 1e-6, "max_iou": 1.0, "min_height_px": 0.0, "max_people": 1000}
RTDETR = RtDetrConfig(architecture=TINY_RTDETR, side_px=64, batch=3, **LOOSE)
DINO = GroundingDinoConfig(architecture=TINY_DINO, shortest_px=64, longest_px=100, batch=3, **LOOSE)
HW = (90, 160)


# ------------------------------------------------------------------ the pure parts


def test_overlap_of_boxes():
    a = np.array([[0.0, 0, 10, 10], [5, 5, 5, 9]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 9]])
    np.testing.assert_allclose(overlap(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 0]])


def test_suppression_keeps_the_best_and_what_it_does_not_cover():
    boxes = np.array(
        [[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 8], [50, 0, 60, 10], [50, 0, 60, 10]]
    )
    score = np.array([0.6, 0.9, 0.7, 0.5, 0.5])
    # 0 overlaps 1 by 0.9; 2 overlaps 1 by 0.89; 2 alone would stay beside 0 (0.8).
    assert suppress(boxes, score, 0.85).tolist() == [1, 3]
    assert suppress(boxes, score, 0.895).tolist() == [1, 2, 3]
    assert suppress(boxes, score, 1.0).tolist() == [1, 2, 0, 3, 4]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_box_that_was_suppressed_suppresses_nobody():
    boxes = np.array([[0.0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]])
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_what_is_selected():
    boxes = Boxes(
        np.array(
            [
                [-20.0, -5, 30, 60],  # cut at the border
                [40, 10, 60, 60],
                [40, 11, 60, 61],  # again
                [70, 10, 90, 30],  # low
                [100, 0, 120, 80],  # unsure
                [200, 0, 220, 80],  # outside
            ]
        ),
        np.array([0.6, 0.9, 0.8, 0.9, 0.2, 0.9]),
    )
    config = BoxDetectorConfig(min_score=0.5, max_iou=0.8, min_height_px=40)
    kept = select(boxes, HW, config)
    np.testing.assert_array_equal(kept.xyxy, [[40, 10, 60, 60], [0, 0, 30, 60]])
    np.testing.assert_array_equal(kept.score, [0.9, 0.6])
    assert len(select(boxes, HW, config.model_copy(update={"max_people": 1})).score) == 1


def test_rows_and_their_regions():
    nobody = Boxes(np.zeros((0, 4)), np.zeros(0))
    two = Boxes(np.array([[0.0, 0, 10, 30], [20, 10, 60, 20]]), np.array([0.9, 0.8]))
    rows = detections_of([(3, nobody), (4, two), (6, two)])
    assert rows.frame.tolist() == [4, 4, 6, 6]
    np.testing.assert_array_equal(rows.roi[:2], [[5, 15, 30, 0], [40, 15, 40, 0]])
    assert len(detections_of([(3, nobody)])) == len(detections_of([])) == 0


# --------------------------------------------------------------- against the library


def frames(count: int, hw: tuple[int, int] = HW) -> np.ndarray:
    """Blobs of every size and sharp edges."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.uniform(0, 255, (count, 3, 7, 9)))
    smooth = torch.nn.functional.interpolate(noise, hw, mode="bicubic").clamp(0, 240)
    picture = smooth.permute(0, 2, 3, 1).numpy().round().astype(np.uint8)
    picture[:, hw[0] // 4 : hw[0] // 2, hw[1] // 3 : hw[1] // 2] = (250, 20, 60)
    return picture


@pytest.mark.parametrize("hw", [(360, 640), (1080, 1920), (720, 405), (90, 160), (640, 640)])
def test_rtdetrs_input_is_the_librarys(hw):
    picture = frames(1, hw)
    processor = transformers.RTDetrImageProcessorPil()
    theirs = processor(images=list(picture), return_tensors="pt")["pixel_values"]
    ours = resized(torch.from_numpy(picture), (640, 640))
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1.01 / 255  # Pillow rounds twice


@pytest.mark.parametrize(
    "hw", [(360, 640), (1080, 1920), (720, 405), (240, 320), (800, 1000), (100, 1000), (640, 640)]
)
def test_grounding_dinos_input_is_the_librarys(hw):
    picture = frames(1, hw)
    processor = transformers.GroundingDinoImageProcessorPil()
    theirs = processor(images=list(picture), return_tensors="pt")
    assert bool((theirs["pixel_mask"] == 1).all())
    scaled = grounding_dino.scaled_hw(hw, 800, 1333)
    ours = grounding_dino.prepared(torch.from_numpy(picture), scaled)
    assert ours.shape == theirs["pixel_values"].shape
    assert (ours - theirs["pixel_values"]).abs().max() < 1.01 / 255 / 0.224


@pytest.mark.parametrize(
    ("size", "sizes"), [("tiny", GroundingDinoArchitecture()), ("base", BASE_GROUNDING_DINO)]
)
def test_grounding_dino_at_full_size_has_the_listed_tensors(size, sizes):
    with torch.device("meta"):
        network = transformers.GroundingDinoForObjectDetection(grounding_dino.library_config(sizes))
    ours = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in network.state_dict().items()
    }
    assert ours == read_keys(f"keys_groundingdino_{size}_hf.txt")
    assert GroundingDinoConfig(size=size).sizes == sizes
    assert GroundingDinoConfig(size=size).checkpoints == (f"grounding-dino-{size}",)


def test_rtdetr_at_full_size_is_the_librarys_default_with_cocos_classes():
    ours = rtdetr.library_config(RtDetrArchitecture())
    default = transformers.RTDetrConfig(num_labels=80)
    assert ours.to_diff_dict() == default.to_diff_dict()


def make(config: RtDetrConfig | GroundingDinoConfig):
    """The library's network of random weights, livelier than its initialisation."""
    torch.manual_seed(0)
    if isinstance(config, RtDetrConfig):
        library_config = rtdetr.library_config(config.architecture)
        network = transformers.RTDetrForObjectDetection(library_config)
    else:
        library_config = grounding_dino.library_config(config.sizes)
        network = transformers.GroundingDinoForObjectDetection(library_config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


def saved(network, folder: Path) -> Path:
    """As published: `save_pretrained` writes the names of old files and every tied tensor once."""
    network.save_pretrained(folder)
    return folder / "model.safetensors"


def run(config, path: Path, video: FrameList, shot=(1, 8)) -> Detections:
    name = config.checkpoints[0]
    return detections.run(work_on(video, config, {name: path}, shot=shot))


@pytest.fixture(scope="module", params=["rtdetr", "grounding_dino"])
def detector(request, tmp_path_factory):
    config = RTDETR if request.param == "rtdetr" else DINO
    network = make(config)
    return config, network, saved(network, tmp_path_factory.mktemp(request.param))


def test_the_file_is_in_the_names_of_published_ones(detector):
    config, network, path = detector
    import safetensors.torch

    stored = set(safetensors.torch.load_file(path))
    old = {
        "rtdetr": "model.encoder.encoder.0.layers.0.self_attn.out_proj.weight",
        "grounding_dino": "model.backbone.conv_encoder.model.encoder.layers.0.blocks.0"
        ".attention.self.query.weight",
    }[config.name]
    assert old in stored
    assert old not in network.state_dict()


@pytest.mark.parametrize("shown", ["as it is", "scaled"])
def test_every_frame_is_the_librarys_own_reading(detector, shown):
    """Random weights through the whole stage against its processor, model and post-processing.

    Where nothing is scaled the numbers are the same. Scaled, Pillow's rounding decides between
    queries of nearly equal scores, and all follow from those: random weights show the scores
    only roughly.
    """
    config, network, path = detector
    exact = shown == "as it is"
    side = 64 if isinstance(config, RtDetrConfig) else 100
    hw = (64, side) if exact else HW
    video = FrameList(frames(9, hw))
    found = run(config, path, video)
    assert set(found.frame) == set(range(1, 8))
    assert (found.box_xyxy >= 0).all()
    assert (found.box_xyxy <= [*hw[::-1], *hw[::-1]]).all()
    for frame in range(1, 8):
        with torch.inference_mode():
            boxes, score = theirs(config, network, video.frame(frame))
        rows = found.frame == frame
        order = np.argsort(-score, kind="stable")
        assert rows.sum() == len(score) == 20
        # Boxes of nearly equal scores may swap places: compare each with its nearest.
        apart = np.abs(found.box_xyxy[rows][:, None] - boxes[None]).max(-1).min(1)
        if exact:
            np.testing.assert_allclose(found.score[rows], score[order], atol=1e-4)
            assert apart.max() < 0.01
        else:
            assert np.median(np.abs(found.score[rows] - score[order])) < 0.02
            assert np.median(apart) < 1.0


def theirs(config, network, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(config, RtDetrConfig):
        processor = transformers.RTDetrImageProcessorPil(size={"height": 64, "width": 64})
        output = network(**processor(images=[picture], return_tensors="pt"))
        # Only the first class is a person; alone, its best score per box is its own.
        output.logits = output.logits[..., :1]
    else:
        processor = transformers.GroundingDinoImageProcessorPil(
            size={"shortest_edge": 64, "longest_edge": 100}
        )
        text = torch.tensor([[101, 2711, 1012, 102]])
        given = processor(images=[picture], return_tensors="pt")
        output = network(**given, input_ids=text, attention_mask=torch.ones_like(text))
    (result,) = processor.post_process_object_detection(
        output, threshold=0.0, target_sizes=[picture.shape[:2]]
    )
    height, width, _ = picture.shape
    boxes = result["boxes"].double().numpy().clip(0, [width, height, width, height])
    return boxes, result["scores"].double().numpy()


def test_batches_do_not_matter(detector):
    config, _, path = detector
    video = FrameList(frames(9))
    whole = run(config, path, video)
    single = run(config.model_copy(update={"batch": 1}), path, video)
    np.testing.assert_array_equal(whole.frame, single.frame)
    np.testing.assert_allclose(whole.score, single.score, atol=1e-5)
    np.testing.assert_allclose(np.sort(whole.box_xyxy, 0), np.sort(single.box_xyxy, 0), atol=0.05)


def test_thresholds_leave_nobody(detector):
    config, _, path = detector
    found = run(
        config.model_copy(update={"min_score": 0.999999}), path, FrameList(frames(3)), (0, 3)
    )
    assert len(found) == 0
    assert found.box_xyxy.shape == found.roi.shape == (0, 4)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "of another shape"])
def test_other_weights_are_refused_in_one_line(detector, damage, tmp_path, capsys):
    config, _, path = detector
    import safetensors.torch

    tensors = safetensors.torch.load_file(path)
    victim = next(key for key in tensors if "enc_output" in key and key.endswith("weight"))
    if damage == "missing":
        del tensors[victim]
    elif damage == "unexpected":
        victim = "model.of_something_else.weight"
        tensors[victim] = torch.zeros(3)
    else:
        tensors[victim] = torch.zeros(1, 2)
    safetensors.torch.save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(CheckpointError, match=f"1 {damage}, first {victim}") as caught:
        run(config, tmp_path / "bad.safetensors", FrameList(frames(2)), (0, 2))
    assert "\n" not in str(caught.value)
    assert config.checkpoints[0] in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_published_buffers_that_are_computed_today_are_no_fault(tmp_path):
    """The sizes of the published files show that they hold them: 230496 bytes in the tiny one."""
    import safetensors.torch

    path = saved(make(DINO), tmp_path)
    tensors = safetensors.torch.load_file(path)
    tables = [key for key in tensors if key.endswith("self.relative_position_bias_table")]
    assert len(tables) == 4
    for key in tables:
        index = key.replace("relative_position_bias_table", "relative_position_index")
        tensors[index] = torch.zeros(16, 16, dtype=torch.int64)
    safetensors.torch.save_file(tensors, tmp_path / "published.safetensors")
    video = FrameList(frames(2))
    plain, published = (
        run(DINO, file, video, (0, 2)) for file in (path, tmp_path / "published.safetensors")
    )
    np.testing.assert_array_equal(plain.box_xyxy, published.box_xyxy)


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for config in (RTDETR, DINO):
        with pytest.raises(BackendUnavailable, match=r"pip install multithumbs\[paper\]"):
            run(config, Path("unused"), FrameList(frames(2)), (0, 2))


# ------------------------------------------------------------------------- YOLO


class FakeYolo:
    """Sees a person wherever the red channel is bright, as the package would tell it."""

    def __init__(self, path: str) -> None:
        assert Path(path).is_file()

    def predict(self, pictures, *, classes, conf, device, verbose, **options):
        assert classes == [0]
        assert not verbose
        results = []
        for bgr in pictures:
            v, u = np.nonzero(bgr[..., 2] == 250)
            box = torch.tensor([[u.min(), v.min(), u.max() + 1, v.max() + 1]])
            boxes = SimpleNamespace(xyxy=box.float(), conf=torch.tensor([0.75]))
            results.append(SimpleNamespace(boxes=boxes))
        return results


def install_fake_yolo(monkeypatch) -> None:
    package = ModuleType("ultralytics")
    monkeypatch.setattr(package, "YOLO", FakeYolo, raising=False)
    monkeypatch.setitem(sys.modules, "ultralytics", package)


def test_yolos_boxes_arrive(monkeypatch, tmp_path):
    install_fake_yolo(monkeypatch)
    weights = tmp_path / "yolo.pt"
    weights.touch()
    config = YoloConfig(weights=weights, min_height_px=10, batch=2)
    found = detections.run(work_on(FrameList(frames(5)), config, shot=(1, 4)))
    assert found.frame.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found.box_xyxy, [[53, 22, 80, 45]] * 3)
    np.testing.assert_allclose(found.score, 0.75)


@pytest.mark.parametrize("weights", [None, Path("/no/such/file.pt")])
def test_yolo_without_weights_downloads_nothing(monkeypatch, weights):
    install_fake_yolo(monkeypatch)
    with pytest.raises(CheckpointError, match=r"set detections\.weights=FILE\.pt"):
        detections.run(work_on(FrameList(frames(2)), YoloConfig(weights=weights), shot=(0, 2)))


def test_yolo_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(BackendUnavailable, match="pip install ultralytics"):
        detections.run(work_on(FrameList(frames(2)), YoloConfig(), shot=(0, 2)))
