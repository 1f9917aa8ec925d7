"""The relative camera of two boundary frames: hypotheses, adjustment, and what to believe."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry import rotations
from multithumbs.solvers.two_view import (
    CameraPrior,
    NoiseModel,
    TwoViewFit,
    TwoViewState,
    ViewPeople,
    adjust,
    gather_pairs,
)
from multithumbs.solvers.two_view_background import BackgroundMatches
from multithumbs.solvers.two_view_hypotheses import (
    AgreementModel,
    Hypotheses,
    enumerate_hypotheses,
    reassign,
    turned_hypotheses,
)


class Acceptance(NamedTuple):
    """When a pair of people counts as explained by one relative camera."""

    min_common_keypoints: int
    max_pair_cost: float
    min_inliers: float
    max_hypotheses: int
    max_tension: float
    """By how much background matches may raise the people's mean cost before they are dropped."""


class KnownTurns(NamedTuple):
    """Rotations between the cameras of which one is right, as the straight edges of a room that
    both show leave four."""

    b_from_a: Float[Tensor, "T 3 3"]
    rotation_std: float
    """Radians."""

    def prior(self, b_from_a: Float[Tensor, "H 4 4"]) -> CameraPrior:
        """The rotation nearest to each relation's, and no word on where the camera stands."""
        shape = (len(b_from_a), *self.b_from_a.shape)
        turn = b_from_a[:, None, :3, :3].expand(shape)
        off = rotations.angle_between(turn, self.b_from_a.expand(shape))
        nearest = b_from_a.clone()
        nearest[:, :3, :3] = self.b_from_a[off.argmin(-1)]
        return CameraPrior(nearest, self.rotation_std, torch.inf)


class TwoView(NamedTuple):
    """The winning hypothesis, without slots that its adjustment rejected."""

    b_from_a: Float[Tensor, "4 4"]
    pairs: Int64[Tensor, "M 2"]
    pair_cost: Float[Tensor, " M"]
    inliers: Float[Tensor, " M"]
    residual_px: Float[Tensor, "M 2"]
    residual_of_height: Float[Tensor, "M 2"]
    log_size: Float[Tensor, "M 2"]
    """By how much each monocular body must grow, in view a and b."""
    points_a: Float[Tensor, "M J 3"]
    """Adjusted keypoints in camera a, metres."""
    runner_up: float
    """Score of the best other assignment relative to the winner's; near 1 is ambiguous."""
    background_used: bool


def search(
    a: ViewPeople,
    b: ViewPeople,
    noise: NoiseModel,
    agreement: AgreementModel,
    refined: AgreementModel,
    acceptance: Acceptance,
    *,
    dissimilarity: Float[Tensor, "Na Nb"] | None = None,
    background: BackgroundMatches | None = None,
    turns: KnownTurns | None = None,
    max_iterations: int = 30,
) -> TwoView | None:
    """Who is who and where the cameras stand; None where no pair of people can be explained.

    ``agreement`` describes transforms made from monocular bodies, ``refined`` those that were
    adjusted already: the second round adds pairs that only then agree and drops those that do
    not.
    """
    limits = {"max_hypotheses": acceptance.max_hypotheses, "dissimilarity": dissimilarity}
    common = acceptance.min_common_keypoints
    if turns is None:
        start = enumerate_hypotheses(a, b, agreement, min_common_keypoints=common, **limits)
    else:
        start = turned_hypotheses(
            a, b, turns.b_from_a, refined, min_common_keypoints=common, **limits
        )
    if len(start.score) == 0:
        return None
    rough, explained = _adjusted(a, b, start, noise, acceptance, turns, max_iterations)
    forbidden = _rejected(start, explained, (len(a.uv), len(b.uv)))
    tried = reassign(
        a,
        b,
        rough.state.b_from_a,
        refined,
        forbidden=forbidden,
        min_common_keypoints=common,
        **limits,
    )
    if len(tried.score) == 0:
        return None
    fit, explained = _adjusted(a, b, tried, noise, acceptance, turns, max_iterations)
    score = _score(fit, tried, explained, acceptance, dissimilarity)
    best = int(score.argmax())
    if not bool(explained[best].any()):
        return None
    others = score.clone()
    others[best] = 0
    runner_up = float(others.max() / score[best])
    pairs = tried.pairs[best][explained[best]][None]
    return _final(
        a,
        b,
        pairs,
        fit.state.b_from_a[best][None],
        noise,
        acceptance,
        background,
        turns,
        runner_up,
        max_iterations,
    )


def _adjusted(
    a: ViewPeople,
    b: ViewPeople,
    hypotheses: Hypotheses,
    noise: NoiseModel,
    acceptance: Acceptance,
    turns: KnownTurns | None,
    max_iterations: int,
) -> tuple[TwoViewFit, Bool[Tensor, "H M"]]:
    seen = gather_pairs(a, b, hypotheses.pairs, noise)
    prior = None if turns is None else turns.prior(hypotheses.b_from_a)
    fit = adjust(seen, hypotheses.b_from_a, noise, prior=prior, max_iterations=max_iterations)
    explained = (
        seen.used
        & (fit.pair_cost <= acceptance.max_pair_cost)
        & (fit.inliers >= acceptance.min_inliers)
    )
    return fit, explained


def _rejected(
    hypotheses: Hypotheses, explained: Bool[Tensor, "H M"], shape: tuple[int, int]
) -> Bool[Tensor, "H Na Nb"]:
    """Pairs that a hypothesis contained and its adjustment could not explain."""
    rejected = torch.zeros(len(explained), *shape, dtype=torch.bool, device=explained.device)
    where = ((hypotheses.pairs >= 0).all(-1) & ~explained).nonzero()
    rows = hypotheses.pairs[where[:, 0], where[:, 1]]
    rejected[where[:, 0], rows[:, 0], rows[:, 1]] = True
    # A hypothesis whose every pair failed keeps them: its transform may be the wrong part.
    hopeless = ~explained.any(-1)
    rejected[hopeless] = False
    return rejected


def _score(
    fit: TwoViewFit,
    hypotheses: Hypotheses,
    explained: Bool[Tensor, "H M"],
    acceptance: Acceptance,
    dissimilarity: Float[Tensor, "Na Nb"] | None,
) -> Float[Tensor, " H"]:
    gain = acceptance.max_pair_cost - fit.pair_cost
    if dissimilarity is not None:
        rows = hypotheses.pairs.clamp_min(0)
        # Costs are per keypoint and there are about twenty: colours count as a few keypoints.
        gain = gain - dissimilarity[rows[..., 0], rows[..., 1]] / fit.common.clamp_min(1)
    return (gain.clamp_min(1e-3) * explained).sum(-1)


def _final(
    a: ViewPeople,
    b: ViewPeople,
    pairs: Int64[Tensor, "1 M 2"],
    b_from_a: Float[Tensor, "1 4 4"],
    noise: NoiseModel,
    acceptance: Acceptance,
    background: BackgroundMatches | None,
    turns: KnownTurns | None,
    runner_up: float,
    max_iterations: int,
) -> TwoView:
    """Adjust the accepted pairs alone, then with the background unless it contradicts them."""
    seen = gather_pairs(a, b, pairs, noise)
    prior = None if turns is None else turns.prior(b_from_a)
    fit = adjust(seen, b_from_a, noise, prior=prior, max_iterations=max_iterations)
    used = False
    if background is not None:
        both = adjust(
            seen,
            fit.state.b_from_a,
            noise,
            background=background,
            prior=prior,
            max_iterations=max_iterations,
        )
        tension = float((both.pair_cost - fit.pair_cost).mean())
        used = tension <= acceptance.max_tension
        fit = both if used else fit
    state: TwoViewState = fit.state
    return TwoView(
        b_from_a=state.b_from_a[0],
        pairs=pairs[0],
        pair_cost=fit.pair_cost[0],
        inliers=fit.inliers[0],
        residual_px=fit.residual_px[0],
        residual_of_height=fit.residual_px[0] * noise.keypoint_of_height / seen.sigma_px[0, ..., 0],
        log_size=state.nuisance[0][:, [0, 3]],
        points_a=state.points[0],
        runner_up=runner_up,
        background_used=used,
    )
