"""Who should be seen after a cut and is not, or is seen elsewhere: evidence against a camera."""

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


def misplaced_people(
    a: ViewPeople,
    b: ViewPeople,
    b_from_a: Float[Tensor, "4 4"],
    pairs: Int64[Tensor, "M 2"],
    unlike: Float[Tensor, "Na Nb"],
    *,
    alike_cost: float,
    max_offset_of_height: float,
) -> int:
    """People whom both views show in other places than the camera has them in.

    Unmatched people of either view who look more like each other than like anyone else there
    (``unlike`` at most ``alike_cost``) are one person. Their keypoints may disagree, or they would
    be matched; but where the camera is right they are near.
    """
    alone_a, alone_b = (
        _unmatched(view, matched).nonzero()[:, 0]
        for view, matched in zip((a, b), pairs.T, strict=True)
    )
    if not len(alone_a) or not len(alone_b):
        return 0
    between = unlike[alone_a][:, alone_b]
    mutual = (between == between.amin(0)) & (between == between.amin(1, keepdim=True))
    first, second = (mutual & (between <= alike_cost)).nonzero().T
    one, other = alone_a[first], alone_b[second]
    moved = rigid.apply(b_from_a, a.body_cam[one])
    off = (projection.project(moved, b.K) - b.uv[other]).norm(dim=-1)
    seen = b.confidence[other]
    offset = (seen * off).sum(-1) / seen.sum(-1).clamp_min(1e-9) / b.height_px[other]
    behind = moved[..., 2].mean(-1) < _NEAR_M
    return int((behind | (offset > max_offset_of_height)).sum())


def _missing(
    seen: ViewPeople,
    other: ViewPeople,
    other_from_seen: Float[Tensor, "4 4"],
    matched: Int64[Tensor, " M"],
    hw: tuple[int, int],
    inside_share: float,
    covered_share: float,
) -> int:
    alone = _unmatched(seen, matched)
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


def _unmatched(view: ViewPeople, matched: Int64[Tensor, " M"]) -> Bool[Tensor, " N"]:
    alone = torch.ones(len(view.uv), dtype=torch.bool, device=view.uv.device)
    alone[matched] = False
    return alone


def _covered(uv: Float[Tensor, "N J 2"], other: ViewPeople) -> Bool[Tensor, "N J"]:
    """Inside the box of someone's seen keypoints."""
    used = (other.confidence > 0)[..., None]
    low = other.uv.where(used, other.uv.new_tensor(torch.inf)).amin(1)
    high = other.uv.where(used, other.uv.new_tensor(-torch.inf)).amax(1)
    within = (uv[:, :, None] >= low) & (uv[:, :, None] <= high)
    return within.all(-1).any(-1)
