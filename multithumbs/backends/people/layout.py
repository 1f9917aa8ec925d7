"""Islands laid on one another by the people who are recognised in both."""

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from multithumbs.backends.people.ground import move
from multithumbs.backends.people.rows import Rows
from multithumbs.body import BodyModel
from multithumbs.body.placement import rest_pelvis
from multithumbs.config.people import LayoutConfig
from multithumbs.solvers.island_layout import Standing, lay_islands
from multithumbs.types import Cameras


def lay(
    body: BodyModel,
    rows: Rows,
    ground_from_world: Float64[np.ndarray, "I 4 4"],
    cameras: Cameras,
    config: LayoutConfig | None,
) -> tuple[Rows, Float64[np.ndarray, "I 4 4"]]:
    """Rows (in ``ground``) and ``ground_from_world`` with each island's origin and heading moved.

    None of ``config`` leaves every island's origin under its first camera.
    """
    if config is None or len(ground_from_world) < 2:
        return rows, ground_from_world
    forward = Rotation.from_rotvec(rows.pose[:, 0]).as_matrix()[:, :, 2]
    standing = Standing(
        person=rows.person,
        island=rows.island,
        time_s=rows.time_s,
        place=_on_floor(rows.transl + rest_pelvis(body, rows.betas)),
        facing=_on_floor(forward),
    )
    centre = (ground_from_world[cameras.island] @ cameras.world_from_cam)[:, :3, 3]
    laid = lay_islands(
        standing,
        _on_floor(centre),
        cameras.island,
        place_std_m=config.place_std_m,
        walk_m_s=config.walk_m_s,
        facing_std_rad=float(np.radians(config.facing_std_deg)),
    )
    return move(body, rows, laid[rows.island]), laid @ ground_from_world


def _on_floor(vectors: Float64[np.ndarray, "N 3"]) -> np.ndarray:
    return vectors[:, 0] + 1j * vectors[:, 2]
