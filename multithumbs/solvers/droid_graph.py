"""The graph of a DROID-SLAM pass: edges with flow targets, and the bundle adjustment over them."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.solvers.dense_ba import dense_ba, depth_damping
from multithumbs.solvers.droid_edges import Pairs, proximity_pairs, without
from multithumbs.solvers.droid_frames import EdgeMemory, KeyFrames

INACTIVE_MARGIN = 3
"""Edges that rest still join the adjustment this many key frames before its window."""
GROUP = 8
"""Source frames whose edges the backend updates at once."""


class FlowGraph:
    """Active edges, which the network updates, and resting ones, whose targets are frozen.

    Adjusted poses and depths are written back to ``frames``. ``failed`` counts Gauss-Newton
    steps that had no solution and were left out.
    """

    def __init__(self, frames: KeyFrames, memory: EdgeMemory, max_edges: int) -> None:
        self.frames, self.memory, self.max_edges = frames, memory, max_edges
        self.ii, self.jj, self.age = (np.zeros(0, np.int64) for _ in range(3))
        self.rest_ii, self.rest_jj = np.zeros(0, np.int64), np.zeros(0, np.int64)
        empty = frames.inverse_depth.new_zeros(0, *frames.hw, 2)
        self.target = self.weight = self.rest_target = self.rest_weight = empty
        self.failed = 0

    def __len__(self) -> int:
        return len(self.ii)

    @property
    def pairs(self) -> Pairs:
        """Active edges."""
        return np.stack([self.ii, self.jj], axis=1)

    @property
    def known(self) -> Pairs:
        """Active and resting edges."""
        return np.concatenate([self.pairs, np.stack([self.rest_ii, self.rest_jj], axis=1)])

    def add(self, pairs: Pairs, *, make_room: bool = False) -> None:
        """New edges, less those that exist or rest; with ``make_room`` the oldest active ones
        rest where there would be more than ``max_edges``."""
        pairs = without(pairs, self.known)
        if not len(pairs):
            return
        excess = len(self) + len(pairs) - self.max_edges
        if make_room and self.max_edges > 0 and excess > 0:
            youngest_first = np.argsort(self.age, kind="stable")
            old = np.zeros(len(self), bool)
            old[youngest_first[max(self.max_edges - len(pairs), 0) :]] = True
            self.rest(old)
        ii, jj = pairs.T.copy()
        self.memory.extend(self.frames, ii, jj)
        self.ii, self.jj = np.append(self.ii, ii), np.append(self.jj, jj)
        self.age = np.append(self.age, np.zeros_like(ii))
        target = self.frames.reproject(ii, jj)
        self.target = torch.cat([self.target, target])
        self.weight = torch.cat([self.weight, torch.zeros_like(target)])

    def add_near(
        self,
        first_row: int,
        first_column: int,
        *,
        radius: int,
        suppression: int,
        threshold: float,
        beta: float,
        make_room: bool = False,
    ) -> None:
        """Edges by proximity of the key frames from ``first_row`` to those from
        ``first_column`` on (`droid_edges.proximity_pairs`)."""
        count = len(self.frames)
        i, j = np.meshgrid(
            np.arange(first_row, count), np.arange(first_column, count), indexing="ij"
        )
        distance = np.full(i.shape, np.inf)
        asked = i - radius >= j
        distance[asked] = self.frames.distance(i[asked], j[asked], beta)
        pairs = proximity_pairs(
            distance, first_row, first_column, self.known,
            radius=radius, suppression=suppression, threshold=threshold, max_edges=self.max_edges,
        )  # fmt: skip
        self.add(pairs, make_room=make_room)

    def rest(self, edges: Bool[np.ndarray, " E"]) -> None:
        """Freeze the targets of some active edges."""
        rows = self.frames.index(np.flatnonzero(edges))
        self.rest_ii = np.append(self.rest_ii, self.ii[edges])
        self.rest_jj = np.append(self.rest_jj, self.jj[edges])
        self.rest_target = torch.cat([self.rest_target, self.target[rows]])
        self.rest_weight = torch.cat([self.rest_weight, self.weight[rows]])
        self._keep(~edges)

    def _keep(self, edges: Bool[np.ndarray, " E"]) -> None:
        rows = self.frames.index(np.flatnonzero(edges))
        self.memory.keep(edges)
        self.ii, self.jj, self.age = self.ii[edges], self.jj[edges], self.age[edges]
        self.target, self.weight = self.target[rows], self.weight[rows]

    def remove_frame(self, slot: int) -> None:
        """Forget a key frame and its edges; the slots after it move up by one."""
        self._keep((self.ii != slot) & (self.jj != slot))
        resting = (self.rest_ii != slot) & (self.rest_jj != slot)
        rows = self.frames.index(np.flatnonzero(resting))
        self.rest_ii, self.rest_jj = self.rest_ii[resting], self.rest_jj[resting]
        self.rest_target, self.rest_weight = self.rest_target[rows], self.rest_weight[rows]
        for slots in (self.ii, self.jj, self.rest_ii, self.rest_jj):
            slots[slots > slot] -= 1
        self.frames.remove(slot)

    def flow(self, rows: Int64[np.ndarray, " N"]) -> None:
        """One step of the network over some active edges: new targets, weights, damping.

        People have no weight: the background mask of the source is applied here.
        """
        ii, jj, at = self.ii[rows], self.jj[rows], self.frames.index(rows)
        coords = self.frames.reproject(ii, jj)
        found = self.memory.step(self.frames, rows, ii, jj, coords, self.target[at])
        seen = self.frames.background[self.frames.index(ii)][..., None]
        self.target[at] = coords + found.delta.to(coords.dtype)
        self.weight[at] = found.weight.to(coords.dtype) * seen
        self.frames.damping[found.frames] = found.damping.to(coords.dtype)

    def update(
        self,
        first_free: int | None = None,
        last: int | None = None,
        *,
        motion_only: bool = False,
        with_resting: bool = False,
    ) -> None:
        """One step of the network over all active edges, then two of Gauss-Newton."""
        if not len(self):
            return
        if first_free is None:
            first_free = max(1, int(self.ii.min()) + 1)
        self.flow(np.arange(len(self)))
        ii, jj, target, weight = self.ii, self.jj, self.target, self.weight
        if with_resting:
            near = first_free - INACTIVE_MARGIN
            rows = np.flatnonzero((self.rest_ii >= near) & (self.rest_jj >= near))
            at = self.frames.index(rows)
            ii, jj = np.append(self.rest_ii[rows], ii), np.append(self.rest_jj[rows], jj)
            target = torch.cat([self.rest_target[at], target])
            weight = torch.cat([self.rest_weight[at], weight])
        if last is None:
            last = int(max(ii.max(), jj.max())) + 1
        self._adjust(ii, jj, target, weight, first_free, last, motion_only, lm=1e-4, ep=0.1)
        self.age += 1

    def update_in_groups(self, steps: int) -> None:
        """The backend's form: the network over 8 source frames at a time, then all poses and
        depths together, ``steps`` times."""
        groups = [np.flatnonzero(self.ii // GROUP == g) for g in np.unique(self.ii // GROUP)]
        for _ in range(steps if len(self) else 0):
            for rows in groups:
                self.flow(rows)
            self._adjust(self.ii, self.jj, self.target, self.weight, 1, len(self.frames),
                         False, lm=1e-5, ep=1e-2)  # fmt: skip

    def _adjust(
        self,
        ii: Int64[np.ndarray, " E"],
        jj: Int64[np.ndarray, " E"],
        target: Float[Tensor, "E h w 2"],
        weight: Float[Tensor, "E h w 2"],
        first_free: int,
        last: int,
        motion_only: bool,
        *,
        lm: float,
        ep: float,
    ) -> None:
        frames = self.frames
        out = dense_ba(
            frames.cam_from_shot, frames.inverse_depth, frames.intrinsics, target, weight,
            depth_damping(frames.damping), frames.index(ii), frames.index(jj),
            first_free=first_free, last=last, motion_only=motion_only, lm=lm, ep=ep,
        )  # fmt: skip
        self.failed += int(out.failed)
        frames.cam_from_shot, frames.inverse_depth = out.cam_from_world, out.inverse_depth
