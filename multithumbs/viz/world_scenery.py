"""What stands around the people in `world.mp4`: floor, cameras, the frame's inset, the view."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.config.outputs import WorldConfig
from multithumbs.types.outputs import Result
from multithumbs.viz import drawing
from multithumbs.viz.plan import Plan
from multithumbs.viz.viewpoint import Viewpoint, fit_view

BACKGROUND: Final = (20, 23, 30)
GRID: Final = (58, 65, 79)
TICK: Final = (120, 128, 144)
FRUSTUM_M: Final = 0.8
"""Distance of a drawn image plane from its camera."""
ABOVE_CAMERA_M: Final = 0.3
"""Where a camera's label stands."""
ASIDE: Final = float(np.radians(28))
"""How far the view is turned from the first camera's, radians."""
Image = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What of one island does not change from frame to frame."""

    plan: Plan
    centre: Float64[np.ndarray, "3"]
    azimuth: float
    distance: float
    grid_start: Float64[np.ndarray, "L 3"]
    grid_end: Float64[np.ndarray, "L 3"]
    grid_fade: Float64[np.ndarray, " L"]


def make_setting(result: Result, plan: Plan, config: WorldConfig, hw: tuple[int, int]) -> Setting:
    """The view that holds everyone at all times, and every camera that is not far away."""
    joints = result.joints_world[result.island == plan.island].reshape(-1, 3)
    eyes = result.world_from_cam[result.camera_island == plan.island][:, :3, 3]
    inside = (eyes[:, [0, 2]] > plan.low).all(1) & (eyes[:, [0, 2]] < plan.high).all(1)
    points = np.concatenate([joints, eyes[inside] if inside.any() else eyes])
    # From behind the first camera, turned aside so that its frustum hides nobody.
    towards = eyes[0] - joints.mean(0) if len(joints) else eyes[0]
    azimuth = float(np.arctan2(towards[0], towards[2])) + ASIDE
    azimuths = azimuth + np.radians([-config.swing_deg, 0.0, config.swing_deg])
    centre, distance = fit_view(points, azimuths, float(np.radians(config.elevation_deg)), hw)
    start, end, fade = _grid(plan)
    return Setting(
        plan=plan,
        centre=centre,
        azimuth=azimuth,
        distance=distance,
        grid_start=start,
        grid_end=end,
        grid_fade=fade,
    )


def draw_frustum(
    image: Image,
    view: Viewpoint,
    *,
    K: Float64[np.ndarray, "3 3"],
    world_from_cam: Float64[np.ndarray, "4 4"],
    way: Float64[np.ndarray, "T 3"],
    name: str,
    colour: drawing.Colour,
    thickness: int,
    text_scale: float,
) -> None:
    """A camera's pyramid, the way it went, the plumb line to the floor, and its name."""
    start, end = _frustum(K, world_from_cam)
    lines, visible = view.lines(np.concatenate([start, way[:-1]]), np.concatenate([end, way[1:]]))
    for line in lines[visible]:
        drawing.polyline(image, line, colour, thickness)
    eye = world_from_cam[None, :3, 3]
    plumb, visible = view.lines(eye, eye * np.array([1.0, 0.0, 1.0]))
    for line in plumb[visible]:
        drawing.polyline(image, line, drawing.mixed(colour, BACKGROUND, 0.75), 1)
    pixels, depth = view.project(eye + np.array([0.0, ABOVE_CAMERA_M, 0.0]))
    if depth[0] > 0.1:
        u, v = pixels[0].tolist()
        drawing.chip(image, name, u, v, text_scale, colour)


def _frustum(
    K: Float64[np.ndarray, "3 3"], world_from_cam: Float64[np.ndarray, "4 4"]
) -> tuple[Float64[np.ndarray, "10 3"], Float64[np.ndarray, "10 3"]]:
    """Edges of a camera's pyramid and of the mark that says which side is up."""
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


def draw_grid(image: Image, view: Viewpoint, setting: Setting) -> None:
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
            drawing.put_text(image, text, left, baseline, scale, TICK)


def draw_inset(image: Image, rgb: UInt8[np.ndarray, "H W 3"], share: float) -> None:
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
