"""A camera in a box room and an update operator that returns the true flow: no weights needed."""

import numpy as np
import torch
from torch import Tensor

from multithumbs.solvers.droid_frames import Flow, KeyFrames

HALF = torch.tensor([4.0, 2.0, 5.0], dtype=torch.float64)
"""The room is a box about the origin, metres."""


def flow_room(cam_from_world: Tensor, hw: tuple[int, int], intrinsics: Tensor) -> Tensor:
    """Inverse depths (T h w) of the room's walls on the grid."""
    height, width = hw
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    fx, fy, cx, cy = intrinsics
    ray = torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones(hw)], -1).double()
    world = torch.linalg.inv(cam_from_world)
    turned = torch.einsum("tij,hwj->thwi", world[:, :3, :3], ray)
    centre = world[:, None, None, :3, 3]
    depth = torch.where(turned > 0, HALF - centre, -HALF - centre) / turned
    return 1 / depth.nan_to_num(nan=1e9).amin(-1)


class TrueFlow:
    """An `UpdateOperator`; an image is a tensor that holds its frame's time."""

    def __init__(
        self,
        cam_from_world: np.ndarray,
        hw: tuple[int, int],
        intrinsics: Tensor,
        noise: float = 0.0,
    ) -> None:
        self.cam_from_world = torch.from_numpy(cam_from_world)
        self.hw, self.intrinsics, self.noise = hw, intrinsics, noise
        self.inverse_depth = flow_room(self.cam_from_world, hw, intrinsics)
        self.rng = torch.Generator().manual_seed(0)
        y, x = torch.meshgrid(torch.arange(hw[0]), torch.arange(hw[1]), indexing="ij")
        self.grid = torch.stack([x, y], -1).double()

    def target(self, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        """True coordinates of frame ``i``'s grid in frame ``j``, and whether they are ahead."""
        fx, fy, cx, cy = self.intrinsics
        ray = (self.grid - torch.stack([cx, cy])) / torch.stack([fx, fy])
        ray = torch.cat([ray, torch.ones(*self.hw, 1)], -1)
        points = ray / self.inverse_depth[i][..., None]
        move = self.cam_from_world[j] @ torch.linalg.inv(self.cam_from_world[i])
        moved = torch.einsum("eij,ehwj->ehwi", move[:, :3, :3], points) + move[:, None, None, :3, 3]
        ahead = moved[..., 2] > 0.3
        z = torch.where(ahead, moved[..., 2], 1.0)
        uv = moved[..., :2] / z[..., None] * torch.stack([fx, fy]) + torch.stack([cx, cy])
        return uv, ahead

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)

    def context(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)

    def motion(self, last: tuple, context: tuple, new: tuple) -> float:
        assert torch.equal(last[0], context[0])
        target, ahead = self.target(last[0].view(1), new[0].view(1))
        return float((target - self.grid).norm(dim=-1)[ahead].mean())

    def memory(self, *, low_memory: bool) -> "TrueMemory":
        return TrueMemory(self)


class TrueMemory:
    """Counts its edges, so that a graph that loses track of its own is found out."""

    def __init__(self, operator: TrueFlow) -> None:
        self.operator, self.edges = operator, np.zeros((0, 2), np.int64)

    def extend(self, frames: KeyFrames, ii: np.ndarray, jj: np.ndarray) -> None:
        times = np.stack([frames.time[ii], frames.time[jj]], axis=1)
        self.edges = np.concatenate([self.edges, times])

    def keep(self, edges: np.ndarray) -> None:
        self.edges = self.edges[edges]

    def step(
        self,
        frames: KeyFrames,
        rows: np.ndarray,
        ii: np.ndarray,
        jj: np.ndarray,
        coords: Tensor,
        target: Tensor,
    ) -> Flow:
        i, j = (torch.from_numpy(frames.time[slots]) for slots in (ii, jj))
        assert np.array_equal(self.edges[rows], np.stack([i, j], axis=1))
        for slot, context in zip(ii, (frames.context[s] for s in ii), strict=True):
            assert int(context[0]) == frames.time[slot]
        true, ahead = self.operator.target(i, j)
        noise = torch.randn(true.shape, generator=self.operator.rng) * self.operator.noise
        weight = (0.5 * ahead.double())[..., None].expand_as(true)
        sources = np.unique(ii)
        return Flow(
            delta=true + noise - coords,
            weight=weight,
            frames=frames.index(sources),
            damping=torch.full((len(sources), *self.operator.hw), 1e-4, dtype=torch.float64),
        )
