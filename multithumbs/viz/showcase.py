"""One picture that says what a run does: shots in a row above, their one world below."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8

from multithumbs.body import BodyModel
from multithumbs.config.outputs import OverlayConfig, WorldConfig
from multithumbs.io.atomic import replacing
from multithumbs.types import FrameReader
from multithumbs.types.outputs import Result
from multithumbs.viz import drawing
from multithumbs.viz.overlay import FramePainter
from multithumbs.viz.world import WorldPainter
from multithumbs.viz.world_scenery import BACKGROUND

WIDTH: Final = 1440
GAP: Final = 8
WORLD_HEIGHT: Final = 560
ELEVATION_DEG: Final = 33.0
"""Of the world's view: higher than the video's, so that the ways over the floor show."""


def write_showcase(
    result: Result,
    body: BodyModel,
    video: FrameReader,
    path: Path,
    *,
    num_shots: int = 3,
    max_bytes: int = 480_000,
    device: str = "cpu",
) -> None:
    """Write the picture as JPEG, at the best quality that fits ``max_bytes``.

    Raises ArtifactError where it cannot be written.
    """
    image = showcase(result, body, video, num_shots=num_shots, device=device)
    content = b""
    for quality in (92, 88, 84, 78, 70, 60):
        _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        content = encoded.tobytes()
        if len(content) <= max_bytes:
            break
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def showcase(
    result: Result,
    body: BodyModel,
    video: FrameReader,
    *,
    num_shots: int = 3,
    device: str = "cpu",
) -> UInt8[np.ndarray, "H W 3"]:
    """The first ``num_shots`` shots, each at its fullest moment, over the world."""
    shots = range(min(num_shots, len(result.shot_start)))
    frames = [fullest_frame(result, shot) for shot in shots]
    width = (WIDTH - GAP * (len(frames) - 1)) // len(frames)
    height = round(width * video.info.hw[0] / video.info.hw[1])
    painter = FramePainter(
        result,
        body,
        video.info.hw,
        config=OverlayConfig(stride=1, max_height=round(1.4 * height)),
        device=device,
        captions=False,
    )
    pictures = []
    for shot, frame in zip(shots, frames, strict=True):
        painted = painter.paint(frame, video.frame(frame))
        picture = cv2.resize(painted, (width, height), interpolation=cv2.INTER_AREA)
        drawing.chip(picture, f"shot {shot + 1}", 44.0, 36.0, 0.55, drawing.LIGHT)
        pictures.append(picture)
    config = WorldConfig(height=WORLD_HEIGHT, elevation_deg=ELEVATION_DEG, swing_deg=0, inset=0)
    world = WorldPainter(
        result, body, config=config, device=device, aspect=WIDTH / WORLD_HEIGHT, still=True
    ).paint(max(frames, key=lambda frame: _num_seen(result, frame)))
    canvas = np.full((height + GAP + world.shape[0], WIDTH, 3), BACKGROUND, np.uint8)
    for index, picture in enumerate(pictures):
        left = index * (width + GAP)
        canvas[:height, left : left + width] = picture
    canvas[height + GAP :, : world.shape[1]] = world[:, :WIDTH]
    return canvas


def _num_seen(result: Result, frame: int) -> int:
    return int((result.observed & (result.frame == frame)).sum())


def fullest_frame(result: Result, shot: int) -> int:
    """The frame of a shot in which most people are seen; the one nearest its middle of equals."""
    start, end = int(result.shot_start[shot]), int(result.shot_end[shot])
    rows = (result.frame >= start) & (result.frame < end) & result.observed
    seen = np.bincount(result.frame[rows] - start, minlength=end - start)
    away = np.abs(np.arange(end - start) - (end - start - 1) / 2)
    return start + int(np.lexsort((away, -seen))[0])
