"""`overlay.mp4`: the bodies over the frames, one stable colour per identity."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Int64, UInt8

from multithumbs.body import BodyModel
from multithumbs.config.outputs import OverlayConfig
from multithumbs.io.video_writer import writing_video
from multithumbs.render.overlay import identity_colour, overlay
from multithumbs.types import FrameReader
from multithumbs.types.outputs import Result
from multithumbs.types.skeleton import JOINT_NAMES
from multithumbs.viz import drawing
from multithumbs.viz.meshes import BodyMeshes

HEAD: Final = JOINT_NAMES.index("head")
ABOVE_HEAD_M: Final = 0.2
"""Where a label stands: above SMPL's head joint, which lies in the middle of the skull."""
NEAR_M: Final = 0.1


def write_overlay(
    result: Result,
    body: BodyModel,
    video: FrameReader,
    path: Path,
    *,
    config: OverlayConfig | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `overlay.mp4` atomically, frame by frame. ArtifactError where it cannot be written."""
    config = config or OverlayConfig()
    painter = FramePainter(result, body, video.info.hw, config=config, device=device)
    start, end = int(result.camera_frame[0]), int(result.camera_frame[-1]) + 1
    with writing_video(path, frame_rate=result.fps, hw=painter.hw, crf=config.crf) as writer:
        for done, frame in enumerate(video.frames(start, end), start=1):
            writer.write(painter.paint(frame.index, frame.rgb))
            if progress:
                progress(done, end - start)


class FramePainter:
    """Paints bodies, labels and the shot strip over single frames, in any order."""

    def __init__(
        self,
        result: Result,
        body: BodyModel,
        video_hw: tuple[int, int],
        *,
        config: OverlayConfig,
        device: str = "cpu",
        captions: bool = True,
    ) -> None:
        """``captions`` False leaves out the strip and the frame number (for thumbnails)."""
        scale = min(1.0, config.max_height / video_hw[0])
        self.hw = (max(round(video_hw[0] * scale), 1), max(round(video_hw[1] * scale), 1))
        """Height and width of the painted frames."""
        self._resized_from_image = np.diag(
            [self.hw[1] / video_hw[1], self.hw[0] / video_hw[0], 1.0]
        )
        self._result, self._config, self._captions = result, config, captions
        self._meshes = BodyMeshes(result, body, device=device)
        self._rows = result.rows_of_frames()
        self._text_scale = max(0.42, self.hw[0] / 1100)

    def paint(self, frame: int, rgb: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The frame at the painter's size with everyone of its island over it."""
        if rgb.shape[:2] != self.hw:
            rgb = cv2.resize(rgb, self.hw[::-1], interpolation=cv2.INTER_AREA)
        result = self._result
        camera = int(np.searchsorted(result.camera_frame, frame))
        K = self._resized_from_image @ result.K[camera]
        cam_from_world = np.linalg.inv(result.world_from_cam[camera])
        rows = self._rows.get(frame, np.zeros(0, np.int64))
        rows = rows[result.island[rows] == result.camera_island[camera]]
        observed = result.observed[rows]
        # Bridged bodies first: what was seen lies over what is only believed.
        image = self._bodies(rgb, rows[~observed], K, cam_from_world, self._config.bridged_opacity)
        image = self._bodies(image, rows[observed], K, cam_from_world, self._config.opacity)
        image = image.copy() if image is rgb else image
        self._labels(image, rows, K, cam_from_world)
        if self._captions:
            draw_strip(image, result, frame)
            draw_caption(image, result, frame, self._text_scale)
        return image

    def _bodies(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        rows: Int64[np.ndarray, " M"],
        K: Float[np.ndarray, "3 3"],
        cam_from_world: Float[np.ndarray, "4 4"],
        opacity: float,
    ) -> UInt8[np.ndarray, "h w 3"]:
        if len(rows) == 0 or opacity == 0:
            return image
        return overlay(
            image,
            self._meshes.at(rows),
            [identity_colour(person) for person in self._result.person[rows].tolist()],
            K,
            cam_from_world=cam_from_world,
            alpha=opacity,
            stride=self._config.stride,
        )

    def _labels(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        rows: Int64[np.ndarray, " M"],
        K: Float[np.ndarray, "3 3"],
        cam_from_world: Float[np.ndarray, "4 4"],
    ) -> None:
        """An id above each head, far people first; people out of the picture have none."""
        joints = self._result.joints_world[rows]
        crown = joints[:, HEAD] + np.array([0.0, ABOVE_HEAD_M, 0.0])
        points = np.concatenate([crown[:, None], joints], axis=1)
        points = points @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        depth = points[..., 2]
        uv = (points @ K.T)[..., :2] / np.maximum(depth, NEAR_M)[..., None]
        inside = (depth > NEAR_M) & (uv >= 0).all(-1) & (uv < np.array(self.hw[::-1])).all(-1)
        for index in np.argsort(-depth[:, 0]):
            if not inside[index].any() or depth[index, 0] <= NEAR_M:
                continue
            person = int(self._result.person[rows[index]])
            colour = identity_colour(person)
            if not self._result.observed[rows[index]]:
                colour = drawing.mixed(colour, (128, 128, 128), 0.6)
            u, v = uv[index, 0]
            drawing.chip(image, f"#{person}", float(u), float(v), self._text_scale, colour)


def draw_caption(
    image: UInt8[np.ndarray, "h w 3"], result: Result, frame: int, scale: float
) -> None:
    """Shot and frame number in the lower left corner."""
    shot = int(np.searchsorted(result.shot_start, frame, side="right"))
    text = f"shot {shot}/{len(result.shot_start)}   frame {frame}"
    width, height, depth = drawing.text_size(text, scale)
    pad, margin = round(0.6 * height), round(0.9 * height)
    bottom = image.shape[0] - strip_height(image) - margin
    top = bottom - height - depth // 2 - 2 * pad
    drawing.rounded_box(
        image, margin, top, margin + width + 2 * pad, bottom, drawing.DARK, radius=pad, opacity=0.6
    )
    drawing.put_text(image, text, margin + pad, top + pad + height, scale, drawing.LIGHT)


def strip_height(image: UInt8[np.ndarray, "h w 3"]) -> int:
    """Height of the shot strip, pixels."""
    return max(round(image.shape[0] / 110), 3)


def draw_strip(image: UInt8[np.ndarray, "h w 3"], result: Result, frame: int) -> None:
    """All shots as segments along the lower edge; what has been played is bright."""
    first, last = int(result.shot_start[0]), int(result.shot_end[-1])
    height, width = strip_height(image), image.shape[1]
    bar = image[-height:]
    bar[...] = (bar * 0.25).astype(np.uint8)
    per_frame = width / (last - first)
    played = round((frame + 1 - first) * per_frame)
    bar[:, :played] = drawing.mixed(drawing.DARK, drawing.LIGHT, 0.85)
    for start in result.shot_start[1:].tolist():
        at = round((start - first) * per_frame)
        bar[:, max(at - 2, 0) : at + 1] = drawing.DARK
