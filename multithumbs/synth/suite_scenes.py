"""The benchmark's scenes: ten situations of edited video, each a function of its seed.

Places, bodies, clothes, motion, cameras and the cuts' times are drawn anew from every seed, and
none is the demo's, on which the solvers were tuned. Frames are 1280 x 720 at 30 per second.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from multithumbs.synth.cameras import CameraKey, CameraScript
from multithumbs.synth.room import RoomStyle
from multithumbs.synth.scene import Actor, Scene, ShotScript
from multithumbs.synth.suite_people import Ground, random_outfit, stander, team_kit, walker

FPS: Final = 30
HW: Final = (720, 1280)
DIAGONAL: Final = float(np.hypot(*HW))
MIDDLE: Final[Ground] = (0.0, 0.0)


def suite_scene(name: str, seed: int) -> Scene:
    """One of `SUITE_SCENES`; equal arguments give an equal scene."""
    rng = np.random.default_rng([sorted(SUITE_SCENES).index(name), seed, 7])
    return SUITE_SCENES[name](rng, name)


def _edges(rng: np.random.Generator, shots: int, frames: int) -> list[int]:
    """Where ``shots`` shots of about ``frames`` frames begin, and the end."""
    lengths = frames + rng.integers(-frames // 6, frames // 6 + 1, shots)
    return [0, *np.cumsum(lengths).tolist()]


def _around(
    middle: Ground, azimuth_deg: float, distance: float, height: float = 1.5
) -> tuple[float, float, float]:
    angle = np.radians(azimuth_deg)
    x, z = middle[0] + distance * np.sin(angle), middle[1] + distance * np.cos(angle)
    return float(x), height, float(z)


def _still(
    rng: np.random.Generator, middle: Ground, azimuth_deg: float, distance: float,
    *, focal: float = 1.0, target_y: float = 1.0, height: float | None = None,
) -> CameraScript:  # fmt: skip
    """A static camera that looks at about ``middle``; ``focal`` in diagonals of the image."""
    eye = _around(middle, azimuth_deg, distance, height or float(rng.uniform(1.3, 1.8)))
    off = 0.12 * rng.normal(size=2)
    target = (middle[0] + float(off[0]), target_y, middle[1] + float(off[1]))
    key = CameraKey(time_s=0.0, eye=eye, target=target, focal_px=focal * DIAGONAL)
    return CameraScript(keys=(key,), seed=int(rng.integers(1 << 30)))


def _moving(
    rng: np.random.Generator, middle: Ground, azimuth_deg: float, distance: float,
    start_s: float, end_s: float, *, travel_m: float = 1.2, zoom: float = 1.0,
    focal: float = 1.0, pan_m: float = 0.4, handheld: float = 1.0,
) -> CameraScript:  # fmt: skip
    """A camera on a shoulder or a dolly, from ``start_s`` to ``end_s``."""
    first = np.array(_around(middle, azimuth_deg, distance, float(rng.uniform(1.4, 1.7))))
    side = np.array([np.cos(np.radians(azimuth_deg)), 0.0, -np.sin(np.radians(azimuth_deg))])
    last = first + travel_m * float(rng.choice([-1, 1])) * side
    target = np.array([middle[0], 1.0, middle[1]])
    pan = pan_m * rng.normal(size=3) * [1, 0.1, 1]
    keys = tuple(
        CameraKey(time_s=t, eye=_point(eye), target=_point(at), focal_px=f * DIAGONAL)
        for t, eye, at, f in (
            (start_s, first, target, focal),
            (end_s, last, target + pan, focal * zoom),
        )
    )
    return CameraScript(keys=keys, handheld=handheld, seed=int(rng.integers(1 << 30)))


def _point(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z


def _circle(
    rng: np.random.Generator, count: int, radius: float, end_s: float, room: float = 0.15
) -> tuple[Actor, ...]:
    """People who stand around a middle and talk to one another."""
    start = float(rng.uniform(0, 360))
    actors = []
    for index in range(count):
        angle = np.radians(start + 360 * index / count + 12 * rng.normal())
        far = radius + room * rng.normal()
        at = (float(far * np.sin(angle)), float(far * np.cos(angle)))
        facing = float(np.degrees(angle) + 180 + 15 * rng.normal())
        actors.append(stander(rng, f"P{index}", at, facing, end_s))
    return tuple(actors)


def _shots(
    edges: list[int], cameras: list[CameraScript], rooms: Sequence[int] = (),
    casts: Sequence[tuple[int, ...] | None] = (),
) -> tuple[ShotScript, ...]:  # fmt: skip
    count = len(cameras)
    rooms, casts = rooms or [0] * count, casts or [None] * count
    return tuple(
        ShotScript(start=edges[i], end=edges[i + 1], camera=cameras[i], room=rooms[i],
                   cast=casts[i])
        for i in range(count)
    )  # fmt: skip


def _scene(
    rng: np.random.Generator, name: str, actors: tuple[Actor, ...],
    shots: tuple[ShotScript, ...], rooms: int = 1, half_m: float = 5.0,
) -> Scene:  # fmt: skip
    styles = tuple(
        RoomStyle(
            seed=int(rng.integers(1 << 30)), texture_scale=0.5,
            half_x_m=half_m, half_z_m=half_m + 0.2, height_m=3.0 if half_m < 6 else 5.0,
        )
        for _ in range(rooms)
    )  # fmt: skip
    return Scene(name=name, actors=actors, shots=shots, rooms=styles, hw=HW, texture_size=512)


def _dialogue(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 4, 36)
    actors = _circle(rng, int(rng.integers(2, 4)), 0.7, edges[-1] / FPS)
    base, turn = rng.uniform(0, 360), rng.uniform(70, 140)
    a = _still(rng, MIDDLE, base, rng.uniform(3.0, 4.2), focal=rng.uniform(0.9, 1.3))
    b = _still(rng, MIDDLE, base + turn, rng.uniform(3.0, 4.2), focal=rng.uniform(0.9, 1.3))
    return _scene(rng, name, actors, _shots(edges, [a, b, a, b]))


def _closeup(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 4, 34)
    actors = _circle(rng, int(rng.integers(2, 4)), 0.65, edges[-1] / FPS)
    base = rng.uniform(0, 360)
    wide = _still(rng, MIDDLE, base, rng.uniform(3.6, 4.4))
    cameras = [wide]
    for _ in range(2):
        base += rng.uniform(50, 110)
        cameras.append(
            _still(rng, MIDDLE, base, rng.uniform(2.4, 3.2), focal=rng.uniform(1.1, 1.5),
                   target_y=1.35)
        )  # fmt: skip
    return _scene(rng, name, actors, _shots(edges, [*cameras, wide]))


def _crowd(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 32)
    end = edges[-1] / FPS
    count = int(rng.integers(6, 9))
    actors = list(_circle(rng, count - 2, 1.25, end, room=0.3))
    for index in range(2):
        start, stop = 2.2 * _unit(rng), 2.2 * _unit(rng)
        path = [_ground(start), _ground(stop)]
        actors.append(walker(rng, f"W{index}", path, rng.uniform(0.8, 1.3), 0.0, end))
    base, cameras = rng.uniform(0, 360), []
    for _ in range(3):
        cameras.append(
            _still(rng, MIDDLE, base, rng.uniform(4.6, 5.0), height=rng.uniform(1.7, 2.4))
        )
        base += rng.uniform(60, 120)
    return _scene(rng, name, tuple(actors), _shots(edges, cameras), half_m=5.6)


def _sports(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 34)
    end = edges[-1] / FPS
    hues = (float(rng.uniform()), float(rng.uniform()))
    actors = []
    for index in range(6):
        path = [_ground(rng.uniform(-4, 4, 2))]
        while len(path) < 5:
            path.append(_ground(np.clip(path[-1] + 3.5 * _unit(rng), -5, 5)))
        actors.append(
            walker(rng, f"P{index}", path, rng.uniform(2.2, 3.6), -0.5, end,
                   team_kit(rng, hues[index % 2]), step_period_s=0.34)
        )  # fmt: skip
    base, cameras = rng.uniform(0, 360), []
    for index in range(3):
        span = (edges[index] / FPS, edges[index + 1] / FPS)
        cameras.append(
            _moving(rng, MIDDLE, base, rng.uniform(9, 11), *span, travel_m=0.0, pan_m=1.5,
                    focal=rng.uniform(1.0, 1.3), handheld=0.0)
        )  # fmt: skip
        base += rng.uniform(50, 110)
    return _scene(rng, name, tuple(actors), _shots(edges, cameras), half_m=14.0)


def _enter_leave(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 38)
    end = edges[-1] / FPS
    actors = list(_circle(rng, 2, 0.6, end))
    base = rng.uniform(0, 360)
    across = np.array([np.cos(np.radians(base)), -np.sin(np.radians(base))])
    # One walks in through the picture's side near the first cut, one walks out near the second.
    near = 1.5 * across + 0.3 * rng.normal(size=2)
    cut = [edge / FPS for edge in edges]
    paths = ([_ground(3.8 * across), _ground(near)], [_ground(-1.4 * across), _ground(-4 * across)])
    actors.append(walker(rng, "In", paths[0], 1.3, cut[1] - 1.1, end))
    actors.append(walker(rng, "Out", paths[1], 1.4, cut[2] - 1.2, end))
    cameras = [_still(rng, MIDDLE, base, rng.uniform(3.6, 4.3))]
    for _ in range(2):
        base += rng.uniform(40, 110)
        cameras.append(_still(rng, MIDDLE, base, rng.uniform(3.4, 4.3)))
    return _scene(rng, name, tuple(actors), _shots(edges, cameras))


def _broll(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 34)
    actors = _circle(rng, 3, 0.8, edges[-1] / FPS)
    base = rng.uniform(0, 360)
    a = _still(rng, MIDDLE, base, rng.uniform(3.4, 4.2))
    if rng.uniform() < 0.5:  # a detail of the same room, nobody in the picture
        away = _still(rng, (3.2, 3.2), 45.0, 1.2, target_y=0.9)
        eye = away.keys[0].eye
        key = CameraKey(time_s=0.0, eye=(2.0, 1.4, 2.0), target=(eye[0], 0.9, eye[2]))
        return _scene(rng, name, actors, _shots(edges, [a, CameraScript(keys=(key,)), a]))
    b = _still(rng, MIDDLE, rng.uniform(0, 360), 3.0)
    shots = _shots(edges, [a, b, a], [0, 1, 0], [None, (), None])
    return _scene(rng, name, actors, shots, rooms=2)


def _change_of_place(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 34)
    end = edges[-1] / FPS
    actors = [*_circle(rng, 2, 0.6, end), *_circle(rng, 2, 0.6, end)]
    if rng.uniform() < 0.5:  # a look-alike elsewhere
        actors[2] = stander(rng, "Double", (0.3, 0.4), rng.uniform(0, 360), end, actors[0].outfit)
    base = rng.uniform(0, 360)
    cameras = [_still(rng, MIDDLE, base, rng.uniform(3.2, 4.2))]
    cameras.append(_still(rng, MIDDLE, base + rng.uniform(50, 120), rng.uniform(3.2, 4.2)))
    cameras.append(_still(rng, MIDDLE, rng.uniform(0, 360), rng.uniform(3.2, 4.2)))
    shots = _shots(edges, cameras, [0, 0, 1], [(0, 1), (0, 1), (2, 3)])
    return _scene(rng, name, tuple(actors), shots, rooms=2)


def _moving_camera(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 44)
    end = edges[-1] / FPS
    actors = list(_circle(rng, 2, 0.7, end))
    path = [_ground(2.0 * _unit(rng)), _ground(1.2 * _unit(rng)), _ground(2.0 * _unit(rng))]
    actors.append(walker(rng, "W", path, 1.0, 0.0, end))
    base, cameras = rng.uniform(0, 360), []
    for index in range(3):
        span = (edges[index] / FPS, edges[index + 1] / FPS)
        cameras.append(
            _moving(rng, MIDDLE, base, rng.uniform(3.6, 4.2), *span,
                    travel_m=rng.uniform(0.7, 1.4))
        )  # fmt: skip
        base += rng.uniform(50, 120)
    return _scene(rng, name, tuple(actors), _shots(edges, cameras), half_m=5.6)


def _zoom(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 3, 38)
    actors = _circle(rng, int(rng.integers(2, 4)), 0.7, edges[-1] / FPS)
    base = rng.uniform(0, 360)
    span = (edges[0] / FPS + 0.3, edges[1] / FPS - 0.2)
    first = _moving(rng, MIDDLE, base, 4.3, *span, travel_m=0.0, pan_m=0.1, handheld=0.0,
                    zoom=rng.uniform(1.25, 1.6), focal=0.9)  # fmt: skip
    last = first.keys[-1]
    focal = (last.focal_px or DIAGONAL) * float(rng.uniform(0.65, 0.85))
    key = CameraKey(time_s=0.0, eye=last.eye, target=last.target, focal_px=focal)
    reverse = _still(rng, MIDDLE, base + rng.uniform(70, 130), 3.8)
    cameras = [first, reverse, CameraScript(keys=(key,))]
    return _scene(rng, name, actors, _shots(edges, cameras))


def _long(rng: np.random.Generator, name: str) -> Scene:
    edges = _edges(rng, 12, 125)
    edges = [round(edge * 1500 / edges[-1]) for edge in edges]
    end = edges[-1] / FPS
    actors = list(_circle(rng, 2, 0.8, end))
    path = [_ground(1.9 * _unit(rng)) for _ in range(16)]
    actors.append(walker(rng, "W", path, 0.75, 0.0, end, random_outfit(rng)))
    base = rng.uniform(0, 360)
    a = _still(rng, MIDDLE, base, rng.uniform(3.8, 4.4))
    b = _still(rng, MIDDLE, base + rng.uniform(80, 140), rng.uniform(3.4, 4.2))
    cameras: list[CameraScript] = []
    for index in range(12):
        if index % 4 == 3:
            span = (edges[index] / FPS, edges[index + 1] / FPS)
            cameras.append(_moving(rng, MIDDLE, base + rng.uniform(-100, 100), 3.9, *span))
        else:
            cameras.append(a if index % 2 == 0 else b)
    return _scene(rng, name, tuple(actors), _shots(edges, cameras), half_m=5.6)


def _unit(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _ground(place: np.ndarray) -> Ground:
    return float(place[0]), float(place[1])


SUITE_SCENES: Final[dict[str, Callable[[np.random.Generator, str], Scene]]] = {
    "dialogue": _dialogue,
    "closeup": _closeup,
    "crowd": _crowd,
    "sports": _sports,
    "enter-leave": _enter_leave,
    "broll": _broll,
    "change-of-place": _change_of_place,
    "moving-camera": _moving_camera,
    "zoom": _zoom,
    "long": _long,
}
"""In the order of the tables."""
