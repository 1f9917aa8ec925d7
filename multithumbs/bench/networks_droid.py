"""DROID-SLAM's cost without its weights: the networks run, and their flow is then replaced.

With random weights every video would look still or torn, and neither has the key frames, graph
and bundle adjustments that cost the time. So each pass is computed in full and its answer
exchanged for the truth about a camera that travels sideways before a wall that leans back.
"""

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from multithumbs.backends.odometry.droid_network import NetworkOperator
from multithumbs.solvers.droid_frames import EdgeMemory, Features, Flow, KeyFrames, UpdateOperator

CELLS_PER_FRAME = 0.6
"""Mean flow: 5 pixels a frame, a key frame out of about seven."""
CONFIDENCE = 0.5
DAMPING = 1e-4
BYTE = 256


class Travelling:
    """The truth; pictures carry their time in their first pixel."""

    def __init__(self, hw: tuple[int, int], intrinsics: Float64[Tensor, "4"]) -> None:
        device = intrinsics.device
        y, x = torch.meshgrid(
            torch.arange(hw[0], device=device), torch.arange(hw[1], device=device), indexing="ij"
        )
        self.grid = torch.stack([x, y], -1).double()
        # Inverse depth is linear along a column, and sideways motion leaves it as it is.
        lean = 1 + 0.5 * (y / hw[0] - 0.5)
        self.flow = (CELLS_PER_FRAME * lean / lean.mean()).double()

    def stamped(self, image: UInt8[Tensor, "H W 3"], time: int) -> UInt8[Tensor, "H W 3"]:
        """The picture with its time in it."""
        image = image.clone()
        image[0, 0, 0], image[0, 0, 1] = time % BYTE, time // BYTE
        return image

    def time(self, image: UInt8[Tensor, "H W 3"]) -> Tensor:
        """What `stamped` wrote."""
        return image[0, 0, 0].long() + BYTE * image[0, 0, 1].long()

    def target(self, i: Tensor, j: Tensor) -> Float64[Tensor, "E h w 2"]:
        """Where the grid of frames at times ``i`` falls at times ``j``."""
        shift = -self.flow * (j - i).double()[:, None, None]
        return self.grid + torch.stack([shift, torch.zeros_like(shift)], -1)


class TrueFlowOperator:
    """A `NetworkOperator` whose answers are exchanged; features carry their time as well."""

    def __init__(self, networks: NetworkOperator, scene: Travelling) -> None:
        self.networks, self.scene = networks, scene

    def features(self, image: Tensor) -> Features:
        return (*self.networks.features(image), self.scene.time(image))

    def context(self, image: Tensor) -> Features:
        return self.networks.context(image)

    def motion(self, last: Features, context: Features, new: Features) -> float:
        self.networks.motion(last[:1], context, new[:1])
        return float((self.scene.flow * (new[1] - last[1])).abs().mean())

    def memory(self, *, low_memory: bool) -> "TrueFlowMemory":
        return TrueFlowMemory(self.networks.memory(low_memory=low_memory), self.scene)


class TrueFlowMemory:
    """The networks' memory of a graph; its flow is the truth."""

    def __init__(self, memory: EdgeMemory, scene: Travelling) -> None:
        self.memory, self.scene = memory, scene

    def extend(
        self, frames: KeyFrames, ii: Int64[np.ndarray, " N"], jj: Int64[np.ndarray, " N"]
    ) -> None:
        self.memory.extend(frames, ii, jj)

    def keep(self, edges: np.ndarray) -> None:
        self.memory.keep(edges)

    def step(
        self,
        frames: KeyFrames,
        rows: Int64[np.ndarray, " N"],
        ii: Int64[np.ndarray, " N"],
        jj: Int64[np.ndarray, " N"],
        coords: Tensor,
        target: Tensor,
    ) -> Flow:
        found = self.memory.step(frames, rows, ii, jj, coords, target)
        times = (frames.index(frames.time[slots]) for slots in (ii, jj))
        true = self.scene.target(*times).to(coords.dtype)
        return Flow(
            delta=true - coords,
            weight=torch.full_like(found.weight, CONFIDENCE),
            frames=found.frames,
            damping=torch.full_like(found.damping, DAMPING),
        )


def with_true_flow(networks: NetworkOperator, scene: Travelling) -> UpdateOperator:
    """The networks' cost, the scene's flow."""
    return TrueFlowOperator(networks, scene)
