"""DROID-SLAM's key frames, and what it asks of the networks (facts/droid.md sections 6 to 13).

Poses are ``cam_from_shot``; coordinates are those of the 1/8 grid (`geometry.inverse_depth`).
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from multithumbs.geometry.inverse_depth import frame_distance, reproject

Features = tuple[Tensor, ...]
"""What the networks know of one image; only the operator looks inside."""

DISTANCE_CELLS = 2**21
"""Grid cells whose motion is computed at once."""
DAMPING_AT_START = 1e-6
"""Depth damping of a key frame that no edge has described yet."""


class Flow(NamedTuple):
    """One step of the update operator over edges."""

    delta: Float[Tensor, "E h w 2"]
    """Correction of the reprojected coordinates, grid cells."""
    weight: Float[Tensor, "E h w 2"]
    frames: Int[Tensor, " U"]
    """Sorted sources of the edges."""
    damping: Float[Tensor, "U h w"]
    """Of their depths."""


@runtime_checkable
class EdgeMemory(Protocol):
    """Recurrent state and correlations of the edges of one graph, in the graph's order."""

    def extend(
        self, frames: "KeyFrames", ii: Int64[np.ndarray, " N"], jj: Int64[np.ndarray, " N"]
    ) -> None:
        """New edges at the end."""
        ...

    def keep(self, edges: Bool[np.ndarray, " E"]) -> None:
        """Forget the others."""
        ...

    def step(
        self,
        frames: "KeyFrames",
        rows: Int64[np.ndarray, " N"],
        ii: Int64[np.ndarray, " N"],
        jj: Int64[np.ndarray, " N"],
        coords: Float[Tensor, "N h w 2"],
        target: Float[Tensor, "N h w 2"],
    ) -> Flow:
        """One recurrent step of the edges ``rows``.

        ``coords`` is where the geometry puts the source's grid in the target's, ``target`` where
        the last step wanted it.
        """
        ...


@runtime_checkable
class UpdateOperator(Protocol):
    """The learned parts of DROID-SLAM; a test puts the truth in their place."""

    def features(self, image: Tensor) -> Features:
        """For matching; of every frame."""
        ...

    def context(self, image: Tensor) -> Features:
        """Hidden state and context; of key frames only."""
        ...

    def motion(self, last: Features, context: Features, new: Features) -> float:
        """Mean flow (grid cells) from a key frame to a new frame, by one step from nothing."""
        ...

    def memory(self, *, low_memory: bool) -> EdgeMemory:
        """Of a new graph without edges; ``low_memory`` computes correlations when asked."""
        ...


class KeyFrames:
    """Slots of key frames, in the order of their times."""

    def __init__(
        self,
        hw: tuple[int, int],
        intrinsics: Float64[Tensor, "4"],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        device = intrinsics.device
        self.hw = hw
        self.intrinsics = intrinsics
        self.time = np.zeros(0, np.int64)
        self.cam_from_shot = torch.zeros(0, 4, 4, dtype=torch.float64, device=device)
        self.inverse_depth = torch.zeros(0, *hw, dtype=dtype, device=device)
        self.damping = torch.zeros(0, *hw, dtype=dtype, device=device)
        self.background = torch.zeros(0, *hw, dtype=torch.bool, device=device)
        self.features: list[Features] = []
        self.context: list[Features] = []
        self.next_pose = torch.eye(4, dtype=torch.float64, device=device)
        self.next_depth = 1.0

    def __len__(self) -> int:
        return len(self.time)

    def append(
        self,
        time: int,
        features: Features,
        context: Features,
        background: Bool[Tensor, "h w"],
        pose: Float64[Tensor, "4 4"] | None = None,
        inverse_depth: float | None = None,
    ) -> None:
        """A new key frame, by default where the last one says that it will be."""
        pose = self.next_pose if pose is None else pose
        depth = self.next_depth if inverse_depth is None else inverse_depth
        flat = self.inverse_depth.new_full((1, *self.hw), depth)
        self.time = np.append(self.time, np.int64(time))
        self.cam_from_shot = torch.cat([self.cam_from_shot, pose[None]])
        self.inverse_depth = torch.cat([self.inverse_depth, flat])
        self.damping = torch.cat([self.damping, torch.full_like(flat, DAMPING_AT_START)])
        self.background = torch.cat([self.background, background[None]])
        self.features.append(features)
        self.context.append(context)

    def remove(self, slot: int) -> None:
        """Forget one key frame; later ones move up."""
        keep = np.arange(len(self)) != slot
        index = torch.from_numpy(np.flatnonzero(keep)).to(self.inverse_depth.device)
        self.time = self.time[keep]
        self.cam_from_shot = self.cam_from_shot[index]
        self.inverse_depth = self.inverse_depth[index]
        self.damping = self.damping[index]
        self.background = self.background[index]
        del self.features[slot], self.context[slot]

    def truncate(self, count: int) -> None:
        """Forget the key frames from ``count`` on."""
        for slot in range(len(self) - 1, count - 1, -1):
            self.remove(slot)

    def index(self, slots: Int64[np.ndarray, " N"]) -> Int64[Tensor, " N"]:
        """Slots as a tensor beside the poses."""
        return torch.from_numpy(np.ascontiguousarray(slots)).to(self.inverse_depth.device)

    def reproject(
        self, ii: Int64[np.ndarray, " E"], jj: Int64[np.ndarray, " E"]
    ) -> Float[Tensor, "E h w 2"]:
        """Where the grids of ``ii`` fall in ``jj``."""
        coords, _ = reproject(
            self.cam_from_shot, self.inverse_depth, self.intrinsics, self.index(ii), self.index(jj)
        )
        return coords.to(self.inverse_depth.dtype)

    def distance(
        self, ii: Int64[np.ndarray, " E"], jj: Int64[np.ndarray, " E"], beta: float
    ) -> Float64[np.ndarray, " E"]:
        """Mean flow between key frames, both ways (grid cells), in pieces of bounded memory."""
        size = max(1, DISTANCE_CELLS // (self.hw[0] * self.hw[1]))
        out = np.zeros(len(ii))
        for at in range(0, len(ii), size):
            part = slice(at, at + size)
            found = frame_distance(
                self.cam_from_shot,
                self.inverse_depth,
                self.intrinsics,
                self.index(ii[part]),
                self.index(jj[part]),
                beta=beta,
            )
            out[part] = found.double().cpu().numpy()
        return out
