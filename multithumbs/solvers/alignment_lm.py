"""The same objective (Eq. 1-5) by Levenberg-Marquardt, with analytic derivatives.

The unknowns are one rigid motion per body and one per camera, 6 each; bodies meet only in
their camera (and in a pair, where that term is used), so the system is small: 12 + 6 P.
"""

import torch
from jaxtyping import Bool, Float
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

_BODIES = 12
"""Where the bodies' unknowns begin, after six per camera."""

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
    """One stage: people of both frames, and the two cameras where ``cameras``."""
    anchor = start.cam_from_scene

    def evaluate(state: AlignmentState) -> Float[Tensor, "1"]:
        return loss(_single(state), problem, weights, anchor).total(weights)[None]

    solution = lm.solve(
        lambda state: _linearise(_single(state), problem, weights, anchor, cameras=cameras),
        evaluate,
        _retract,
        _select,
        AlignmentState(*(field[None] for field in start)),
        max_iterations=max_iterations,
        relative_tolerance=relative_tolerance,
    )
    return _single(solution.state)


def _single(state: AlignmentState) -> AlignmentState:
    """Without the solver's batch axis: a cut is one problem."""
    return AlignmentState(*(field[0] for field in state))


def _select(
    mask: Bool[Tensor, "1"], better: AlignmentState, worse: AlignmentState
) -> AlignmentState:
    return better if bool(mask[0]) else worse


def _retract(state: AlignmentState, step: Float[Tensor, "1 P"]) -> AlignmentState:
    """Left rotations about each pelvis and each camera's centre of coordinates, then shifts."""
    moves = step[0].unflatten(0, (-1, 6))
    turns = rotations.matrix_from_axis_angle(moves[:, :3])
    cameras = rigid.compose(turns[:2], moves[:2, 3:])
    return AlignmentState(
        turns[2:] @ state.rotation,
        state.pelvis + moves[2:, 3:],
        cameras @ state.cam_from_scene,
    )


def _linearise(
    state: AlignmentState,
    problem: AlignmentProblem,
    weights: AlignmentWeights,
    anchor: Float[Tensor, "2 4 4"],
    *,
    cameras: bool,
) -> lm.Linearisation:
    placed = place(state, problem)
    turn = state.cam_from_scene[problem.side][:, None, :3, :3]
    K = problem.K[problem.side]
    error = (placed.keypoints_uv - problem.uv) / weights.keypoint_unit_px
    by_cam = projection.projection_jacobian(placed.keypoints_cam, K) / weights.keypoint_unit_px
    body, camera = _chain(by_cam, turn, placed.keypoints_turned, placed.keypoints_cam)
    system = _System(problem, state.pelvis)
    weight = weights.keypoints * problem.confidence
    system.add(body, camera, error, weight)
    silhouette = depth = error.new_zeros(())
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
        silhouette = at.distance.sum()
        depth = (at.paired * (offset**2).sum(-1)).sum()
    cost = (
        (weight * (error**2).sum(-1)).sum()
        + weights.silhouette * silhouette
        + weights.depth * depth
    )
    if weights.pair:
        offsets = pair_offsets(state, problem)
        system.add_pairs(offsets, weights.pair)
        cost = cost + weights.pair * (offsets**2).sum()
    if weights.camera:
        offsets = camera_offsets(state.cam_from_scene, anchor)
        system.add_cameras(offsets, weights.camera)
        cost = cost + weights.camera * (offsets**2).sum()
    if not cameras:
        system.hold_cameras()
    return lm.Linearisation(cost[None], system.gradient[None], system.hessian[None])


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
    """Normal equations of one cut, filled term by term."""

    def __init__(self, problem: AlignmentProblem, like: Tensor) -> None:
        bodies = len(problem.side)
        self._problem = problem
        self.gradient = like.new_zeros(_BODIES + 6 * bodies)
        self.hessian = like.new_zeros(_BODIES + 6 * bodies, _BODIES + 6 * bodies)
        blocks = self.hessian.view(2 + bodies, 6, 2 + bodies, 6)
        self._blocks = blocks
        self._parts = self.gradient.view(2 + bodies, 6)
        self._body = 2 + torch.arange(bodies, device=like.device)

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
        side, who = self._problem.side, self._body
        self._blocks[who, :, who, :] += hessian[:, 6:, 6:]
        self._blocks[side, :, who, :] += hessian[:, :6, 6:]
        self._blocks[who, :, side, :] += hessian[:, 6:, :6]
        own = sum_by_group(hessian[:, :6, :6], side, 2)
        for view in range(2):
            self._blocks[view, :, view, :] += own[view]
        self._parts[who] += gradient[:, 6:]
        self._parts.index_put_((side,), gradient[:, :6], accumulate=True)

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
        self._blocks[self._body, :, self._body, :] += weighted @ by_body
        self._parts[self._body] += (weighted @ offset.flatten(1)[..., None]).squeeze(-1)

    def add_pairs(self, offsets: Float[Tensor, "M 3"], weight: float) -> None:
        """Pelvises of a pair together."""
        for (first, second), offset in zip((self._problem.pair + 2).tolist(), offsets, strict=True):
            for row, column, sign in (
                (first, first, 1),
                (second, second, 1),
                (first, second, -1),
                (second, first, -1),
            ):
                self._blocks[row, 3:, column, 3:].diagonal().add_(sign * weight)
            self._parts[first, 3:] += weight * offset
            self._parts[second, 3:] -= weight * offset

    def add_cameras(self, offsets: Float[Tensor, "2 6"], weight: float) -> None:
        """Cameras towards where the scene has them (left Jacobian taken as the identity)."""
        for view in range(2):
            self._blocks[view, :, view, :].diagonal().add_(weight)
        self._parts[:2] += weight * offsets

    def hold_cameras(self) -> None:
        """Take the cameras out of the problem."""
        self.gradient[:_BODIES] = 0
        self.hessian[:_BODIES] = 0
        self.hessian[:, :_BODIES] = 0
        self.hessian[:_BODIES, :_BODIES].diagonal().fill_(1)
