"""What the networks are measured on: a synthetic clip, boxes, and files of random weights."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from multithumbs.bench.networks_measure import Clock, Meter
from multithumbs.body import EMBEDDED_BODY
from multithumbs.io.video import Video
from multithumbs.io.video_writer import writing_video
from multithumbs.runner.machine import available_cores
from multithumbs.types import Detections, Frame, Intrinsics
from multithumbs.types.work import Runtime, ShotItem, Work

PEOPLE: Final = 3
SPREAD: Final = 0.02
"""Standard deviation of random matrices: activations neither vanish nor overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large everything is."""

    tiny: bool
    hw: tuple[int, int]
    frames: int
    crops: int
    """Largest batch of people's crops."""
    pictures: int
    """Largest batch of whole frames."""
    views: int
    """Most frames that VGGT sees together."""
    followed: int
    """Frames of a video that DROID-SLAM follows."""
    poses: int
    """Largest batch of VPoser's poses."""


FULL: Final = Scale(
    tiny=False, hw=(1080, 1920), frames=96, crops=1024, pictures=64, views=16, followed=240,
    poses=4096,
)  # fmt: skip
TINY: Final = Scale(
    tiny=True, hw=(144, 256), frames=6, crops=2, pictures=2, views=2, followed=24, poses=2
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One measurement's surroundings."""

    folder: Path
    """Scratch: the clip and one file of weights at a time."""
    scale: Scale
    meter: Meter

    @classmethod
    def of(cls, folder: Path, device: str, *, tiny: bool) -> "Bench":
        """The usual one for a device."""
        meter = (
            Meter(device=device, repeats=1, enough_s=0.0, slow_s=5.0)
            if tiny
            else Meter(device=device, repeats=10, enough_s=2.0, slow_s=4.0)
        )
        return cls(folder=folder, scale=TINY if tiny else FULL, meter=meter)

    @property
    def clip(self) -> Path:
        """The clip of 3 people; made when first asked for."""
        path = self.folder / "clip.mp4"
        if not path.exists():
            with writing_video(path, frame_rate=Fraction(25), hw=self.scale.hw) as writer:
                for index in range(self.scale.frames):
                    writer.write(picture(self.scale.hw, index))
        return path

    @property
    def detections(self) -> Detections:
        """The people's boxes in every frame."""
        frames = self.scale.frames
        boxes = np.concatenate([boxes_at(self.scale.hw, index) for index in range(frames)])
        size = boxes[:, 2:] - boxes[:, :2]
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        return Detections(
            frame=np.repeat(np.arange(frames), PEOPLE),
            box_xyxy=boxes,
            score=np.full(len(boxes), 0.9),
            roi=np.column_stack([middle, size.max(1), np.zeros(len(boxes))]),
        )

    @property
    def intrinsics(self) -> Intrinsics:
        """A lens as wide as the frame's diagonal is long."""
        height, width = self.scale.hw
        focal = math.hypot(height, width)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
        return Intrinsics(K=K, source="given", log_focal_std=0.0)

    def work(self, config: Any, checkpoints: Mapping[str, Path], clock: Clock) -> Work[Any]:
        """As the runner calls a stage of one shot, the whole clip."""
        frames = self.scale.frames
        shot = ShotItem(index=0, start=0, end=frames, clean_start=0, clean_end=frames)
        return Work(
            video=Video(self.clip),
            config=config,
            runtime=Runtime(device=self.meter.device, threads=available_cores()),
            shot=shot,
            cut=None,
            body_npz=EMBEDDED_BODY,
            checkpoints=checkpoints,
            progress=clock,
        )

    @contextmanager
    def weights(
        self, expected: Mapping[str, Tensor], fixed: Mapping[str, Tensor] | None = None
    ) -> Iterator[Path]:
        """A file of random weights, gone afterwards.

        Args:
            expected: names and shapes (meta tensors serve), the official ones.
            fixed: tensors that shall not be random.
        """
        from safetensors.torch import save_file

        generator = torch.Generator().manual_seed(0)
        tensors = {name: drawn(name, t, generator) for name, t in expected.items()}
        path = self.folder / "weights.safetensors"
        save_file(tensors | dict(fixed or {}), path)
        del tensors
        try:
            yield path
        finally:
            path.unlink()

    def pictures(self, count: int) -> list[Frame]:
        """Decoded frames."""
        return [Frame(n, picture(self.scale.hw, n)) for n in range(count)]

    def stage_batch(self, best: int, items: int) -> int:
        """The batch of a whole stage: the best one, unless that leaves fewer than three."""
        return max(1, min(best, items // 3))


def drawn(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers that keep a deep network's activations in range."""
    last = name.rsplit(".", 1)[-1]
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    if last == "running_var" or (like.ndim == 1 and last == "weight"):
        return torch.ones(like.shape)
    if last in ("bias", "running_mean"):
        return torch.zeros(like.shape)
    return torch.randn(like.shape, generator=generator) * SPREAD


def boxes_at(hw: tuple[int, int], index: int) -> Float64[np.ndarray, "3 4"]:
    """Boxes of people who stand side by side and walk to the right, pixels."""
    height, width = hw
    left = width * (0.08 + 0.3 * np.arange(PEOPLE)) + 0.002 * width * (index % 40)
    return np.stack(
        [left, np.full(PEOPLE, 0.2 * height), left + 0.14 * width, np.full(PEOPLE, 0.9 * height)], 1
    )


def picture(hw: tuple[int, int], index: int) -> UInt8[np.ndarray, "H W 3"]:
    """A smooth pattern that pans behind three brighter people."""
    height, width = hw
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (height // 12 + 1, width // 6 + 1, 3), dtype=np.uint8)
    wall = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_LINEAR)
    at = (index * max(width // 160, 1)) % width
    rgb = wall[:, at : at + width].copy()
    for left, top, right, bottom in boxes_at(hw, index).astype(np.int64):
        rgb[top:bottom, left:right] = rgb[top:bottom, left:right] // 4 + 150
    return rgb
