"""Two cameras and the people that both see: a robust bundle adjustment, batched over hypotheses.

Each hypothesis ``H`` says who is who (``M`` slots of matched people) and starts from a rigid
transform. What is optimised per hypothesis:

- ``b_from_a``, the rigid transform between the two cameras (6);
- per person and view, how wrong its monocular body is: the logarithm of its size (which is
  its depth: the image fixes only their ratio) and two tilts of the body against the optical
  axis. These errors are shared by all keypoints of a body, so they must not be counted as
  many independent observations;
- every keypoint's place in 3D, free.

What is observed: each keypoint in both images, robustly, and weakly the depth that each
monocular body gives it. Points are eliminated in closed form (3x3 Schur complements) and
solved again after each camera step, so the linear system has 6 + 6 M unknowns.
Lengths are metres in the axes of camera ``a``; images are in pixels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry import projection, rigid, robust, rotations
from multithumbs.solvers import levenberg_marquardt as lm
from multithumbs.solvers.two_view_background import BackgroundMatches, background_model

PAIR_PARAMETERS = 6  # log size and two tilts, in each of the two views
_CAMERA_PARAMETERS = 6


class ViewPeople(NamedTuple):
    """The people of one boundary frame, seen by one camera."""

    K: Float[Tensor, "3 3"]
    uv: Float[Tensor, "N J 2"]
    confidence: Float[Tensor, "N J"]
    """0 where a keypoint was not seen."""
    body_cam: Float[Tensor, "N J 3"]
    """The same keypoints of the monocular body, metres in this camera."""
    centre_cam: Float[Tensor, "N 3"]
    """The body's pelvis."""
    height_px: Float[Tensor, " N"]
    """How tall the person would stand in this image: what keypoint noise is relative to."""
    size_m: Float[Tensor, " N"]
    """How tall the monocular body is: one person has one size in both views."""


class NoiseModel(NamedTuple):
    """Standard deviations of what is observed, and where residuals count as outliers."""

    keypoint_of_height: float
    """Keypoint noise relative to the person's height in pixels."""
    log_size: float
    """Logarithm of a monocular body's size (and so of its depth)."""
    log_fit: float
    """The same once the size is right: how well a fit finds the depth of a known body."""
    tilt: float
    """Orientation of a monocular body, radians."""
    relative_depth_m: float
    """What is left of a keypoint's depth once size and tilt are right."""
    outlier_sigmas: float
    """Where Geman-McClure's loss begins to forget a keypoint."""


class CameraPrior(NamedTuple):
    """What is known of the relation between the cameras beside the people."""

    b_from_a: Float[Tensor, "*#H 4 4"]
    """One for all hypotheses, or one each."""
    rotation_std: float
    """Radians."""
    translation_std: float
    """Metres; infinite where only the rotation is known."""


class PairObservations(NamedTuple):
    """Both views of each slot's person: view 0 is ``a``, view 1 is ``b``."""

    K: Float[Tensor, "2 3 3"]
    uv: Float[Tensor, "H M 2 J 2"]
    sigma_px: Float[Tensor, "H M 2 1"]
    weight: Float[Tensor, "H M 2 J"]
    """Confidence; 0 in empty slots."""
    depth: Float[Tensor, "H M 2 J"]
    lever: Float[Tensor, "H M 2 J 2"]
    """How a keypoint's depth changes with the body's tilt about x and y, metres per radian."""
    log_ratio: Float[Tensor, "H M"]
    """Logarithm of the body's size in view a over that in view b."""
    used: Bool[Tensor, "H M"]


class TwoViewState(NamedTuple):
    b_from_a: Float[Tensor, "H 4 4"]
    nuisance: Float[Tensor, "H M 6"]
    """Log size, tilt x, tilt y in view a, then the same in view b."""
    points: Float[Tensor, "H M J 3"]


class TwoViewFit(NamedTuple):
    """The adjusted hypotheses."""

    state: TwoViewState
    cost: Float[Tensor, " H"]
    """All robust terms, in units of squared sigmas."""
    pair_cost: Float[Tensor, "H M"]
    """The part that belongs to each slot, divided by its number of keypoints in both views."""
    residual_px: Float[Tensor, "H M 2"]
    """Confidence-weighted root mean square per view."""
    inliers: Float[Tensor, "H M"]
    """Share of a slot's common keypoints that both images agree upon."""
    common: Float[Tensor, "H M"]
    """Number of keypoints that both views see."""


class _Residuals(NamedTuple):
    image: Float[Tensor, "H M 2 J 2"]
    depth: Float[Tensor, "H M 2 J"]
    prior: Float[Tensor, "H M 6"]
    points_view: Float[Tensor, "H M 2 J 3"]


def gather_pairs(
    a: ViewPeople, b: ViewPeople, pairs: Int64[Tensor, "H M 2"], noise: NoiseModel
) -> PairObservations:
    """Observations of each hypothesis; ``pairs`` holds rows of ``a`` and ``b``, -1 where empty."""
    used = (pairs >= 0).all(-1)
    rows = pairs.clamp_min(0)

    def take(field: str) -> Tensor:
        first, second = getattr(a, field), getattr(b, field)
        return torch.stack([first[rows[..., 0]], second[rows[..., 1]]], dim=2)

    confidence = take("confidence")
    # A keypoint that only one view sees says nothing about the relation between the views.
    both = (confidence > 0).all(2, keepdim=True)
    weight = confidence * both * used[..., None, None]
    body = take("body_cam")
    offset = body - take("centre_cam")[..., None, :]
    return PairObservations(
        K=torch.stack([a.K, b.K]),
        uv=take("uv"),
        sigma_px=noise.keypoint_of_height * take("height_px")[..., None],
        weight=weight,
        depth=body[..., 2],
        lever=torch.stack([offset[..., 1], -offset[..., 0]], dim=-1),
        log_ratio=take("size_m").log().diff(dim=-1).squeeze(-1).neg(),
        used=used,
    )


def adjust(
    observations: PairObservations,
    b_from_a: Float[Tensor, "H 4 4"],
    noise: NoiseModel,
    *,
    background: BackgroundMatches | None = None,
    prior: CameraPrior | None = None,
    max_iterations: int = 30,
) -> TwoViewFit:
    """Adjust all hypotheses side by side, from their rigid transforms."""
    state = _start(observations, b_from_a, noise)
    solution = lm.solve(
        lambda s: _linearise(s, observations, noise, background, prior),
        lambda s: _evaluate(s, observations, noise, background, prior),
        lambda s, step: _retract(s, step, observations, noise),
        _select,
        state,
        max_iterations=max_iterations,
        relative_tolerance=1e-5,
    )
    return _report(solution.state, solution.cost, observations, noise)


def _select(mask: Bool[Tensor, " H"], x: TwoViewState, y: TwoViewState) -> TwoViewState:
    def take(u: Tensor, v: Tensor) -> Tensor:
        return torch.where(mask.view(-1, *[1] * (u.ndim - 1)), u, v)

    return TwoViewState(*(take(u, v) for u, v in zip(x, y, strict=True)))


def _residuals(state: TwoViewState, seen: PairObservations, noise: NoiseModel) -> _Residuals:
    """Residuals in sigmas (weights not yet applied)."""
    in_b = rigid.apply(state.b_from_a[:, None], state.points.flatten(1, 2)[:, None]).squeeze(1)
    points = torch.stack([state.points, in_b.unflatten(1, state.points.shape[1:3])], dim=2)
    image = (projection.project(points, seen.K) - seen.uv) / seen.sigma_px[..., None]
    nuisance = state.nuisance.unflatten(-1, (2, 3))
    size = nuisance[..., :1].exp()
    tilted = seen.depth + (seen.lever * nuisance[..., None, 1:]).sum(-1)
    depth = (points[..., 2] - size * tilted) / noise.relative_depth_m
    prior = state.nuisance @ _prior_map(noise, state.nuisance).T
    prior[..., 3] -= seen.log_ratio / noise.log_fit
    return _Residuals(image, depth, prior, points)


def _prior_map(noise: NoiseModel, like: Tensor) -> Float[Tensor, "6 6"]:
    """From a pair's nuisances to residuals in sigmas.

    Sizes enter by their mean (one person, one error of the shape prior) and their difference,
    which only has to make up for the bodies' own: that ties the depths of both views closely.
    """
    inverse = like.new_tensor([noise.log_size, noise.tilt, noise.tilt] * 2).reciprocal().diag()
    inverse[0, [0, 3]] = 0.5 / noise.log_size
    inverse[3, [0, 3]] = inverse.new_tensor([-1, 1]) / noise.log_fit
    return inverse


def _robust_terms(
    residuals: _Residuals, seen: PairObservations, noise: NoiseModel
) -> tuple[Float[Tensor, "H M 2 J"], Float[Tensor, "H M 2 J"], Float[Tensor, "H M 2 J"]]:
    """Loss, weight of the image residuals, weight of the depth residuals, per keypoint and view."""
    image, image_weight = robust.geman_mcclure((residuals.image**2).sum(-1), noise.outlier_sigmas)
    depth, depth_weight = robust.huber(residuals.depth**2, noise.outlier_sigmas / 2)
    return seen.weight * (image + depth), seen.weight * image_weight, seen.weight * depth_weight


def _evaluate(
    state: TwoViewState,
    seen: PairObservations,
    noise: NoiseModel,
    background: BackgroundMatches | None,
    camera: CameraPrior | None,
) -> Float[Tensor, " H"]:
    residuals = _residuals(state, seen, noise)
    loss, _, _ = _robust_terms(residuals, seen, noise)
    prior = (residuals.prior**2).sum(-1) * seen.used
    cost = loss.sum((1, 2, 3)) + prior.sum(-1)
    if background is not None:
        cost = cost + background_model(state.b_from_a, background).cost
    if camera is not None:
        cost = cost + (prior_residual(state.b_from_a, camera) ** 2).sum(-1)
    return cost


def prior_residual(b_from_a: Float[Tensor, "H 4 4"], camera: CameraPrior) -> Float[Tensor, "H 6"]:
    """Rotation, then translation from a prior's relation, in its standard deviations."""
    turn = b_from_a[:, :3, :3] @ camera.b_from_a[..., :3, :3].transpose(-1, -2)
    angle = rotations.axis_angle_from_matrix(turn) / camera.rotation_std
    shift = b_from_a[:, :3, 3] - (turn @ camera.b_from_a[..., :3, 3:]).squeeze(-1)
    return torch.cat([angle, shift / camera.translation_std], dim=-1)


def _point_system(
    state: TwoViewState, seen: PairObservations, noise: NoiseModel
) -> tuple[Tensor, Tensor, Tensor, Tensor, _Residuals]:
    """Stacked residuals (6 per keypoint: two images, two depths), weights and point Jacobians."""
    residuals = _residuals(state, seen, noise)
    _, image_weight, depth_weight = _robust_terms(residuals, seen, noise)
    by_view = projection.projection_jacobian(residuals.points_view, seen.K)
    by_view = by_view / seen.sigma_px[..., None, None]
    depth_row = torch.zeros_like(by_view[..., :1, :])
    depth_row[..., 2] = 1 / noise.relative_depth_m
    # Rows u, v, z of each view, by the point in that view's own camera: (H, M, 2, J, 3, 3).
    by_view = torch.cat([by_view, depth_row], dim=-2)
    turn = state.b_from_a[:, None, None, :3, :3]
    by_point = torch.stack([by_view[:, :, 0], by_view[:, :, 1] @ turn], dim=2)
    error = torch.cat([residuals.image, residuals.depth[..., None]], dim=-1)
    weight = torch.stack([image_weight, image_weight, depth_weight], dim=-1)
    return error, weight, by_view, by_point, residuals


def _solve_points(
    state: TwoViewState, seen: PairObservations, noise: NoiseModel, iterations: int
) -> TwoViewState:
    """Gauss-Newton on the points alone, cameras and sizes held."""
    for _ in range(iterations):
        error, weight, _, by_point, _ = _point_system(state, seen, noise)
        weighted = by_point * weight[..., None]
        hessian = torch.einsum("hmvjrx,hmvjry->hmjxy", weighted, by_point)
        gradient = torch.einsum("hmvjrx,hmvjr->hmjx", weighted, error)
        step = torch.linalg.solve(_regularised(hessian), gradient)
        state = state._replace(points=state.points - step)
    return state


def _regularised(hessian: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    # Keypoints without weight have no equations: keep them where they are.
    return hessian + 1e-6 * torch.eye(3, dtype=hessian.dtype, device=hessian.device)


def _start(
    seen: PairObservations, b_from_a: Float[Tensor, "H 4 4"], noise: NoiseModel
) -> TwoViewState:
    uv, depth = seen.uv, seen.depth
    from_a = projection.unproject(uv[:, :, 0], depth[:, :, 0], seen.K[0])
    from_b = projection.unproject(uv[:, :, 1], depth[:, :, 1], seen.K[1])
    from_b = rigid.apply(rigid.inverse(b_from_a)[:, None], from_b)
    nuisance = torch.zeros(*seen.used.shape, PAIR_PARAMETERS, dtype=uv.dtype, device=uv.device)
    state = TwoViewState(b_from_a, nuisance, (from_a + from_b) / 2)
    return _solve_points(state, seen, noise, iterations=5)


def _linearise(
    state: TwoViewState,
    seen: PairObservations,
    noise: NoiseModel,
    background: BackgroundMatches | None,
    camera: CameraPrior | None,
) -> lm.Linearisation:
    error, weight, by_view, by_point, residuals = _point_system(state, seen, noise)
    # A camera step (w, v) is b_from_a <- exp(w) b_from_a + v: it moves the point in b.
    in_b = residuals.points_view[:, :, 1]
    by_camera = error.new_zeros(*error.shape, _CAMERA_PARAMETERS)
    by_camera[:, :, 1, ..., :3] = -by_view[:, :, 1] @ rotations.skew(in_b)
    by_camera[:, :, 1, ..., 3:] = by_view[:, :, 1]
    by_pair = error.new_zeros(*error.shape, PAIR_PARAMETERS)
    nuisance = state.nuisance.unflatten(-1, (2, 3))
    size = nuisance[..., :1].exp()
    tilted = seen.depth + (seen.lever * nuisance[..., None, 1:]).sum(-1)
    for view in range(2):
        columns = by_pair[:, :, view, :, 2, 3 * view : 3 * view + 3]
        columns[..., 0] = -(size * tilted)[:, :, view] / noise.relative_depth_m
        columns[..., 1:] = -(size[..., None] * seen.lever)[:, :, view] / noise.relative_depth_m
    by_shared = torch.cat([by_camera, by_pair], dim=-1)

    weighted = by_shared * weight[..., None]
    shared = torch.einsum("hmvjrx,hmvjry->hmxy", weighted, by_shared)
    shared_gradient = torch.einsum("hmvjrx,hmvjr->hmx", weighted, error)
    cross = torch.einsum("hmvjrx,hmvjry->hmjxy", weighted, by_point)
    points = torch.einsum("hmvjrx,hmvjry->hmjxy", by_point * weight[..., None], by_point)
    point_gradient = torch.einsum("hmvjrx,hmvjr->hmjx", by_point * weight[..., None], error)
    gain = torch.linalg.solve(_regularised(points), cross.transpose(-1, -2))  # (H, M, J, 3, 12)
    shared = shared - (cross @ gain).sum(2)
    shared_gradient = shared_gradient - (gain.transpose(-1, -2) @ point_gradient[..., None]).sum(
        2
    ).squeeze(-1)

    prior = _prior_map(noise, state.nuisance)
    nuisance_block = shared[..., 6:, 6:] + prior.T @ prior
    nuisance_gradient = shared_gradient[..., 6:] + residuals.prior @ prior
    hypotheses, slots = seen.used.shape
    total = _CAMERA_PARAMETERS + PAIR_PARAMETERS * slots
    hessian = error.new_zeros(hypotheses, total, total)
    hessian[:, :6, :6] = shared[..., :6, :6].sum(1)
    corner = shared[..., :6, 6:].permute(0, 2, 1, 3).flatten(2)
    hessian[:, :6, 6:] = corner
    hessian[:, 6:, :6] = corner.transpose(-1, -2)
    eye = torch.eye(slots, dtype=error.dtype, device=error.device)
    hessian[:, 6:, 6:] = torch.einsum("hmxy,mn->hmxny", nuisance_block, eye).reshape(
        hypotheses, total - 6, total - 6
    )
    gradient = torch.cat([shared_gradient[..., :6].sum(1), nuisance_gradient.flatten(1)], dim=-1)
    cost = _evaluate(state, seen, noise, None, camera)
    if background is not None:
        model = background_model(state.b_from_a, background)
        hessian[:, :6, :6] += model.hessian
        gradient[:, :6] += model.gradient
        cost = cost + model.cost
    if camera is not None:
        # Residuals: w + dw and t + v - (R R0^T) t0; a left step turns both R and t, so that the
        # translation's residual turns with it: to first order it only gains v.
        residual = prior_residual(state.b_from_a, camera)
        precision = residual.new_tensor(
            [1 / camera.rotation_std] * 3 + [1 / camera.translation_std] * 3
        )
        hessian[:, :6, :6] += torch.diag(precision**2)
        gradient[:, :6] += precision * residual
    return lm.Linearisation(cost, gradient, hessian)


def _retract(
    state: TwoViewState, step: Float[Tensor, "H P"], seen: PairObservations, noise: NoiseModel
) -> TwoViewState:
    moved = move_camera(state.b_from_a, step[:, :_CAMERA_PARAMETERS])
    nuisance = state.nuisance + step[:, _CAMERA_PARAMETERS:].unflatten(1, (-1, PAIR_PARAMETERS))
    return _solve_points(TwoViewState(moved, nuisance, state.points), seen, noise, iterations=2)


def move_camera(
    b_from_a: Float[Tensor, "H 4 4"], step: Float[Tensor, "H 6"]
) -> Float[Tensor, "H 4 4"]:
    """``x_b -> exp(w) x_b + v`` after ``b_from_a``, with ``step = (w, v)``."""
    return rigid.compose(rotations.matrix_from_axis_angle(step[:, :3]), step[:, 3:]) @ b_from_a


def _report(
    state: TwoViewState, cost: Float[Tensor, " H"], seen: PairObservations, noise: NoiseModel
) -> TwoViewFit:
    residuals = _residuals(state, seen, noise)
    loss, _, _ = _robust_terms(residuals, seen, noise)
    prior = (residuals.prior**2).sum(-1) * seen.used
    common = (seen.weight > 0).all(2).sum(-1).to(cost.dtype)
    squared = (residuals.image**2).sum(-1)
    total = seen.weight.sum(-1).clamp_min(1e-9)
    pixels = ((seen.weight * squared).sum(-1) / total).sqrt() * seen.sigma_px[..., 0]
    agree = ((squared <= noise.outlier_sigmas**2) & (seen.weight > 0)).all(2).sum(-1)
    return TwoViewFit(
        state=state,
        cost=cost,
        pair_cost=(loss.sum((2, 3)) + prior) / common.clamp_min(1),
        residual_px=pixels,
        inliers=agree / common.clamp_min(1),
        common=common,
    )
