"""Bodies of all shots brought into the world, one shape per person (paper section 3.3)."""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from multithumbs.backends.people.rows import Rows, concatenate
from multithumbs.backends.people.shapes import resized, shared_betas
from multithumbs.backends.sizes import aligned_depths, find_sizes
from multithumbs.body import BodyModel
from multithumbs.config.people import GatherConfig
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    CutStatus,
    Detections,
    Identities,
    Keypoints,
    Tracks,
)


def gather(
    body: BodyModel,
    detections: tuple[Detections, ...],
    keypoints: tuple[Keypoints, ...],
    bodies: tuple[Bodies, ...],
    tracks: tuple[Tracks, ...],
    alignment: tuple[Alignment, ...],
    cameras: Cameras,
    identities: Identities,
    timestamps_s: Float64[np.ndarray, " F"],
    config: GatherConfig,
) -> Rows:
    """Observed rows of all identified people; of two rows of one person in one frame the more
    confident one stays."""
    person_of = {
        (int(s), int(t)): int(p)
        for s, t, p in zip(identities.shot, identities.track, identities.person, strict=True)
    }
    picked = [_pick(s, tracks[s], bodies[s], person_of, config) for s in range(len(bodies))]
    betas = shared_betas(bodies, keypoints, picked)
    if config.sizes is not None:
        sizes = find_sizes(person_of, bodies, keypoints, tracks, alignment, config.sizes)
        size_of = {person_of[key]: size for key, size in sizes.log_size.items()}
        betas = {p: resized(body, own, size_of[p]) for p, own in betas.items()}
    parts = []
    for s, (rows, person) in enumerate(picked):
        pelvis, shape = _pelvis_in_camera(body, bodies[s], rows, person, betas, cameras,
                                          detections[s].frame[rows])  # fmt: skip
        if config.use_alignment:
            frame = detections[s].frame[rows]
            focal = cameras.K[np.searchsorted(cameras.frame, frame), 0, 0]
            pelvis = pelvis * _aligned_depth(
                s, rows, tracks[s].track[rows], frame, pelvis, focal, alignment,
                cameras.cut_scale, config.max_depth_change,
            )[:, None]  # fmt: skip
        parts.append(
            _in_world(body, s, rows, person, shape, pelvis, detections[s], keypoints[s],
                      bodies[s], cameras, timestamps_s)
        )  # fmt: skip
    rows = concatenate(parts)
    return _without_duplicates(rows)


def _pick(
    shot: int,
    tracks: Tracks,
    bodies: Bodies,
    person_of: dict[tuple[int, int], int],
    config: GatherConfig,
) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"]]:
    """Rows of a shot that belong to a person, and which."""
    person = np.array([person_of.get((shot, int(t)), -1) for t in tracks.track], dtype=np.int64)
    usable = (person >= 0) & (bodies.confidence > config.min_confidence)
    rows = np.flatnonzero(usable)
    return rows, person[rows]


def _pelvis_in_camera(
    body: BodyModel,
    bodies: Bodies,
    rows: Int64[np.ndarray, " M"],
    person: Int64[np.ndarray, " M"],
    betas: dict[int, Float64[np.ndarray, " 10"]],
    cameras: Cameras,
    frame: Int64[np.ndarray, " M"],
) -> tuple[Float64[np.ndarray, "M 3"], Float64[np.ndarray, "M 10"]]:
    """Pelvis in the camera and shape once the person's own shape and the zoom are applied.

    What the image shows is size over depth: a larger body, or a longer lens than the fit
    assumed, stands further away along the same ray.
    """
    shape = np.array([betas[int(p)] for p in person]).reshape(-1, 10)
    before, after = (_rest_joints(body, b) for b in (bodies.betas[rows], shape))
    size_before, size_after = (np.linalg.norm(j - j[:, :1], axis=(1, 2)) for j in (before, after))
    at = np.searchsorted(cameras.frame, frame)
    lens = cameras.K[at, 0, 0] / bodies.K[rows, 0, 0]
    pelvis = bodies.transl[rows] + before[:, 0]
    pelvis = pelvis * (size_after / size_before)[:, None]
    pelvis[:, 2] *= lens
    return pelvis, shape


def _rest_joints(
    body: BodyModel, betas: Float64[np.ndarray, "M 10"]
) -> Float64[np.ndarray, "M 24 3"]:
    return body.rest_joints(body.tensor(betas)).numpy(force=True)


def _aligned_depth(
    shot: int,
    rows: Int64[np.ndarray, " M"],
    track: Int64[np.ndarray, " M"],
    frame: Int64[np.ndarray, " M"],
    pelvis: Float64[np.ndarray, "M 3"],
    focal: Float64[np.ndarray, " M"],
    alignment: tuple[Alignment, ...],
    cut_scale: Float64[np.ndarray, " C"],
    limit: float,
) -> Float64[np.ndarray, " M"]:
    """Factor on each row's distance: what the alignment found at the shot's cuts, held through
    the shot, or interpolated between its two ends (paper section 3.3, propagation). ``cut_scale``
    is what the cameras made of each cut's lengths."""
    anchors: dict[int, list[tuple[int, float]]] = {}
    for cut, side in ((shot - 1, 1), (shot, 0)):
        if not 0 <= cut < len(alignment) or alignment[cut].status is not CutStatus.ALIGNED:
            continue
        found = alignment[cut]
        depths = aligned_depths(found)
        for entry in np.flatnonzero(found.side == side):
            at = np.flatnonzero(rows == found.row[entry])
            if not len(at):
                continue
            # A longer lens than the alignment knew puts its people further away, too.
            depth = cut_scale[cut] * depths[entry] * focal[at[0]] / found.K[side, 0, 0]
            change = np.log(max(depth, 1e-3) / pelvis[at[0], 2])
            if abs(change) <= limit:
                anchors.setdefault(int(track[at[0]]), []).append((int(frame[at[0]]), change))
    factor = np.zeros(len(rows))
    for t, pairs in anchors.items():
        mine = track == t
        frames, changes = zip(*sorted(pairs), strict=True)
        factor[mine] = np.interp(frame[mine], frames, changes)
    return np.exp(factor)


def _in_world(
    body: BodyModel,
    shot: int,
    rows: Int64[np.ndarray, " M"],
    person: Int64[np.ndarray, " M"],
    betas: Float64[np.ndarray, "M 10"],
    pelvis: Float64[np.ndarray, "M 3"],
    detections: Detections,
    keypoints: Keypoints,
    bodies: Bodies,
    cameras: Cameras,
    timestamps_s: Float64[np.ndarray, " F"],
) -> Rows:
    frame = detections.frame[rows]
    at = np.searchsorted(cameras.frame, frame)
    world_from_cam = cameras.world_from_cam[at]
    turn = Rotation.from_matrix(world_from_cam[:, :3, :3]) if len(rows) else None
    pose = bodies.pose[rows].copy()
    if turn is not None:
        pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    pelvis_world = np.einsum("nij,nj->ni", world_from_cam[:, :3, :3], pelvis)
    pelvis_world += world_from_cam[:, :3, 3]
    return Rows(
        person=person,
        frame=frame,
        shot=np.full(len(rows), shot),
        island=cameras.island[at],
        time_s=timestamps_s[frame],
        source=rows,
        pose=pose,
        betas=betas,
        transl=pelvis_world - _rest_joints(body, betas)[:, 0],
        uv=keypoints.uv[rows],
        uv_confidence=keypoints.confidence[rows],
        K=cameras.K[at],
        cam_from_world=np.linalg.inv(world_from_cam),
        confidence=bodies.confidence[rows],
        observed=np.ones(len(rows), bool),
    )


def _without_duplicates(rows: Rows) -> Rows:
    order = np.lexsort((-rows.confidence, rows.frame, rows.person))
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(rows.person[order]) != 0) | (np.diff(rows.frame[order]) != 0)
    return rows.take(order[first])
