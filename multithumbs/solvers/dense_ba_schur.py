"""Elimination of the depths of dense bundle adjustment, and the pose system that is left.

The terms of an edge are those of its own twist ``delta = twist_j - Ad twist_i``
(`dense_ba_terms`). The depths of a frame couple the edges that leave it, so they are eliminated
in the space of those edges' twists, D at a time; only the small result, 6 D x 6 D, is expanded
to the poses.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64, Shaped
from torch import Tensor

from multithumbs.geometry import se3
from multithumbs.solvers.dense_ba_terms import EdgeTerms

CELLS_AT_ONCE = {"cpu": 2**17, "cuda": 2**22}
"""Grid cells of edges whose derivatives live at one time; a CPU's cache wants few."""


@dataclass(frozen=True)
class Group:
    """Source frames with a similar number of edges, which are handled at once."""

    frames: Int64[Tensor, " K"]
    edges: slice
    """Their edges, frame by frame, in the order that `group_by_source` gives."""
    slot: Int64[Tensor, " N"]
    """Place of each edge in K x D."""
    width: int
    """D, the largest number of edges of a frame."""

    def padded(self, rows: Shaped[Tensor, "N *rest"]) -> Shaped[Tensor, "K D *rest"]:
        """Rows of edges in their places, zero where a frame has fewer edges."""
        places = len(self.frames) * self.width
        if len(rows) != places:
            full = rows.new_zeros(places, *rows.shape[1:])
            full[self.slot] = rows
            rows = full
        return rows.unflatten(0, (len(self.frames), self.width))


def group_by_source(
    ii: Int[Tensor, " E"], cells: int, cells_at_once: int
) -> tuple[Int64[Tensor, " E"], list[Group]]:
    """An order of the edges, and its cuts into groups of whole frames.

    A group has at most ``cells_at_once`` cells of edges (or one frame).
    """
    source = ii.cpu().numpy()
    by_source = np.argsort(source, kind="stable")
    frames, start, count = np.unique(source[by_source], return_index=True, return_counts=True)
    by_count = np.argsort(-count, kind="stable")
    order: list[np.ndarray] = []
    groups: list[Group] = []
    first = placed = 0
    while first < len(frames):
        width = int(count[by_count[first]])
        members = by_count[first : first + max(cells_at_once // (width * cells), 1)]
        first += len(members)
        slot = [k * width + np.arange(int(count[m])) for k, m in enumerate(members)]
        order += [by_source[start[m] : start[m] + count[m]] for m in members]
        edges = slice(placed, placed + int(count[members].sum()))
        placed = edges.stop
        chosen, places = (_indices(a, ii) for a in (frames[members], np.concatenate(slot)))
        groups.append(Group(chosen, edges, places, width))
    return _indices(np.concatenate([*order, np.zeros(0, np.int64)]), ii), groups


def _indices(values: np.ndarray, like: Tensor) -> Int64[Tensor, " N"]:
    return torch.as_tensor(values, dtype=torch.int64).to(like.device)


@dataclass(frozen=True)
class Eliminated:
    """What gives the depths' step back, once the poses' is known."""

    group: Group
    inverse: Float64[Tensor, "K hw"]
    """Of the depths' own curvature."""
    right: Float64[Tensor, "K hw"]
    cross: Float64[Tensor, "K six_D hw"]

    def step(self, twist: Float64[Tensor, "E 6"]) -> Float64[Tensor, "K hw"]:
        """Of the inverse depths of the group's frames, for the twists of the ordered edges."""
        own = self.group.padded(twist[self.group.edges]).flatten(1)
        return self.inverse * (self.right - (own[:, None] @ self.cross)[:, 0])


class PoseSystem:
    """Normal equations of the free poses, filled group by group."""

    def __init__(self, first_free: int, last: int, device: torch.device) -> None:
        self.first_free, self.count = first_free, last - first_free
        self.blocks = torch.zeros(self.count, self.count, 6, 6, dtype=torch.float64, device=device)
        self.right = torch.zeros(self.count, 6, dtype=torch.float64, device=device)

    def add_motion(
        self,
        terms: EdgeTerms,
        relative: Float64[Tensor, "N 4 4"],
        source: Int64[Tensor, " N"],
        target: Int64[Tensor, " N"],
    ) -> None:
        """Edges whose depths are known."""
        self._add(terms.pose, terms.pose_right, se3.adjoint(relative), source, target[:, None])

    def add_eliminated(
        self,
        group: Group,
        terms: EdgeTerms,
        curvature: Float64[Tensor, "K hw"],
        pull: Float64[Tensor, "K hw"],
        relative: Float64[Tensor, "N 4 4"],
        target: Int64[Tensor, " N"],
    ) -> Eliminated:
        """Edges of whole frames, with their depths eliminated.

        ``curvature`` and ``pull`` are what else acts on the depths: damping or a sensor.
        """
        cross = group.padded(terms.cross).flatten(1, 2)
        depth = group.padded(terms.depth).sum(1) + curvature
        right = group.padded(terms.depth_right).sum(1) + pull
        # A depth that nothing acts on stays where it is.
        inverse = torch.where(depth > 0, 1 / depth, 0.0)
        scaled = cross * inverse[:, None]
        coupled = -(scaled @ cross.transpose(1, 2))
        width = group.width
        within = coupled.view(-1, width, 6, width, 6).diagonal(dim1=1, dim2=3)
        within += group.padded(terms.pose).permute(0, 2, 3, 1)
        pose_right = group.padded(terms.pose_right).flatten(1)
        pose_right = pose_right - (scaled @ right[..., None])[..., 0]
        adjoints = group.padded(se3.adjoint(relative)).flatten(1, 2)
        # A padded place has no pose; -1 is outside every window.
        targets = group.padded(target + 1) - 1
        self._add(coupled, pose_right, adjoints, group.frames, targets)
        return Eliminated(group, inverse, right, cross)

    def _add(
        self,
        coupled: Float64[Tensor, "K six_D six_D"],
        right: Float64[Tensor, "K six_D"],
        adjoints: Float64[Tensor, "K six_D 6"],
        source: Int64[Tensor, " K"],
        targets: Int64[Tensor, "K D"],
    ) -> None:
        """Expand from edges to poses: +1 on an edge's target, -Ad on its source."""
        mixed = coupled @ adjoints
        back = adjoints.transpose(1, 2)
        width = targets.shape[1]
        pairs = coupled.unflatten(1, (width, 6)).unflatten(3, (width, 6)).transpose(2, 3)
        sided = mixed.unflatten(1, (width, 6))
        rows = targets[:, :, None].expand(-1, -1, width)
        own = source[:, None].expand_as(targets)
        self._put(rows, rows.transpose(1, 2), pairs)
        self._put(targets, own, -sided)
        self._put(own, targets, -sided.transpose(2, 3))
        self._put(source, source, back @ mixed)
        self._put_right(targets, right.unflatten(1, (width, 6)))
        self._put_right(source, -(back @ right[..., None])[..., 0])

    def _put(
        self,
        row: Int64[Tensor, "*n"],
        column: Int64[Tensor, "*n"],
        block: Float64[Tensor, "*n 6 6"],
    ) -> None:
        row, column = row - self.first_free, column - self.first_free
        free = (row >= 0) & (row < self.count) & (column >= 0) & (column < self.count)
        # index_put_ sums in a fixed order, on CUDA as well.
        self.blocks.index_put_((row[free], column[free]), block[free], accumulate=True)

    def _put_right(self, row: Int64[Tensor, "*n"], part: Float64[Tensor, "*n 6"]) -> None:
        row = row - self.first_free
        free = (row >= 0) & (row < self.count)
        self.right.index_put_((row[free],), part[free], accumulate=True)
