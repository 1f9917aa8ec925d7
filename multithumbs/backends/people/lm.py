"""Everyone's motion by sparse least squares: without contact first, then with it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from multithumbs.backends.people.ground import find_ground, move, sole_heights
from multithumbs.backends.people.pieces import blend, cut_into_pieces
from multithumbs.backends.people.rows import Rows
from multithumbs.backends.threads import one_thread
from multithumbs.body import BodyModel
from multithumbs.config.people import LmPeopleConfig
from multithumbs.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from multithumbs.models.vposer import VPoser
from multithumbs.solvers.contact_detect import stand
from multithumbs.solvers.smoothing import smooth
from multithumbs.solvers.smoothing_acceleration import Motion, Timeline, measured_activity
from multithumbs.solvers.smoothing_contact import SOLE_KEYPOINTS, Contact
from multithumbs.solvers.smoothing_latent import LatentPrior
from multithumbs.solvers.smoothing_terms import Frames, Weights
from multithumbs.types import Cameras

KEEP_SHAPE = 1e8
"""Precision that holds a shape which an earlier piece has found."""
FIRST_ROUND = 2
"""Linearisations of the round that only has to show the floor and who stands on it."""


@one_thread()
def refine(
    body: BodyModel,
    rows: Rows,
    cameras: Cameras,
    config: LmPeopleConfig,
    progress: Callable[[int, int], None],
    vposer: VPoser | None = None,
) -> tuple[Rows, Float64[np.ndarray, "I 4 4"]]:
    """Rows in ``ground``, and ``ground_from_world`` of every island.

    ``vposer``: a further prior of poses, or None.
    """
    if not len(rows):
        return rows, find_ground(body, rows, cameras, config.ground)
    latent = None
    if vposer is not None:
        latent = LatentPrior(linearise=vposer.linearise, std=config.latent_std)
    total = 2 * len(rows)
    start = rows
    rows = _solve(body, rows, start, config, latent, None, lambda done: progress(done, total))
    ground = find_ground(body, rows, cameras, config.ground)
    rows, start = (move(body, r, ground[r.island]) for r in (rows, start))
    heights = sole_heights(body)
    rows = _solve(
        body, rows, start, config, latent, heights, lambda done: progress(len(rows) + done, total)
    )
    return rows, ground


def _solve(
    body: BodyModel,
    rows: Rows,
    prior: Rows,
    config: LmPeopleConfig,
    latent: LatentPrior | None,
    sole_heights: Float64[np.ndarray, " 6"] | None,
    progress: Callable[[int], None],
) -> Rows:
    """One round over all rows, in pieces of bounded size; ``prior`` holds the monocular bodies."""
    shapes: dict[int, np.ndarray] = {}
    pieces = cut_into_pieces(rows, config.rows_at_once, config.overlap_s)
    results, done = [], 0
    for piece in pieces:
        part, part_prior = rows.take(piece.rows), prior.take(piece.rows)
        results.append(_solve_piece(body, part, part_prior, config, latent, sole_heights, shapes))
        done += len(piece.rows)
        progress(min(done, len(rows)))
    pose, transl = blend(pieces, results, len(rows))
    betas = np.array([shapes[int(p)] for p in rows.person])
    return replace(rows, pose=pose, transl=transl, betas=betas)


def _solve_piece(
    body: BodyModel,
    rows: Rows,
    prior: Rows,
    config: LmPeopleConfig,
    latent: LatentPrior | None,
    sole_heights: Float64[np.ndarray, " 6"] | None,
    shapes: dict[int, np.ndarray],
) -> tuple[Float64[np.ndarray, "M 24 3"], Float64[np.ndarray, "M 3"]]:
    """Solve rows together. A person's shape is found with their first piece, then kept."""
    people, first, person = np.unique(rows.person, return_index=True, return_inverse=True)
    known = np.array([int(p) in shapes for p in people])
    betas = np.array(
        [shapes.get(int(p), rows.betas[n]) for p, n in zip(people, first, strict=True)]
    )

    tensor = body.tensor
    timeline = Timeline(
        person=torch.from_numpy(person).to(body.device),
        time_s=tensor(rows.time_s),
        linked=torch.from_numpy(rows.linked()).to(body.device),
        activity=tensor(np.ones(len(rows))),
    )
    shape = tensor(betas)[timeline.person]
    own = tensor(rows.transl) + _pelvis_at_rest(body, tensor(rows.betas), shape)
    motion = Motion(matrix_from_axis_angle(tensor(rows.pose)), own, tensor(betas))
    frames = _frames(body, prior, shape, config)
    weights = Weights(
        robust_scale=config.robust_scale,
        root_std_rad=config.root_std_rad,
        pose_std_rad=config.pose_std_rad,
        transl_std_m_s2=config.transl_std_m_s2,
        root_std_rad_s2=config.root_std_rad_s2,
        pose_std_rad_s2=config.pose_std_rad_s2,
        transl_huber=config.transl_huber,
    )
    contact = None
    if sole_heights is not None:
        activity = measured_activity(
            motion,
            timeline,
            weights,
            usual=config.usual_activity,
            power=config.activity_power,
            reach=round(config.activity_window_s / 2 / _frame_s(rows)),
        )
        timeline = replace(timeline, activity=activity)
        contact = _contact(body, motion, shape, timeline, rows, tensor(sole_heights), config)
    out = smooth(
        body,
        frames,
        timeline,
        weights,
        motion,
        contact,
        shape_precision=None
        if known.all()
        else tensor(np.where(known, KEEP_SHAPE, config.betas_std**-2.0)),
        max_iterations=config.max_iterations
        if contact is not None
        else min(FIRST_ROUND, config.max_iterations),
        relative_tolerance=config.relative_tolerance,
        latent=latent,
    )
    for index, p in enumerate(people):
        shapes.setdefault(int(p), out.betas[index].double().numpy(force=True))
    kept = tensor(np.array([shapes[int(p)] for p in people]))[timeline.person]
    transl = out.transl + _pelvis_at_rest(body, out.betas[timeline.person], kept)
    pose = axis_angle_from_matrix(out.rotmats)
    return pose.double().numpy(force=True), transl.double().numpy(force=True)


def _frame_s(rows: Rows) -> float:
    """The usual time from row to row, seconds."""
    linked = rows.linked()[:-1]
    return max(float(np.median(np.diff(rows.time_s)[linked])), 1e-3) if linked.any() else 1.0


def _pelvis_at_rest(
    body: BodyModel, old: Float[Tensor, "M 10"], new: Float[Tensor, "M 10"]
) -> Float[Tensor, "M 3"]:
    """What a change of shape adds to ``transl`` so that the pelvis stays."""
    return body.rest_joints(old)[:, 0] - body.rest_joints(new)[:, 0]


def _frames(
    body: BodyModel,
    prior: Rows,
    shape: Float[Tensor, "M 10"],
    config: LmPeopleConfig,
) -> Frames:
    tensor = body.tensor
    betas = tensor(prior.betas)
    transl = tensor(prior.transl) + _pelvis_at_rest(body, betas, shape)
    pelvis = (transl + body.rest_joints(shape)[:, 0]).numpy(force=True)
    rotation = prior.cam_from_world[:, :3, :3]
    cam = np.einsum("nij,nj->ni", rotation, pelvis) + prior.cam_from_world[:, :3, 3]
    distance = np.maximum(np.linalg.norm(cam, axis=1), 0.1)
    ray = np.einsum("nji,nj->ni", rotation, cam / distance[:, None])
    along = ray[:, :, None] * ray[:, None, :]
    depth_std = config.depth_std * distance
    precision = along / depth_std[:, None, None] ** 2
    precision = precision + (np.eye(3) - along) / config.lateral_std_m**2
    pixels = prior.K[:, 0, 0] / np.maximum(cam[:, 2], 0.1)
    std = np.hypot(config.keypoint_std_px, config.keypoint_std_m * pixels)
    return Frames(
        cam_from_world=tensor(prior.cam_from_world),
        K=tensor(prior.K),
        uv=tensor(prior.uv),
        uv_weight=tensor(prior.uv_confidence),
        uv_std=tensor(std[:, None] * np.ones(23)),
        rotmats=matrix_from_axis_angle(tensor(prior.pose)),
        transl=transl,
        transl_precision=tensor(precision * prior.observed[:, None, None]),
        pose_weight=tensor(prior.observed.astype(np.float64)),
    )


def _contact(
    body: BodyModel,
    motion: Motion,
    shape: Float[Tensor, "M 10"],
    timeline: Timeline,
    rows: Rows,
    heights: Float[Tensor, " 6"],
    config: LmPeopleConfig,
) -> Contact:
    chosen = list(SOLE_KEYPOINTS)
    soles = body.posed_by_matrices(motion.rotmats, shape, motion.transl).keypoints[:, chosen]
    found = stand(
        soles,
        heights,
        timeline.time_s,
        timeline.linked,
        max_speed=config.contact_speed_m_s,
        max_height=config.contact_height_m,
    )
    seen = torch.from_numpy(rows.uv_confidence[:, chosen]).to(soles)
    return Contact(
        still=found.still * seen,
        on_floor=found.on_floor * seen,
        height=heights,
        still_std_m=config.contact_still_m_s * _frame_s(rows),
        floor_std_m=config.contact_floor_m,
    )
