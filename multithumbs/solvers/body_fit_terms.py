"""Residuals of one body against one row's keypoints, with analytic derivatives, batched."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from multithumbs.body import BodyModel
from multithumbs.config.bodies import FitConfig
from multithumbs.geometry.projection import MIN_DEPTH_M, project, projection_jacobian
from multithumbs.geometry.robust import geman_mcclure
from multithumbs.geometry.rotations import left_jacobian, matrix_from_axis_angle
from multithumbs.solvers.levenberg_marquardt import Linearisation
from multithumbs.solvers.priors import FREE_JOINTS, limit_residual, pose_prior, spread_residual

LIMBS: Final = (
    (5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16),
    (5, 6), (11, 12), (11, 5), (12, 6), (4, 3), (3, 0), (4, 0),
    (15, 17), (16, 20), (19, 17), (22, 20),
)  # fmt: skip
"""Pairs of keypoints whose direction in space is compared."""

LIMB_STD: Final = (
    1.0, 1.3, 1.0, 1.3, 1.0, 1.0, 1.0, 1.0,
    0.8, 2.0, 0.8, 0.8, 1.2, 1.5, 1.5,
    2.5, 2.5, 2.5, 2.5,
)  # fmt: skip
"""Their noise relative to a thigh's: short bones turn more for the same error, and networks
turn the line between the hips by twice as much as the one between the shoulders."""

KEYPOINT_STD: Final = (
    1.0, 1.0, 1.0, 1.3, 1.3, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0,
    2.5, 2.5, 1.5, 2.5, 2.5, 1.5,
)  # fmt: skip
"""Noise of each keypoint relative to a knee's: hips are hidden in clothes, and what counts as
a toe's place differs between data sets."""

_FREE = [joint - 1 for joint in FREE_JOINTS]
NUM_POSE: Final = 3 + 3 * len(FREE_JOINTS)
NUM_PARAMETERS: Final = NUM_POSE + 10 + 3
"""Root rotation, free joints, betas, translation; in this order."""


class FitState(NamedTuple):
    """A batch of bodies."""

    root: Float[Tensor, "B 3 3"]
    """``cam`` from the body's axes; moved by right perturbations."""
    body: Float[Tensor, "B 23 3"]
    """Axis-angle of the joints behind the root; moved by addition."""
    betas: Float[Tensor, "B 10"]
    transl: Float[Tensor, "B 3"]

    def rotmats(self) -> Float[Tensor, "B 24 3 3"]:
        return torch.cat([self.root[:, None], matrix_from_axis_angle(self.body)], 1)


class Evidence(NamedTuple):
    """What was seen of each body."""

    uv: Float[Tensor, "B 23 2"]
    weight: Float[Tensor, "B 23"]
    """Confidence, 0 where the keypoint is left out."""
    std_px: Float[Tensor, "B 23"]
    direction: Float[Tensor, "B L 3"]
    """Unit vectors along `LIMBS` in ``cam``; anything where the weight is 0."""
    direction_weight: Float[Tensor, "B L"]
    K: Float[Tensor, "B 3 3"]
    size_px: Float[Tensor, " B"]
    """Extent of the person in the image."""


def retract(state: FitState, step: Float[Tensor, "B P"]) -> FitState:
    """The state moved by a tangent step."""
    body = state.body.clone()
    body[:, _FREE] += step[:, 3:NUM_POSE].unflatten(-1, (-1, 3))
    return FitState(
        state.root @ matrix_from_axis_angle(step[:, :3]),
        body,
        state.betas + step[:, NUM_POSE:-3],
        state.transl + step[:, -3:],
    )


def select(mask: Bool[Tensor, " B"], a: FitState, b: FitState) -> FitState:
    """Rows of ``a`` where the mask is true, else of ``b``."""
    return FitState(
        *(torch.where(mask.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(a, b, strict=True))
    )


def take(state: FitState | Evidence, rows: Tensor | slice) -> FitState | Evidence:
    """Some rows of a batch."""
    return type(state)(*(x[rows] for x in state))


class BodyTerms:
    """Cost of bodies given their evidence, for `levenberg_marquardt.solve`.

    ``cost = sum_k c_k rho(|uv residual|^2) + sum_l c_l rho(|direction residual|^2) + priors``,
    every residual in its standard deviations, rho Geman-McClure's at ``robust_scale``.
    """

    def __init__(
        self, model: BodyModel, evidence: Evidence, config: FitConfig, robust_scale: float
    ) -> None:
        like = evidence.uv
        self.model = model
        self.evidence = evidence
        self.scale = robust_scale
        self.prior = pose_prior(like)
        self.pose_weight = config.pose_weight
        self.softness = config.limit_softness_rad
        self.betas_mean = like.new_tensor(config.betas_mean)
        self.betas_std = like.new_tensor(config.betas_std)
        self.limbs = torch.tensor(LIMBS, device=like.device)
        a, b = self.limbs.unbind(-1)
        eye = torch.eye(23, dtype=like.dtype, device=like.device)
        self.ends = eye[b] - eye[a]
        self.pairs = (self.ends[:, :, None] * self.ends[:, None]).flatten(1)
        self.direction_std = config.direction_std_rad * like.new_tensor(LIMB_STD)

    def evaluate(self, state: FitState) -> Float[Tensor, " B"]:
        """The cost alone."""
        points = self.model.posed_by_matrices(state.rotmats(), state.betas, state.transl).keypoints
        seen, limbs = self._residuals(points)
        cost, _, _ = self._robust(points, seen, limbs)
        return cost + self._prior(state)[0]

    def linearise(self, state: FitState) -> Linearisation:
        """Cost, gradient and Gauss-Newton Hessian."""
        rotmats = state.rotmats()
        posed = self.model.linearise(rotmats, state.betas, state.transl)
        points = posed.keypoints
        by = self._parameters(posed.keypoints_by_rotation, posed.keypoints_by_betas, state)
        seen, limbs = self._residuals(points)
        cost, seen_weight, limb_weight = self._robust(points, seen, limbs)

        # The data terms' Hessian and gradient by the keypoints themselves, then one chain rule:
        # far cheaper than carrying every residual's derivative by every parameter.
        seen_by = (
            projection_jacobian(points, self.evidence.K) / self.evidence.std_px[..., None, None]
        )
        back = seen_by.transpose(-1, -2) * seen_weight[..., None, None]
        a, b = self.limbs.unbind(-1)
        span = points[:, b] - points[:, a]
        length = span.norm(dim=-1).clamp_min(1e-6)
        unit = span / length[..., None]
        across = torch.eye(3, dtype=unit.dtype, device=unit.device)
        across = across - unit[..., :, None] * unit[..., None, :]
        turn = 1 / (length * self.direction_std)
        limb_hessian = across * (limb_weight * turn**2)[..., None, None]
        limb_gradient = (across @ limbs[..., None]).squeeze(-1) * (limb_weight * turn)[..., None]

        pull = (back @ seen[..., None]).squeeze(-1) + self.ends.T @ limb_gradient
        stiff = (self.pairs.T @ limb_hessian.flatten(-2)).unflatten(1, (23, 23))
        stiff = stiff.unflatten(-1, (3, 3)).permute(0, 1, 3, 2, 4).contiguous()
        stiff.diagonal(dim1=1, dim2=3).add_((back @ seen_by).permute(0, 2, 3, 1))
        flat = by.flatten(1, 2)
        hessian = flat.transpose(-1, -2) @ (stiff.flatten(3, 4).flatten(1, 2) @ flat)
        gradient = (pull.flatten(1)[:, None] @ flat).squeeze(1)
        prior_cost, prior_gradient, prior_diagonal = self._prior(state)
        hessian.diagonal(dim1=-2, dim2=-1).add_(prior_diagonal)
        return Linearisation(cost + prior_cost, gradient + prior_gradient, hessian)

    def residual_px(self, state: FitState) -> tuple[Float[Tensor, " B"], Float[Tensor, "B 23"]]:
        """Confidence-weighted root mean square residual, and each keypoint's robust weight."""
        points = self.model.posed_by_matrices(state.rotmats(), state.betas, state.transl).keypoints
        squared = ((project(points, self.evidence.K) - self.evidence.uv) ** 2).sum(-1)
        weight = self.evidence.weight
        mean = (weight * squared).sum(-1) / weight.sum(-1).clamp_min(1e-9)
        _, trust = geman_mcclure(squared / self.evidence.std_px**2, self.scale)
        return mean.sqrt(), trust

    def _residuals(
        self, points: Float[Tensor, "B 23 3"]
    ) -> tuple[Float[Tensor, "B 23 2"], Float[Tensor, "B L 3"]]:
        evidence = self.evidence
        seen = (project(points, evidence.K) - evidence.uv) / evidence.std_px[..., None]
        a, b = self.limbs.unbind(-1)
        span = points[:, b] - points[:, a]
        unit = span / span.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        return seen, (unit - evidence.direction) / self.direction_std[:, None]

    def _robust(
        self,
        points: Float[Tensor, "B 23 3"],
        seen: Float[Tensor, "B 23 2"],
        limbs: Float[Tensor, "B L 3"],
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, "B 23"], Float[Tensor, "B L"]]:
        """Robust cost, and the weights of iteratively reweighted least squares."""
        evidence = self.evidence
        seen_loss, seen_weight = geman_mcclure((seen**2).sum(-1), self.scale)
        limb_loss, limb_weight = geman_mcclure((limbs**2).sum(-1), self.scale)
        cost = (evidence.weight * seen_loss).sum(-1)
        cost = cost + (evidence.direction_weight * limb_loss).sum(-1)
        # A keypoint behind the camera has no image: such a body is no candidate at all.
        behind = ((points[..., 2] <= MIN_DEPTH_M) & (evidence.weight > 0)).any(-1)
        cost = torch.where(behind, torch.inf, cost)
        return cost, evidence.weight * seen_weight, evidence.direction_weight * limb_weight

    def _prior(
        self, state: FitState
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, "B P"], Float[Tensor, "B P"]]:
        """Cost, half gradient, and the Hessian's diagonal of the priors."""
        spread = spread_residual(state.body, self.prior)[:, _FREE]
        over, over_by = (x[:, _FREE] for x in limit_residual(state.body, self.prior, self.softness))
        by = 1 / self.prior.spread[_FREE]
        shape = (state.betas - self.betas_mean) / self.betas_std
        cost = (self.pose_weight * spread**2 + over**2).sum((-1, -2)) + (shape**2).sum(-1)
        gradient = torch.zeros(len(cost), NUM_PARAMETERS, dtype=cost.dtype, device=cost.device)
        diagonal = torch.zeros_like(gradient)
        gradient[:, 3:NUM_POSE] = (self.pose_weight * spread * by + over * over_by).flatten(1)
        diagonal[:, 3:NUM_POSE] = (self.pose_weight * by**2 + over_by**2).flatten(1)
        gradient[:, NUM_POSE:-3] = shape / self.betas_std
        diagonal[:, NUM_POSE:-3] = 1 / self.betas_std**2
        return cost, gradient, diagonal

    def _parameters(
        self,
        by_rotation: Float[Tensor, "B 23 3 24 3"],
        by_betas: Float[Tensor, "B 23 3 10"],
        state: FitState,
    ) -> Float[Tensor, "B 23 3 P"]:
        """Derivative of the keypoints by the solver's parameters."""
        # Adding to an axis-angle vector turns on the right by its right Jacobian.
        right = left_jacobian(-state.body[:, _FREE])
        free = by_rotation[..., FREE_JOINTS, :].permute(0, 3, 1, 2, 4).flatten(2, 3) @ right
        free = free.unflatten(2, (23, 3)).permute(0, 2, 3, 1, 4).flatten(-2)
        moved = torch.eye(3, dtype=free.dtype, device=free.device).expand(*free.shape[:3], 3)
        return torch.cat([by_rotation[..., 0, :], free, by_betas, moved], -1)
