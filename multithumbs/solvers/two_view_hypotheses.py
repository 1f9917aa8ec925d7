"""Who is who at a cut: rigid hypotheses from monocular bodies, and their assignments.

Bodies of both boundary frames are metric in their cameras, so one pair of people (or two
pairs) already gives the transform between the cameras. People are few: all hypotheses are
tried, each collects the other pairs that agree with it, and equal assignments are merged.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from multithumbs.geometry import rigid
from multithumbs.solvers.two_view import ViewPeople


class AgreementModel(NamedTuple):
    """How well bodies must agree under a rough transform to be taken for one person."""

    log_size: float
    """Depth error of a body, relative to its depth."""
    transform_rad: float
    """Rotation error of a transform made from one or two monocular bodies."""
    orientation_rad: float
    """Error of the relative orientation of one person's two bodies."""
    max_orientation_cost: float
    """What orientation may cost at most: some bodies are read from the wrong side."""
    pose_m: float
    """Root mean square distance of one person's two bodies once superimposed."""
    gate: float
    """Cost (squared sigmas) above which a pair is not taken for one person."""


class Hypotheses(NamedTuple):
    b_from_a: Float[Tensor, "H 4 4"]
    pairs: Int64[Tensor, "H M 2"]
    """Rows of ``a`` and ``b``; -1 in empty slots."""
    score: Float[Tensor, " H"]
    """Sum over pairs of gate - cost; the higher the better."""


class _PairTransforms(NamedTuple):
    b_from_a: Float[Tensor, "Na Nb 4 4"]
    pose_m: Float[Tensor, "Na Nb"]
    usable: Bool[Tensor, "Na Nb"]


def enumerate_hypotheses(
    a: ViewPeople,
    b: ViewPeople,
    model: AgreementModel,
    *,
    min_common_keypoints: int,
    max_hypotheses: int,
    dissimilarity: Float[Tensor, "Na Nb"] | None = None,
) -> Hypotheses:
    """All plausible assignments with a transform each, best first.

    Args:
        a: people before the cut.
        b: people after it.
        model: what counts as agreement.
        min_common_keypoints: a pair that shares fewer visible keypoints is no candidate.
        max_hypotheses: how many assignments to keep.
        dissimilarity: extra cost per pair (squared sigmas), for instance of colours.
    """
    single = _single_transforms(a, b, min_common_keypoints)
    seeds = single.usable & (_pose_cost(single, model, dissimilarity) < model.gate)
    rows = seeds.nonzero()
    if len(rows) == 0:
        return _empty(a)
    transforms = torch.cat([single.b_from_a[seeds], _double_transforms(a, b, rows)])
    cost = _agreement(a, b, transforms, single, model, dissimilarity)
    return _distinct(cost, transforms, model.gate, max_hypotheses)


def turned_hypotheses(
    a: ViewPeople,
    b: ViewPeople,
    turns: Float[Tensor, "T 3 3"],
    model: AgreementModel,
    *,
    min_common_keypoints: int,
    max_hypotheses: int,
    dissimilarity: Float[Tensor, "Na Nb"] | None = None,
) -> Hypotheses:
    """As `enumerate_hypotheses`, where the rotation is one of ``turns`` and each pair of people
    says where the camera then stands."""
    single = _single_transforms(a, b, min_common_keypoints)
    rows = single.usable.nonzero()
    if len(rows) == 0:
        return _empty(a)
    turned = a.centre_cam[rows[:, 0]] @ turns.transpose(-1, -2)  # (T, S, 3)
    shift = b.centre_cam[rows[:, 1]] - turned
    rotation = turns[:, None].expand(*shift.shape[:2], 3, 3)
    b_from_a = rigid.compose(rotation, shift).flatten(0, 1)
    cost = _agreement(a, b, b_from_a, single, model, dissimilarity)
    return _distinct(cost, b_from_a, model.gate, max_hypotheses)


def reassign(
    a: ViewPeople,
    b: ViewPeople,
    b_from_a: Float[Tensor, "H 4 4"],
    model: AgreementModel,
    *,
    forbidden: Bool[Tensor, "H Na Nb"],
    min_common_keypoints: int,
    max_hypotheses: int,
    dissimilarity: Float[Tensor, "Na Nb"] | None = None,
) -> Hypotheses:
    """Assignments under given transforms, without the pairs that each transform forbids."""
    single = _single_transforms(a, b, min_common_keypoints)
    cost = _agreement(a, b, b_from_a, single, model, dissimilarity)
    cost = torch.where(forbidden, torch.full_like(cost, torch.inf), cost)
    return _distinct(cost, b_from_a, model.gate, max_hypotheses)


def _empty(a: ViewPeople) -> Hypotheses:
    like = a.body_cam
    pairs = torch.zeros(0, 1, 2, dtype=torch.int64, device=like.device)
    return Hypotheses(like.new_zeros(0, 4, 4), pairs, like.new_zeros(0))


def _weights(a: ViewPeople, b: ViewPeople) -> Float[Tensor, "Na Nb J"]:
    """Unseen keypoints of a monocular body come from its prior: they count little, not nothing."""
    return (a.confidence[:, None] * b.confidence[None]).sqrt() + 0.05


def _single_transforms(a: ViewPeople, b: ViewPeople, min_common: int) -> _PairTransforms:
    weights = _weights(a, b)
    shape = (*weights.shape, 3)
    body_a = a.body_cam[:, None].expand(shape)
    body_b = b.body_cam[None].expand(shape)
    b_from_a = rigid.fit_similarity(body_b, body_a, weights, with_scale=False)
    squared = ((rigid.apply(b_from_a, body_a) - body_b) ** 2).sum(-1)
    pose_m = ((squared * weights).sum(-1) / weights.sum(-1)).sqrt()
    common = ((a.confidence[:, None] > 0) & (b.confidence[None] > 0)).sum(-1)
    return _PairTransforms(b_from_a, pose_m, common >= min_common)


def _double_transforms(
    a: ViewPeople, b: ViewPeople, rows: Int64[Tensor, "S 2"]
) -> Float[Tensor, "D 4 4"]:
    """Kabsch over two people at once, for all compatible pairs of pairs."""
    both = [
        (s, t)
        for s, t in combinations(range(len(rows)), 2)
        if rows[s, 0] != rows[t, 0] and rows[s, 1] != rows[t, 1]
    ]
    if not both:
        return a.body_cam.new_zeros(0, 4, 4)
    index = rows[torch.tensor(both, device=rows.device)]  # (D, 2, 2)
    weights = _weights(a, b)[index[..., 0], index[..., 1]]
    return rigid.fit_similarity(
        b.body_cam[index[..., 1]].flatten(1, 2),
        a.body_cam[index[..., 0]].flatten(1, 2),
        weights.flatten(1, 2),
        with_scale=False,
    )


def _pose_cost(
    single: _PairTransforms, model: AgreementModel, dissimilarity: Float[Tensor, "Na Nb"] | None
) -> Float[Tensor, "Na Nb"]:
    cost = (single.pose_m / model.pose_m) ** 2
    return cost if dissimilarity is None else cost + dissimilarity


def _agreement(
    a: ViewPeople,
    b: ViewPeople,
    b_from_a: Float[Tensor, "H 4 4"],
    single: _PairTransforms,
    model: AgreementModel,
    dissimilarity: Float[Tensor, "Na Nb"] | None,
) -> Float[Tensor, "H Na Nb"]:
    """Cost of each pair under each transform: place, orientation and articulated pose."""
    centre_a = rigid.apply(b_from_a, a.centre_cam[None])
    offset = centre_a[:, :, None] - b.centre_cam[None, None]
    ray_a = (centre_a - b_from_a[:, None, :3, 3])[:, :, None]
    ray_b = b.centre_cam[None, None]
    # Depth errors lie along each view's ray; the transform's own error grows with distance.
    eye = torch.eye(3, dtype=offset.dtype, device=offset.device)
    spread = (model.transform_rad * 0.5) ** 2 * (ray_b**2).sum(-1)[..., None, None]
    covariance = (spread + 0.1**2) * eye + model.log_size**2 * (_outer(ray_a) + _outer(ray_b))
    place = (offset * torch.linalg.solve(covariance, offset)).sum(-1)
    between = b_from_a[:, None, None, :3, :3].transpose(-1, -2) @ single.b_from_a[..., :3, :3]
    trace = between.diagonal(dim1=-2, dim2=-1).sum(-1)
    angle = torch.acos(((trace - 1) / 2).clamp(-1, 1))
    turned = ((angle / model.orientation_rad) ** 2).clamp_max(model.max_orientation_cost)
    cost = place + turned + _pose_cost(single, model, dissimilarity)
    return torch.where(single.usable, cost, torch.full_like(cost, torch.inf))


def _outer(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    return vector[..., :, None] * vector[..., None, :]


def _distinct(
    cost: Float[Tensor, "H Na Nb"],
    b_from_a: Float[Tensor, "H 4 4"],
    gate: float,
    max_hypotheses: int,
) -> Hypotheses:
    """The best assignment under each transform; of equal assignments the best transform."""
    gains = (gate - cost).clamp_min(0).cpu().numpy()
    found: dict[tuple[tuple[int, int], ...], tuple[float, int]] = {}
    for index, gain in enumerate(gains):
        rows, columns = linear_sum_assignment(gain, maximize=True)
        kept = gain[rows, columns] > 0
        key = tuple(zip(rows[kept].tolist(), columns[kept].tolist(), strict=True))
        score = float(gain[rows[kept], columns[kept]].sum())
        if key and score > found.get(key, (-np.inf, 0))[0]:
            found[key] = (score, index)
    best = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))[:max_hypotheses]
    slots = max((len(key) for key, _ in best), default=1)
    pairs = torch.full((len(best), slots, 2), -1, dtype=torch.int64, device=cost.device)
    for hypothesis, (key, _) in enumerate(best):
        pairs[hypothesis, : len(key)] = torch.tensor(key, device=cost.device)
    chosen = torch.tensor([index for _, (_, index) in best], dtype=torch.int64, device=cost.device)
    score = cost.new_tensor([score for _, (score, _) in best])
    return Hypotheses(b_from_a[chosen], pairs, score)
