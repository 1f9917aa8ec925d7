"""`Detections` by a YOLO of the `ultralytics` package, where the user has installed it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multithumbs.backends.detections.framewise import Boxes, detect_framewise
from multithumbs.config.detections import YoloConfig
from multithumbs.errors import BackendUnavailable, CheckpointError
from multithumbs.types import Detections, Frame
from multithumbs.types.work import ShotItem, Work


def detect(work: Work[YoloConfig], shot: ShotItem) -> Detections:
    """Everyone in the frames of ``shot``."""
    config, device = work.config, work.runtime.device
    network = load_network(config.weights)

    def read(frames: Sequence[Frame]) -> list[Boxes]:
        # It takes arrays for BGR, does its own scaling, and returns pixels of the frames.
        results = network.predict(
            [np.ascontiguousarray(frame.rgb[..., ::-1]) for frame in frames],
            classes=[config.person_label],
            conf=config.min_score,
            iou=config.max_iou,
            imgsz=config.side_px,
            max_det=config.max_people,
            device=device,
            verbose=False,
        )
        return [
            Boxes(_array(result.boxes.xyxy).reshape(-1, 4), _array(result.boxes.conf).reshape(-1))
            for result in results
        ]

    return detect_framewise(work, shot, read)


def load_network(weights: Path | None) -> Any:
    """The network.

    Raises:
        BackendUnavailable: the package is not installed.
        CheckpointError: no file is named, or there is none; nothing is downloaded.
    """
    try:
        from ultralytics import YOLO  # type: ignore[import-not-found]
    except ImportError as error:
        raise BackendUnavailable(
            "detections=yolo needs the package ultralytics (AGPL-3.0), which multithumbs does not "
            "install; run `pip install ultralytics`, or use detections=rtdetr"
        ) from error
    if weights is None or not weights.is_file():
        named = "none is named" if weights is None else f"{weights} is no file"
        raise CheckpointError(
            f"detections=yolo needs a weight file, and {named}; set detections.weights=FILE.pt"
        )
    return YOLO(str(weights))


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)
