"""`world.mp4`: everyone in their one world, with trails and the cameras that filmed them."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int64, UInt8

from multithumbs.body import BodyModel
from multithumbs.config.outputs import WorldConfig
from multithumbs.io.video_writer import writing_video
from multithumbs.render.overlay import identity_colour, overlay
from multithumbs.types import FrameReader
from multithumbs.types.outputs import Result
from multithumbs.viz import drawing
from multithumbs.viz.meshes import BodyMeshes
from multithumbs.viz.overlay import ABOVE_HEAD_M, HEAD, draw_caption, draw_strip
from multithumbs.viz.plan import make_plans
from multithumbs.viz.viewpoint import Viewpoint, look_from
from multithumbs.viz.world_scenery import (
    BACKGROUND,
    Image,
    Setting,
    draw_frustum,
    draw_grid,
    draw_inset,
    make_setting,
)

CAMERA: Final = (235, 238, 245)
BESIDE_INSET: Final = 0.7
"""How much of the inset's width the view avoids; below its lower edge there is room again."""
DIM: Final = 0.72
"""How far an old trail has faded into the background."""
FLOOR_M: Final = 0.004
"""Trails lie this far above the floor."""
SHADOW_M: Final = 0.27
"""Radius of the darkening under a person."""
BODY_OPACITY: Final = 0.97


def write_world(
    result: Result,
    body: BodyModel,
    video: FrameReader,
    path: Path,
    *,
    config: WorldConfig | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `world.mp4` atomically, frame by frame. ArtifactError where it cannot be written."""
    config = config or WorldConfig()
    painter = WorldPainter(result, body, config=config, device=device)
    start, end = int(result.camera_frame[0]), int(result.camera_frame[-1]) + 1
    with writing_video(path, frame_rate=result.fps, hw=painter.hw, crf=config.crf) as writer:
        for done, frame in enumerate(video.frames(start, end), start=1):
            writer.write(painter.paint(frame.index, frame.rgb))
            if progress:
                progress(done, end - start)


class WorldPainter:
    """Paints the world at single frames, in any order."""

    def __init__(
        self,
        result: Result,
        body: BodyModel,
        *,
        config: WorldConfig,
        device: str = "cpu",
        aspect: float = 16 / 9,
        still: bool = False,
    ) -> None:
        """``still``: one picture for the whole time, so whole ways, all cameras alike and no
        captions that name a moment."""
        self.hw = (config.height, round(config.height * aspect / 2) * 2)
        """Height and width of the painted pictures."""
        self._result, self._config, self._still = result, config, still
        # The inset's side is left free: what is seen is centred in the rest of the picture.
        self._view_hw = (self.hw[0], round(self.hw[1] * (1 - BESIDE_INSET * config.inset)))
        self._meshes = BodyMeshes(result, body, device=device)
        self._rows = result.rows_of_frames()
        self._settings = {
            plan.island: make_setting(result, plan, config, self._view_hw)
            for plan in make_plans(result)
        }
        self._text_scale = max(0.42, self.hw[0] / 1100)

    def paint(self, frame: int, rgb: UInt8[np.ndarray, "H W 3"] | None = None) -> Image:
        """The island of ``frame``'s camera at that time; ``rgb`` is the frame for the inset."""
        result = self._result
        camera = int(np.searchsorted(result.camera_frame, frame))
        island = int(result.camera_island[camera])
        setting = self._settings[island]
        view = self._view(setting, frame)
        rows = self._rows.get(frame, np.zeros(0, np.int64))
        rows = rows[result.island[rows] == island]
        image = np.full((*self.hw, 3), BACKGROUND, np.uint8)
        draw_grid(image, view, setting)
        self._trails(image, view, setting, frame)
        self._shadows(image, view, rows)
        middle = view.project(np.array([setting.centre]))[1][0]
        self._cameras(image, view, setting, camera, beyond=middle)
        image = self._bodies(image, view, rows)
        self._cameras(image, view, setting, camera, before=middle)
        self._labels(image, view, rows)
        if rgb is not None and self._config.inset > 0:
            draw_inset(image, rgb, self._config.inset)
        if not self._still:
            draw_strip(image, result, frame)
            draw_caption(image, result, frame, self._text_scale)
        if result.num_islands > 1:
            text = f"world {island + 1} of {result.num_islands}"
            drawing.put_text(image, text, 24, 40, self._text_scale, drawing.LIGHT)
        return image

    def _view(self, setting: Setting, frame: int) -> Viewpoint:
        frames = self._result.camera_frame
        phase = (frame - frames[0]) / max(frames[-1] - frames[0], 1)
        swing = np.radians(self._config.swing_deg) * np.sin(2 * np.pi * phase)
        elevation = np.radians(self._config.elevation_deg)
        azimuth = setting.azimuth + float(swing)
        return look_from(setting.centre, setting.distance, azimuth, elevation, self._view_hw)

    def _trails(self, image: Image, view: Viewpoint, setting: Setting, frame: int) -> None:
        """The way walked so far: dim, and bright where it was walked lately."""
        recent = max(self._config.trail_s * float(self._result.fps), 1)
        for path in setting.plan.paths:
            past = (path.frame <= frame) | self._still
            colour = identity_colour(path.person)
            floor = np.insert(path.xz[past], 1, FLOOR_M, axis=1)
            pixels, depth = view.project(floor)
            if (depth < 0.1).any():
                continue
            thickness = 4 if path.observed else 2
            if self._still:
                drawing.polyline(image, pixels, drawing.mixed(colour, BACKGROUND, 0.15), thickness)
                continue
            drawing.polyline(image, pixels, drawing.mixed(colour, BACKGROUND, DIM), 2)
            age = (frame - path.frame[past]) / recent
            for a, b in pairwise(np.flatnonzero(age < 1)):
                faded = drawing.mixed(colour, BACKGROUND, float(age[b]) * DIM)
                drawing.polyline(image, pixels[[a, b]], faded, thickness)

    def _shadows(self, image: Image, view: Viewpoint, rows: Int64[np.ndarray, " M"]) -> None:
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
        for row in rows:
            foot = self._result.joints_world[row, 0] * np.array([1.0, 0.0, 1.0])
            for radius, opacity in ((1.25, 0.25), (1.0, 0.3), (0.7, 0.3)):
                pixels, depth = view.project(foot + ring * SHADOW_M * radius)
                if (depth > 0.1).all():
                    drawing.polygon(image, pixels, (4, 5, 8), opacity)

    def _bodies(self, image: Image, view: Viewpoint, rows: Int64[np.ndarray, " M"]) -> Image:
        for seen, opacity in ((False, 0.45), (True, BODY_OPACITY)):
            part = rows[self._result.observed[rows] == seen]
            if len(part):
                image = overlay(
                    image,
                    self._meshes.at(part),
                    [identity_colour(person) for person in self._result.person[part].tolist()],
                    view.K,
                    cam_from_world=view.cam_from_world,
                    alpha=opacity,
                    stride=self._config.stride,
                )
        return image

    def _cameras(
        self,
        image: Image,
        view: Viewpoint,
        setting: Setting,
        camera: int,
        *,
        beyond: float = -np.inf,
        before: float = np.inf,
    ) -> None:
        """Frusta whose camera is further than ``beyond`` and nearer than ``before``, metres."""
        result = self._result
        now = int(np.searchsorted(result.shot_start, result.camera_frame[camera], side="right")) - 1
        for part in setting.plan.views:
            start = int(np.searchsorted(result.camera_frame, result.shot_start[part.shot]))
            active = part.shot == now and not self._still
            index = camera if active else start
            depth = view.project(result.world_from_cam[index, None, :3, 3])[1][0]
            if not beyond < depth <= before:
                continue
            dim = 0.0 if active else 0.3 if self._still else 0.68
            length = camera - start + 1 if active else len(part.xz)
            draw_frustum(
                image,
                view,
                K=result.K[index],
                world_from_cam=result.world_from_cam[index],
                way=result.world_from_cam[start : start + length, :3, 3],
                name=f"shot {part.shot + 1}",
                colour=drawing.mixed(CAMERA, BACKGROUND, dim),
                thickness=2 if active or self._still else 1,
                text_scale=self._text_scale * 0.72,
            )

    def _labels(self, image: Image, view: Viewpoint, rows: Int64[np.ndarray, " M"]) -> None:
        if len(rows) == 0:
            return
        crown = self._result.joints_world[rows, HEAD] + np.array([0.0, ABOVE_HEAD_M, 0.0])
        pixels, depth = view.project(crown)
        for index in np.argsort(-depth):
            person = int(self._result.person[rows[index]])
            u, v = pixels[index].tolist()
            colour = identity_colour(person)
            drawing.chip(image, f"#{person}", u, v, self._text_scale * 0.85, colour)
