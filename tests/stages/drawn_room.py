"""Pictures of a room with straight edges, and how their cameras are turned."""

import numpy as np


def room_from_cam(yaw_deg: float) -> np.ndarray:
    """A camera that looks ten degrees down and ``yaw_deg`` aside; +y is down in the room, too."""
    pitch, yaw = np.radians([10.0, yaw_deg])
    tilt = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    pan = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    return np.array(pan) @ np.array(tilt)


def draw_room(focal: float, hw: tuple[int, int] = (720, 1280), yaw_deg: float = 28.0) -> np.ndarray:
    """Chequered floor and walls, as a camera two metres above the floor sees them."""
    height, width = hw
    v, u = np.indices(hw) + 0.5
    rays = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones(hw)], axis=-1)
    rays = rays @ room_from_cam(yaw_deg).T
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.stack(
            [np.where(rays[..., i] > 0, reach, -reach) / rays[..., i]
             for i, reach in enumerate((4.0, 1.6, 5.0))], axis=-1,
        )  # fmt: skip
    wall = far.argmin(-1)
    at = rays * far.min(-1)[..., None]
    cell = np.floor(at / 0.8).astype(int)
    across = np.where(np.arange(3) == wall[..., None], 0, cell).sum(-1)
    return np.repeat((70 + 90 * (across % 2) + 20 * wall)[..., None], 3, axis=-1).astype(np.uint8)
