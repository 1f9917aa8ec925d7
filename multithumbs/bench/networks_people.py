"""The networks that look at people: detectors, ViTPose, HMR2, SAM and SAM 2.1, by their stages'
own functions."""

import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multithumbs.backends.batching import in_batches
from multithumbs.bench.networks_measure import RATE, Clock, Findings, Row, joined, sweep
from multithumbs.bench.networks_setup import PEOPLE, Bench, boxes_at
from multithumbs.config.bodies import Hmr2Architecture, Hmr2Config
from multithumbs.config.detections import (
    GroundingDinoArchitecture,
    GroundingDinoConfig,
    RtDetrArchitecture,
    RtDetrConfig,
)
from multithumbs.config.keypoints import ViTPoseArchitecture, ViTPoseConfig
from multithumbs.config.masks import (
    Sam2Architecture,
    Sam2MasksConfig,
    SamArchitecture,
    SamMasksConfig,
)
from multithumbs.models.weights import expected_tensors

ABOVE_CHANCE = 0.9
TINY_HMR2 = Hmr2Architecture(
    width=16, depth=1, heads=2, head_width=16, head_depth=1, head_heads=2, head_dim=8, head_mlp=16
)
TINY_VITPOSE = ViTPoseArchitecture(hidden_size=16, layers=1, heads=2, deconvolution_channels=8)
TINY_DINO = GroundingDinoArchitecture(
    swin_width=8, swin_depths=(1, 1, 1, 1), swin_heads=(1, 1, 2, 2), swin_window=4, text_width=16,
    text_depth=1, text_heads=2, text_hidden=16, width=32, heads=2, hidden=16, layers=2, queries=20,
)  # fmt: skip
TINY_RTDETR = RtDetrArchitecture(
    stem=8, stages=(16, 16, 16, 16), depths=(1, 1, 1, 1), width=16, heads=2, hidden=16,
    decoder_layers=1, queries=10,
)  # fmt: skip
TINY_SAM = SamArchitecture(
    image_size=64, hidden_size=16, layers=2, heads=2, global_layers=(1,), window=2, channels=16,
    mask_channels=4, decoder_heads=2, decoder_mlp=16, quality_width=16,
)  # fmt: skip
TINY_SAM2 = Sam2Architecture(
    image_size=128, width=8, heads=1, blocks=(1, 1, 2, 1), windows=(4, 4, 4, 4),
    global_blocks=(3,), channels=128, memory_layers=1, decoder_mlp=16,
)  # fmt: skip


def measure_hmr2(bench: Bench) -> Findings:
    """Crops of the sweep are people; the stage's frames hold `PEOPLE` each."""
    from multithumbs.backends.bodies import hmr2
    from multithumbs.models.hmr2 import HMR2

    config = Hmr2Config(architecture=TINY_HMR2) if bench.scale.tiny else Hmr2Config()
    with torch.device("meta"):
        expected = expected_tensors(HMR2(config.architecture))
    device = bench.meter.device
    with bench.weights(expected, {"smpl_head.init_cam": torch.tensor([[0.9, 0.0, 0.0]])}) as path:
        checkpoints = {hmr2.CHECKPOINT: path}
        network = hmr2.load_network(bench.work(config, checkpoints, Clock()))
        crops = np.random.default_rng(0).uniform(0, 255, (8, 256, 256, 3)).astype(np.float32)

        def make(batch: int) -> Callable[[], object]:
            given = np.resize(crops, (batch, *crops.shape[1:]))
            return lambda: hmr2.read(network, given, device)

        found, best = sweep(bench.meter, "bodies", "hmr2", make, largest=bench.scale.crops)
        if bench.meter.cuda:
            largest = max(row.batch or 1 for row in found.rows)
            found.notes.append(show_halving(bench, make, largest))
        del network
        free()
        batch = bench.stage_batch(best, PEOPLE * bench.scale.frames)

        def stage(clock: Clock) -> object:
            work = bench.work(config.model_copy(update={"batch": batch}), checkpoints, clock)
            return hmr2.estimate(work, bench.detections, None, bench.intrinsics)

        found.rows.append(stage_row(stage, "bodies", "hmr2", batch, per_frame=PEOPLE))
    return found


def measure_vitpose(bench: Bench) -> Findings:
    """Crops of people, each read twice: as it is and mirrored."""
    from multithumbs.backends.keypoints import vitpose
    from multithumbs.models.vitpose import build, official_from_ours
    from multithumbs.models.vitpose.crop import crop_rectangle

    config = ViTPoseConfig(architecture=TINY_VITPOSE) if bench.scale.tiny else ViTPoseConfig()
    with torch.device("meta"):
        network = build(config.architecture, config.head)
        expected = official_from_ours(expected_tensors(network))
    with bench.weights(expected) as path:
        checkpoints = {config.checkpoints[0]: path}
        reader = vitpose.Reader(bench.work(config, checkpoints, Clock()), config)
        crops = np.random.default_rng(0).integers(0, 256, (8, 256, 192, 3), dtype=np.uint8)
        rectangle = crop_rectangle(boxes_at(bench.scale.hw, 0)[:1], config.padding)

        def make(batch: int) -> Callable[[], object]:
            given = np.resize(crops, (batch, *crops.shape[1:]))
            return lambda: reader.read(given, rectangle.repeat(batch, 0))

        found, best = sweep(bench.meter, "keypoints", "vitpose", make, largest=bench.scale.crops)
        del reader
        free()
        batch = bench.stage_batch(best, PEOPLE * bench.scale.frames)

        def stage(clock: Clock) -> object:
            chosen = config.model_copy(update={"batch": batch})
            work = bench.work(chosen, checkpoints, clock)
            return vitpose.estimate(work, chosen, bench.detections, None)

        found.rows.append(stage_row(stage, "keypoints", "vitpose", batch))
    return found


def measure_detections(bench: Bench) -> Findings:
    """The paper's detector, and the fast one."""
    import transformers

    from multithumbs.backends.detections import grounding_dino, rtdetr

    tiny = bench.scale.tiny
    # Random scores lie about 0.5: with 900 boxes a frame, suppression alone would be timed.
    dino = GroundingDinoConfig(min_score=ABOVE_CHANCE)
    fast = RtDetrConfig(min_score=ABOVE_CHANCE)
    if tiny:
        dino = dino.model_copy(update={"architecture": TINY_DINO, "shortest_px": 64})
        fast = fast.model_copy(update={"architecture": TINY_RTDETR, "side_px": 64})
    with torch.device("meta"):
        of_dino = expected_tensors(
            transformers.GroundingDinoForObjectDetection(grounding_dino.library_config(dino.sizes))
        )
        of_fast = expected_tensors(
            transformers.RTDetrForObjectDetection(rtdetr.library_config(fast.architecture))
        )
    found = _detector(bench, "grounding_dino", grounding_dino, dino, of_dino)
    return joined(found, _detector(bench, "rtdetr", rtdetr, fast, of_fast))


def _detector(
    bench: Bench, what: str, adapter: Any, config: Any, expected: Mapping[str, Tensor]
) -> Findings:
    with bench.weights(expected) as path:
        checkpoints = {config.checkpoints[0]: path}
        read = adapter.reader(bench.work(config, checkpoints, Clock()))
        frames = bench.pictures(8)

        def make(batch: int) -> Callable[[], object]:
            given = [frames[n % len(frames)] for n in range(batch)]
            return lambda: read(given)

        found, best = sweep(bench.meter, "detections", what, make, largest=bench.scale.pictures)
        del read
        free()
        batch = bench.stage_batch(best, bench.scale.frames)

        def stage(clock: Clock) -> object:
            work = bench.work(config.model_copy(update={"batch": batch}), checkpoints, clock)
            assert work.shot is not None
            return adapter.detect(work, work.shot)

        found.rows.append(stage_row(stage, "detections", what, batch))
    return found


def measure_masks(bench: Bench) -> Findings:
    """SAM 2.1 and SAM by box, and SAM 2.1's own tracking; `PEOPLE` in every frame."""
    from multithumbs.backends.masks import sam, sam2
    from multithumbs.models.sam import build_sam, build_sam2
    from multithumbs.models.sam.checkpoint import official_from_ours as official_sam
    from multithumbs.models.sam.checkpoint_sam2 import official_from_ours as official_sam2

    newer, older = Sam2MasksConfig(), SamMasksConfig()
    if bench.scale.tiny:
        newer = Sam2MasksConfig(architecture=TINY_SAM2)
        older = SamMasksConfig(architecture=TINY_SAM)
    with torch.device("meta"):
        of_newer = official_sam2(expected_tensors(build_sam2(newer.architecture, video=True)))
        of_older = official_sam(expected_tensors(build_sam(older.architecture)))
    with bench.weights(of_newer) as path:
        found = _segmenter(bench, "sam2", sam2, newer, path)

        def follow(clock: Clock) -> object:
            chosen = newer.model_copy(update={"propagate": True})
            work = bench.work(chosen, {newer.checkpoints[0]: path}, clock)
            return sam2.segment(work, chosen, bench.detections)

        found.rows.append(stage_row(follow, "masks", "sam2, propagated", None))
    with bench.weights(of_older) as path:
        return joined(found, _segmenter(bench, "sam", sam, older, path))


def _segmenter(bench: Bench, what: str, adapter: Any, config: Any, path: Path) -> Findings:
    from multithumbs.backends.masks.sam_boxes import encoded

    checkpoints = {config.checkpoints[0]: path}
    reader = adapter.Reader(bench.work(config, checkpoints, Clock()), config)
    frames = bench.pictures(8)

    def make(batch: int) -> Callable[[], object]:
        given = [frames[n % len(frames)] for n in range(batch)]
        boxes = [boxes_at(bench.scale.hw, frame.index) for frame in given]
        return lambda: [encoded(shapes, config) for shapes in reader.read(given, boxes)]

    found, best = sweep(bench.meter, "masks", what, make, largest=bench.scale.pictures)
    del reader
    free()
    batch = bench.stage_batch(best, bench.scale.frames)

    def stage(clock: Clock) -> object:
        chosen = config.model_copy(update={"batch": batch})
        return adapter.segment(bench.work(chosen, checkpoints, clock), chosen, bench.detections)

    found.rows.append(stage_row(stage, "masks", what, batch))
    return found


def show_halving(bench: Bench, make: Callable[[int], Callable[[], object]], largest: int) -> str:
    """A line on what `in_batches` does where ``largest`` items do not fit into a capped memory."""
    device = torch.device(bench.meter.device)
    index = torch.cuda.current_device() if device.index is None else device.index
    with torch.inference_mode():
        small = max(largest // 16, 1)
        bench.meter.reset()
        make(small)()
        cap = 1.1 * torch.cuda.max_memory_reserved(index)
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(index).total_memory
        torch.cuda.set_per_process_memory_fraction(min(cap / whole, 1.0), index)
        try:
            done = [n for n, _ in in_batches(largest, largest, _counted(make))]
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, index)
            torch.cuda.empty_cache()
    halved = "halved" if done[0] < largest and sum(done) == largest else "NOT HALVED"
    return (
        f"out of memory: {largest} crops of HMR2 under a cap of {cap / 2**30:.1f} GiB were "
        f"{halved} to batches of {', '.join(map(str, sorted(set(done), reverse=True)))}; "
        f"{sum(done)} of {largest} came back"
    )


def _counted(
    make: Callable[[int], Callable[[], object]],
) -> Callable[[slice], tuple[int, object]]:
    def run(batch: slice) -> tuple[int, object]:
        count = batch.stop - batch.start
        return count, make(count)()

    return run


def stage_row(
    stage: Callable[[Clock], object], name: str, what: str, batch: int | None, per_frame: int = 1
) -> Row:
    """Frames per second of a whole stage: decoding, cropping, network, and what follows it."""
    clock = Clock()
    stage(clock)
    rate = clock.rate(time.perf_counter()) / per_frame
    return Row(stage=name, what=f"{what}, whole stage", unit=RATE, value=rate, batch=batch)


def free() -> None:
    """Give the device's memory back once a network is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
