"""Who should be seen after a cut and is not: evidence against a relative camera."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry import projection, rigid
from multithumbs.solvers.two_view import ViewPeople

_NEAR_M = 0.3


def missing_people(
    a: ViewPeople,
    b: ViewPeople,
    b_from_a: Float[Tensor, "4 4"],
    pairs: Int64[Tensor, "M 2"],
    hw: tuple[tuple[int, int], tuple[int, int]],
    *,
    inside_share: float,
    covered_share: float,
) -> int:
    """Unmatched people of either view whom the other camera should see in full view.

    Someone counts as missing if at least ``inside_share`` of the body's keypoints project into
    the other image, and no more than ``covered_share`` of them onto people who are seen there
    (who may hide them).
    """
    forward = _missing(a, b, b_from_a, pairs[:, 0], hw[1], inside_share, covered_share)
    back = rigid.inverse(b_from_a)
    return forward + _missing(b, a, back, pairs[:, 1], hw[0], inside_share, covered_share)


def _missing(
    seen: ViewPeople,
    other: ViewPeople,
    other_from_seen: Float[Tensor, "4 4"],
    matched: Int64[Tensor, " M"],
    hw: tuple[int, int],
    inside_share: float,
    covered_share: float,
) -> int:
    alone = torch.ones(len(seen.uv), dtype=torch.bool, device=seen.uv.device)
    alone[matched] = False
    if not bool(alone.any()):
        return 0
    points = rigid.apply(other_from_seen, seen.body_cam[alone])
    uv = projection.project(points, other.K)
    size = uv.new_tensor([hw[1], hw[0]])
    inside = ((uv > 0) & (uv < size)).all(-1) & (points[..., 2] > _NEAR_M)
    covered = _covered(uv, other) & inside
    count = inside.sum(-1).clamp_min(1)
    full = inside.float().mean(-1) >= inside_share
    free = covered.sum(-1) / count <= covered_share
    return int((full & free).sum())


def _covered(uv: Float[Tensor, "N J 2"], other: ViewPeople) -> Bool[Tensor, "N J"]:
    """Inside the box of someone's seen keypoints."""
    used = (other.confidence > 0)[..., None]
    low = other.uv.where(used, other.uv.new_tensor(torch.inf)).amin(1)
    high = other.uv.where(used, other.uv.new_tensor(-torch.inf)).amax(1)
    within = (uv[:, :, None] >= low) & (uv[:, :, None] <= high)
    return within.all(-1).any(-1)
