"""The same objective (Eq. 1-5) by Levenberg-Marquardt, with analytic derivatives.

The unknowns are one rigid motion per body and one per camera, 6 each; bodies meet only in
their camera (and in a pair, where that term is used), so a cut's system is small: 12 + 6 for
each of its bodies. Cuts know nothing of each other and are solved side by side.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry import projection, rigid, rotations
from multithumbs.geometry.grouping import sum_by_group
from multithumbs.solvers import levenberg_marquardt as lm
from multithumbs.solvers.alignment import (
    AlignmentProblem,
    AlignmentState,
    AlignmentWeights,
    camera_offsets,
    look_up,
    loss,
    pair_offsets,
    place,
)

_CAMERAS = 2
"""A cut's first blocks of six unknowns; its bodies follow."""

_SMOOTH_PX = 0.5
"""Distances below it count as quadratic in the model of the silhouette term (not in its cost)."""


def minimise(
    start: AlignmentState,
    problem: AlignmentProblem,
    weights: AlignmentWeights,
    *,
    max_iterations: int,
    cameras: bool,
    relative_tolerance: float = 1e-6,
) -> AlignmentState:
    """One stage: people of all frames, and the cameras where ``cameras``."""
    anchor, layout = start.cam_from_scene, _Layout.of(problem)
    return lm.solve(
        lambda state: _linearise(state, problem, layout, weights, anchor, cameras=cameras),
        lambda state: loss(state, problem, weights, anchor).total(weights),
        lambda state, step: _retract(state, step, layout),
        lambda mask, better, worse: _select(mask, better, worse, layout),
        start,
        max_iterations=max_iterations,
        relative_tolerance=relative_tolerance,
    ).state


class _Layout(NamedTuple):
    """Where a cut's system has the six unknowns of each body and camera."""

    cut: Int64[Tensor, " P"]
    body: Int64[Tensor, " P"]
    """Block of each body ..."""
    camera: Int64[Tensor, " P"]
    """... and of the camera that sees it."""
    frame_cut: Int64[Tensor, " F"]
    frame: Int64[Tensor, " F"]
    """Block of each camera."""
    cuts: int
    blocks: int
    """Of the fullest cut; what others do not need stays 0."""

    @classmethod
    def of(cls, problem: AlignmentProblem) -> "_Layout":
        cut = problem.view // 2
        same = (cut[:, None] == cut).tril(-1)
        body = _CAMERAS + same.sum(1)
        frames = problem.frames
        blocks = _CAMERAS if not len(body) else int(body.max()) + 1
        return cls(cut, body, problem.view % 2, frames // 2, frames % 2, problem.num_cuts, blocks)


def _select(
    mask: Bool[Tensor, " C"], better: AlignmentState, worse: AlignmentState, layout: _Layout
) -> AlignmentState:
    bodies, frames = mask[layout.cut], mask[layout.frame_cut]
    return AlignmentState(
        torch.where(bodies[:, None, None], better.rotation, worse.rotation),
        torch.where(bodies[:, None], better.pelvis, worse.pelvis),
        torch.where(frames[:, None, None], better.cam_from_scene, worse.cam_from_scene),
    )


def _retract(state: AlignmentState, step: Float[Tensor, "C D"], layout: _Layout) -> AlignmentState:
    """Left rotations about each pelvis and each camera's centre of coordinates, then shifts."""
    moves = step.unflatten(1, (-1, 6))
    body = moves[layout.cut, layout.body]
    camera = moves[layout.frame_cut, layout.frame]
    turns = rotations.matrix_from_axis_angle(camera[:, :3])
    return AlignmentState(
        rotations.matrix_from_axis_angle(body[:, :3]) @ state.rotation,
        state.pelvis + body[:, 3:],
        rigid.compose(turns, camera[:, 3:]) @ state.cam_from_scene,
    )


def _linearise(
    state: AlignmentState,
    problem: AlignmentProblem,
    layout: _Layout,
    weights: AlignmentWeights,
    anchor: Float[Tensor, "F 4 4"],
    *,
    cameras: bool,
) -> lm.Linearisation:
    placed = place(state, problem)
    turn = state.cam_from_scene[problem.view][:, None, :3, :3]
    K = problem.K[problem.view]
    error = (placed.keypoints_uv - problem.uv) / weights.keypoint_unit_px
    by_cam = projection.projection_jacobian(placed.keypoints_cam, K) / weights.keypoint_unit_px
    body, camera = _chain(by_cam, turn, placed.keypoints_turned, placed.keypoints_cam)
    system = _System(problem, layout, state.pelvis)
    weight = weights.keypoints * problem.confidence
    system.add(body, camera, error, weight)
    view = problem.view
    cost = problem.sum_by_cut(weight * (error**2).sum(-1), view)
    if weights.silhouette or weights.depth:
        at = look_up(placed, problem, points=weights.depth > 0)
        by_cam = projection.projection_jacobian(placed.vertices_cam, K)
        by_cam = at.slope[..., None, :] @ by_cam
        body, camera = _chain(by_cam, turn, placed.vertices_turned, placed.vertices_cam)
        # |d| as a reweighted square: its gradient is exact wherever d exceeds the floor.
        softened = weights.silhouette / (2 * at.distance.clamp_min(_SMOOTH_PX))
        system.add(body, camera, at.distance[..., None], softened)
        offset = placed.vertices_scene - at.points
        system.add_depth(placed.vertices_turned, offset, weights.depth * at.paired)
        silhouette = problem.sum_by_cut(at.distance, view)
        depth = problem.sum_by_cut(at.paired * (offset**2).sum(-1), view)
        cost = cost + weights.silhouette * silhouette + weights.depth * depth
    if weights.pair:
        offsets = pair_offsets(state, problem)
        system.add_pairs(offsets, weights.pair)
        together = problem.sum_by_cut(offsets**2, view[problem.pair[:, 0]])
        cost = cost + weights.pair * together
    if weights.camera:
        offsets = camera_offsets(state.cam_from_scene, anchor)
        system.add_cameras(offsets, weights.camera)
        cost = cost + weights.camera * problem.sum_by_cut(offsets**2, problem.frames)
    if not cameras:
        system.hold_cameras()
    return lm.Linearisation(cost, system.gradient, system.hessian)


def _chain(
    by_cam: Float[Tensor, "P N R 3"],
    cam_from_scene: Float[Tensor, "P 1 3 3"],
    turned: Float[Tensor, "P N 3"],
    cam: Float[Tensor, "P N 3"],
) -> tuple[Float[Tensor, "P N R 6"], Float[Tensor, "P N R 6"]]:
    """Derivatives by a body's and a camera's motion (rotation, then shift)."""
    by_scene = by_cam @ cam_from_scene
    body = torch.cat([_cross_rows(by_scene, turned), by_scene], dim=-1)
    camera = torch.cat([_cross_rows(by_cam, cam), by_cam], dim=-1)
    return body, camera


def _cross_rows(
    rows: Float[Tensor, "P N R 3"], points: Float[Tensor, "P N 3"]
) -> Float[Tensor, "P N R 3"]:
    """``-rows @ skew(points)`` without building the matrices."""
    return torch.linalg.cross(points[..., None, :].expand_as(rows), rows)


class _System:
    """Normal equations of all cuts, filled term by term."""

    def __init__(self, problem: AlignmentProblem, layout: _Layout, like: Tensor) -> None:
        cuts, blocks = layout.cuts, layout.blocks
        self._problem, self._layout = problem, layout
        self.gradient = like.new_zeros(cuts, 6 * blocks)
        self.hessian = like.new_zeros(cuts, 6 * blocks, 6 * blocks)
        self._blocks = self.hessian.view(cuts, blocks, 6, blocks, 6)
        self._parts = self.gradient.view(cuts, blocks, 6)

    def add(
        self,
        body: Float[Tensor, "P N R 6"],
        camera: Float[Tensor, "P N R 6"],
        error: Float[Tensor, "P N R"],
        weight: Float[Tensor, "P N"],
    ) -> None:
        """Residuals of points that a body carries and its camera projects."""
        joint = torch.cat([camera, body], dim=-1).flatten(1, 2)  # (P, N R, 12)
        weight = weight[..., None].expand_as(error).flatten(1)
        weighted = (joint * weight[..., None]).transpose(-1, -2)
        hessian = weighted @ joint
        gradient = (weighted @ error.flatten(1)[..., None]).squeeze(-1)
        cut, who, seen_by = self._layout.cut, self._layout.body, self._layout.camera
        self._blocks[cut, who, :, who, :] += hessian[:, 6:, 6:]
        self._blocks[cut, seen_by, :, who, :] += hessian[:, :6, 6:]
        self._blocks[cut, who, :, seen_by, :] += hessian[:, 6:, :6]
        frames = len(self._problem.K)
        self._add_to_cameras(sum_by_group(hessian[:, :6, :6], self._problem.view, frames))
        self._parts[cut, who] += gradient[:, 6:]
        self._parts.index_put_((cut, seen_by), gradient[:, :6], accumulate=True)

    def _add_to_cameras(self, blocks: Float[Tensor, "F 6 6"]) -> None:
        cut, frame = self._layout.frame_cut, self._layout.frame
        self._blocks[cut, frame, :, frame, :] += blocks

    def add_depth(
        self,
        turned: Float[Tensor, "P V 3"],
        offset: Float[Tensor, "P V 3"],
        weight: Float[Tensor, "P V"],
    ) -> None:
        """Vertices tied to scene points; the camera does not move either."""
        skew = -rotations.skew(turned)
        eye = torch.eye(3, dtype=turned.dtype, device=turned.device).expand_as(skew)
        by_body = torch.cat([skew, eye], dim=-1).flatten(1, 2)
        weight = weight[..., None].expand_as(offset).flatten(1)
        weighted = (by_body * weight[..., None]).transpose(-1, -2)
        cut, who = self._layout.cut, self._layout.body
        self._blocks[cut, who, :, who, :] += weighted @ by_body
        self._parts[cut, who] += (weighted @ offset.flatten(1)[..., None]).squeeze(-1)

    def add_pairs(self, offsets: Float[Tensor, "M 3"], weight: float) -> None:
        """Pelvises of a pair together."""
        cut = self._layout.cut[self._problem.pair[:, 0]]
        first, second = self._layout.body[self._problem.pair].unbind(1)
        tie = weight * torch.eye(3, dtype=offsets.dtype, device=offsets.device)
        shifts = self._blocks[:, :, 3:, :, 3:]
        shifts[cut, first, :, first, :] += tie
        shifts[cut, second, :, second, :] += tie
        shifts[cut, first, :, second, :] -= tie
        shifts[cut, second, :, first, :] -= tie
        self._parts[:, :, 3:][cut, first] += weight * offsets
        self._parts[:, :, 3:][cut, second] -= weight * offsets

    def add_cameras(self, offsets: Float[Tensor, "F 6"], weight: float) -> None:
        """Cameras towards where the scene has them (left Jacobian taken as the identity)."""
        eye = torch.eye(6, dtype=offsets.dtype, device=offsets.device)
        self._add_to_cameras((weight * eye).expand(len(offsets), 6, 6))
        self._parts[self._layout.frame_cut, self._layout.frame] += weight * offsets

    def hold_cameras(self) -> None:
        """Take the cameras out of the problem."""
        cameras = 6 * _CAMERAS
        self.gradient[:, :cameras] = 0
        self.hessian[:, :cameras] = 0
        self.hessian[:, :, :cameras] = 0
        self.hessian[:, :cameras, :cameras].diagonal(dim1=1, dim2=2).fill_(1)
