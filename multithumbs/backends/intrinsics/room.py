"""`Intrinsics` from the straight edges of the room."""

import numpy as np
from jaxtyping import Bool

from multithumbs.backends.intrinsics.assumed import assume, pinhole
from multithumbs.backends.straight_edges import reduced_hw, straight_edges
from multithumbs.config.intrinsics import AssumedIntrinsicsConfig, RoomIntrinsicsConfig
from multithumbs.solvers.room_focal import RoomFocal, find_room_focal
from multithumbs.types import Detections, Intrinsics
from multithumbs.types.work import Work


def estimate(
    work: Work[object], config: RoomIntrinsicsConfig, detections: Detections
) -> Intrinsics:
    """The focal length as the shot begins; the prior where no room shows it beyond doubt.

    All frames together tell it best, unless the first tells another: then the lens zooms, and
    `odometry` finds how much from there.
    """
    hw, shot = work.video.info.hw, work.shot
    if shot is None:
        raise ValueError("intrinsics=room runs per shot: work.shot is missing")
    last = shot.clean_end - 1
    frames = np.unique(np.linspace(shot.clean_start, last, config.frames).astype(np.int64))
    edges = []
    for frame in frames.tolist():
        boxes = detections.box_xyxy[detections.frame == frame]
        free = _free(boxes, hw, reduced_hw(hw, config.width_px), config.margin)
        edges.append(straight_edges(work.video.frame(frame), free, config.min_length))
    first, every = (_ask(seen, hw, config) for seen in (edges[:1], edges))
    found = every
    if first and (not every or abs(np.log(first.focal_px / every.focal_px)) > config.max_zoom):
        found = first
    if found is None:
        prior = AssumedIntrinsicsConfig(
            focal_over_diagonal=config.focal_over_diagonal, log_focal_std=config.log_focal_std
        )
        return assume(prior, hw)
    std = float(np.hypot(found.log_std, config.least_log_std))
    return Intrinsics(K=pinhole(found.focal_px, hw), source="estimated", log_focal_std=std)


def _ask(
    edges: list[np.ndarray], hw: tuple[int, int], config: RoomIntrinsicsConfig
) -> RoomFocal | None:
    """What some frames' edges say, if it can be believed."""
    centre = np.log(config.focal_over_diagonal * np.hypot(*hw))
    found = find_room_focal(
        edges,
        hw,
        log_focal=centre + np.linspace(-config.reach, config.reach, config.grid),
        max_tilt=np.radians(config.max_tilt_deg),
        tolerance=np.radians(config.tolerance_deg),
        min_edges=config.min_edges,
        apart=config.apart,
    )
    if found is None or not found.inside or found.support < config.min_support:
        return None
    sure = found.margin >= config.min_margin and found.log_std <= config.max_log_std
    return found if sure else None


def _free(
    boxes: np.ndarray, hw: tuple[int, int], low_hw: tuple[int, int], margin: float
) -> Bool[np.ndarray, "h w"]:
    """Where nobody's box is, grown by a share of its shorter side."""
    free = np.ones(low_hw, bool)
    scale = low_hw[1] / hw[1]
    for x0, y0, x1, y1 in boxes * scale:
        grow = margin * min(x1 - x0, y1 - y0)
        top, left = (max(0, int(np.floor(edge - grow))) for edge in (y0, x0))
        bottom, right = (max(0, int(np.ceil(edge + grow))) for edge in (y1, x1))
        free[top:bottom, left:right] = False
    return free
