"""`world.mp4`: everyone in their one world, with trails and the cameras that filmed them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8

from multithumbs.body import BodyModel
from multithumbs.config.outputs import WorldConfig
from multithumbs.io.video_writer import writing_video
from multithumbs.render.overlay import identity_colour, overlay
from multithumbs.types import FrameReader
from multithumbs.types.outputs import Result
from multithumbs.viz import drawing
from multithumbs.viz.meshes import BodyMeshes
from multithumbs.viz.overlay import ABOVE_HEAD_M, HEAD, draw_caption, draw_strip
from multithumbs.viz.plan import Plan, make_plans
from multithumbs.viz.viewpoint import Viewpoint, fit_view, look_from

BACKGROUND: Final = (20, 23, 30)
GRID: Final = (58, 65, 79)
CAMERA: Final = (235, 238, 245)
FRUSTUM_M: Final = 0.8
"""Distance of a drawn image plane from its camera."""
ASIDE: Final = np.radians(28)
"""How far the view is turned from the first camera's, radians."""
SHADOW_M: Final = 0.27
BODY_OPACITY: Final = 0.97
Image = UInt8[np.ndarray, "h w 3"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What of one island does not change from frame to frame."""

    plan: Plan
    centre: Float64[np.ndarray, "3"]
    azimuth: float
    distance: float
    grid_start: Float64[np.ndarray, "L 3"]
    grid_end: Float64[np.ndarray, "L 3"]
    grid_fade: Float64[np.ndarray, " L"]


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
        captions: bool = True,
    ) -> None:
        """``captions`` False leaves out the shot strip and the frame number."""
        self.hw = (config.height, round(config.height * aspect / 2) * 2)
        """Height and width of the painted pictures."""
        self._result, self._config, self._captions = result, config, captions
        self._meshes = BodyMeshes(result, body, device=device)
        self._rows = result.rows_of_frames()
        self._settings = {plan.island: self._setting(plan) for plan in make_plans(result)}
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
        _draw_grid(image, view, setting)
        self._trails(image, view, setting, frame)
        self._shadows(image, view, rows)
        middle = view.project(np.array([setting.centre]))[1][0]
        self._cameras(image, view, setting, camera, beyond=middle)
        image = self._bodies(image, view, rows)
        self._cameras(image, view, setting, camera, before=middle)
        self._labels(image, view, rows)
        if rgb is not None and self._config.inset > 0:
            _draw_inset(image, rgb, self._config.inset)
        if self._captions:
            draw_strip(image, result, frame)
            draw_caption(image, result, frame, self._text_scale)
        if result.num_islands > 1:
            text = f"world {island + 1} of {result.num_islands}"
            drawing.put_text(image, text, 24, 40, self._text_scale, drawing.LIGHT)
        return image

    def _setting(self, plan: Plan) -> _Setting:
        result, config = self._result, self._config
        joints = result.joints_world[result.island == plan.island].reshape(-1, 3)
        eyes = result.world_from_cam[result.camera_island == plan.island][:, :3, 3]
        inside = (eyes[:, [0, 2]] > plan.low).all(1) & (eyes[:, [0, 2]] < plan.high).all(1)
        points = np.concatenate([joints, eyes[inside] if inside.any() else eyes])
        points = np.concatenate([points, points * np.array([1.0, 0.0, 1.0])])  # their floor
        # From behind the first camera, turned aside so that its frustum hides nobody.
        towards = eyes[0] - joints.reshape(-1, 3).mean(0) if len(joints) else eyes[0]
        azimuth = float(np.arctan2(towards[0], towards[2])) + ASIDE
        swing = np.radians(config.swing_deg)
        azimuths = azimuth + np.array([-swing, 0.0, swing])
        centre, distance = fit_view(points, azimuths, np.radians(config.elevation_deg), self.hw)
        start, end, fade = _grid(plan)
        return _Setting(
            plan=plan,
            centre=centre,
            azimuth=azimuth,
            distance=distance,
            grid_start=start,
            grid_end=end,
            grid_fade=fade,
        )

    def _view(self, setting: _Setting, frame: int) -> Viewpoint:
        frames = self._result.camera_frame
        phase = (frame - frames[0]) / max(frames[-1] - frames[0], 1)
        swing = np.radians(self._config.swing_deg) * np.sin(2 * np.pi * phase)
        elevation = np.radians(self._config.elevation_deg)
        azimuth = setting.azimuth + float(swing)
        return look_from(setting.centre, setting.distance, azimuth, elevation, self.hw)

    def _trails(self, image: Image, view: Viewpoint, setting: _Setting, frame: int) -> None:
        """The way walked so far: dim, and bright where it was walked lately."""
        recent = max(self._config.trail_s * float(self._result.fps), 1)
        for path in setting.plan.paths:
            past = path.frame <= frame
            if not past.any():
                continue
            colour = identity_colour(path.person)
            floor = np.insert(path.xz[past], 1, 0.004, axis=1)
            pixels, depth = view.project(floor)
            if (depth < 0.1).any():
                continue
            drawing.polyline(image, pixels, drawing.mixed(colour, BACKGROUND, 0.72), 2)
            age = (frame - path.frame[past]) / recent
            lately = np.flatnonzero(age < 1)
            for a, b in pairwise(lately):
                faded = drawing.mixed(colour, BACKGROUND, float(age[b]) * 0.72)
                thickness = 4 if path.observed else 2
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
        setting: _Setting,
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
            index = camera if part.shot == now else start
            depth = view.project(result.world_from_cam[index, None, :3, 3])[1][0]
            if not (beyond < depth <= before):
                continue
            active = part.shot == now
            colour = drawing.mixed(CAMERA, BACKGROUND, 0.0 if active else 0.68)
            length = camera - start + 1 if active else len(part.xz)
            way = result.world_from_cam[start : start + length, :3, 3]
            begin, end = _frustum(result, index)
            lines, visible = view.lines(
                np.concatenate([begin, way[:-1]]), np.concatenate([end, way[1:]])
            )
            for line in lines[visible]:
                drawing.polyline(image, line, colour, 2 if active else 1)
            pixels, _ = view.project(begin[:1] + np.array([0.0, 0.3, 0.0]))
            u, v = pixels[0].tolist()
            drawing.chip(image, f"shot {part.shot + 1}", u, v, self._text_scale * 0.72, colour)

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


def _frustum(
    result: Result, camera: int
) -> tuple[Float64[np.ndarray, "10 3"], Float64[np.ndarray, "10 3"]]:
    """Edges of one camera's pyramid and the mark that says which side is up."""
    K, world_from_cam = result.K[camera], result.world_from_cam[camera]
    width, height = 2 * K[0, 2], 2 * K[1, 2]
    uv = np.array([[0, 0], [width, 0], [width, height], [0, height], [width / 2, -0.28 * height]])
    rays = np.concatenate([uv, np.ones((5, 1))], axis=1) @ np.linalg.inv(K).T
    plane = FRUSTUM_M * rays @ world_from_cam[:3, :3].T + world_from_cam[:3, 3]
    eye = np.repeat(world_from_cam[None, :3, 3], 4, 0)
    start = np.concatenate([eye, plane[:4], plane[:1]])
    end = np.concatenate([plane[:4], np.roll(plane[:4], -1, axis=0), plane[4:]])
    up_mark = np.stack([plane[4], plane[1]])
    return np.concatenate([start, up_mark[:1]]), np.concatenate([end, up_mark[1:]])


def _grid(
    plan: Plan,
) -> tuple[Float64[np.ndarray, "L 3"], Float64[np.ndarray, "L 3"], Float64[np.ndarray, " L"]]:
    """Floor lines every tick, in short pieces that fade with the distance from the plan."""
    tick = plan.tick_m
    middle = (plan.low + plan.high) / 2
    radius = float((plan.high - plan.low).max()) * 1.1 + 2 * tick
    low, high = (np.floor((middle + s * radius) / tick).astype(int) for s in (-1, 1))
    x = np.arange(low[0], high[0] + 1) * tick
    z = np.arange(low[1], high[1] + 1) * tick
    X, Z = np.meshgrid(x, z, indexing="ij")
    nodes = np.stack([X, 0 * X, Z], axis=-1)
    start = np.concatenate([nodes[:-1].reshape(-1, 3), nodes[:, :-1].reshape(-1, 3)])
    end = np.concatenate([nodes[1:].reshape(-1, 3), nodes[:, 1:].reshape(-1, 3)])
    away = np.linalg.norm(((start + end) / 2)[:, [0, 2]] - middle, axis=1) / radius
    near = away < 1
    return start[near], end[near], away[near] ** 2


def _draw_grid(image: Image, view: Viewpoint, setting: _Setting) -> None:
    lines, visible = view.lines(setting.grid_start, setting.grid_end)
    for line, fade in zip(lines[visible], setting.grid_fade[visible].tolist(), strict=True):
        drawing.polyline(image, line, drawing.mixed(GRID, BACKGROUND, fade), 1)
    plan = setting.plan
    scale = max(0.36, image.shape[0] / 1900)
    x, z = plan.ticks(0), plan.ticks(1)
    edge = plan.high[1]
    marks = [(value, 0.0, edge) for value in x] + [(plan.high[0], 0.0, value) for value in z]
    pixels, depth = view.project(np.array(marks))
    for (u, v), d, value in zip(pixels, depth, [*x, *z], strict=True):
        if d > 0.1:
            text = f"{value:g} m"
            width, height, _ = drawing.text_size(text, scale)
            left, baseline = round(u - width / 2), round(v + height / 2)
            drawing.put_text(image, text, left, baseline, scale, (120, 128, 144))


def _draw_inset(image: Image, rgb: UInt8[np.ndarray, "H W 3"], share: float) -> None:
    """The video's frame in the upper right corner."""
    width = round(image.shape[1] * share)
    height = round(width * rgb.shape[0] / rgb.shape[1])
    limit = round(image.shape[0] * share * 1.6)  # portrait videos
    if height > limit:
        width, height = round(width * limit / height), limit
    small = cv2.resize(rgb, (max(width, 1), max(height, 1)), interpolation=cv2.INTER_AREA)
    margin, border = round(image.shape[0] / 40), 2
    right, top = image.shape[1] - margin, margin
    image[top - border : top + height + border, right - width - border : right + border] = (
        drawing.mixed(GRID, drawing.LIGHT, 0.4)
    )
    image[top : top + height, right - width : right] = small
