"""DROID's networks as the update operator that the SLAM system asks for."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from multithumbs.backends.batching import is_out_of_memory
from multithumbs.geometry.inverse_depth import grid_coordinates
from multithumbs.models.droid import CorrelationVolume, Droid, OnDemandCorrelation, motion_input
from multithumbs.models.droid.interface import Update
from multithumbs.solvers.droid_frames import Features, Flow, KeyFrames


class NetworkOperator:
    """Runs the networks where they lie, in the precision of their weights; what the geometry
    goes on with is float32 at least."""

    def __init__(self, network: Droid) -> None:
        self.network = network
        self.device = network.fnet.conv1.weight.device

    def features(self, image: UInt8[Tensor, "H W 3"]) -> Features:
        """Matching features (C h w)."""
        with torch.no_grad():
            return (self.network.features(image[None])[0],)

    def context(self, image: UInt8[Tensor, "H W 3"]) -> Features:
        """First hidden state (C h w) and the context's part of the gates (3 C h w)."""
        with torch.no_grad():
            hidden, context = self.network.context(image[None])
            context = self.network.update.prepared(context)
        return hidden[0], context[0]

    def motion(self, last: Features, context: Features, new: Features) -> float:
        """See `droid_frames.UpdateOperator`."""
        pair = torch.stack([last[0], new[0]])
        edge = torch.tensor([[0], [1]], device=self.device)
        grid = _grid(pair)[None]
        with torch.no_grad():
            corr = OnDemandCorrelation.between(pair, edge[0], edge[1])(grid)
            hidden, inp = (part[None] for part in context)
            found: Update = self.network.update(hidden, inp, corr, None, None, None)
        return float(found.delta.float().norm(dim=-1).mean())

    def memory(self, *, low_memory: bool) -> "NetworkMemory":
        """Whole correlation volumes are 25 MB an edge on a grid of 48 x 64 cells."""
        return NetworkMemory(self, keep_volume=not low_memory)


class NetworkMemory:
    """Hidden states of a graph's edges, and their correlation volumes if there is room."""

    def __init__(self, operator: NetworkOperator, *, keep_volume: bool) -> None:
        self.operator, self.keep_volume = operator, keep_volume
        self.hidden: Float[Tensor, "E C h w"] | None = None
        self.volume: CorrelationVolume | None = None

    def extend(
        self, frames: KeyFrames, ii: Int64[np.ndarray, " N"], jj: Int64[np.ndarray, " N"]
    ) -> None:
        """New edges start from their source's first hidden state."""
        with torch.no_grad():
            hidden = torch.stack([frames.context[i][0] for i in ii])
            old = self.hidden
            self.hidden = hidden if old is None else torch.cat([old, hidden])
        if self.keep_volume:
            self._extend_volume(frames, ii, jj)

    def _extend_volume(
        self, frames: KeyFrames, ii: Int64[np.ndarray, " N"], jj: Int64[np.ndarray, " N"]
    ) -> None:
        features, local_ii, local_jj = _of_edges(frames, ii, jj)
        try:
            with torch.no_grad():
                if self.volume is None:
                    self.volume = CorrelationVolume.between(
                        features, local_ii, local_jj, stored=torch.float16
                    )
                else:
                    self.volume = self.volume.extended(features, local_ii, local_jj)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self.keep_volume = False
        if not self.keep_volume:
            # Correlations are computed when asked from now on; the result is the same.
            self.volume = None
            torch.cuda.empty_cache()

    def keep(self, edges: Bool[np.ndarray, " E"]) -> None:
        """See `droid_frames.EdgeMemory`."""
        if self.hidden is None:
            return
        rows = torch.from_numpy(np.flatnonzero(edges)).to(self.hidden.device)
        with torch.no_grad():
            self.hidden = self.hidden[rows]
            if self.volume is not None:
                self.volume = self.volume.keep(rows)

    def step(
        self,
        frames: KeyFrames,
        rows: Int64[np.ndarray, " N"],
        ii: Int64[np.ndarray, " N"],
        jj: Int64[np.ndarray, " N"],
        coords: Float[Tensor, "N h w 2"],
        target: Float[Tensor, "N h w 2"],
    ) -> Flow:
        """See `droid_frames.EdgeMemory`."""
        assert self.hidden is not None, "a graph without edges takes no step"
        at = frames.index(rows)
        coords, target = coords.float(), target.float()
        with torch.no_grad():
            grid = grid_coordinates(*frames.hw, coords)
            motion = motion_input(grid, coords, target)
            if self.volume is None:
                features, local_ii, local_jj = _of_edges(frames, ii, jj)
                corr = OnDemandCorrelation.between(features, local_ii, local_jj)(coords)
            else:
                whole = len(rows) == len(self.hidden)
                corr = (self.volume if whole else self.volume.keep(at))(coords)
            inp = torch.stack([frames.context[i][1] for i in ii])
            found: Update = self.operator.network.update(
                self.hidden[at], inp, corr, motion, frames.index(ii), frames.index(jj)
            )
            self.hidden[at] = found.net.to(self.hidden.dtype)
        assert found.frames is not None and found.damping is not None
        return Flow(found.delta, found.weight, found.frames, found.damping)


def _of_edges(
    frames: KeyFrames, ii: Int64[np.ndarray, " N"], jj: Int64[np.ndarray, " N"]
) -> tuple[Float[Tensor, "U C h w"], Int64[Tensor, " N"], Int64[Tensor, " N"]]:
    """Features of the frames that occur, and the edges between them."""
    slots, local = np.unique(np.concatenate([ii, jj]), return_inverse=True)
    features = torch.stack([frames.features[s][0] for s in slots])
    first, second = np.split(local.astype(np.int64), 2)
    return features, frames.index(first), frames.index(second)


def _grid(like: Float[Tensor, "N C h w"]) -> Float[Tensor, "h w 2"]:
    """The cells in float32: half precision has too few digits for 64 columns."""
    height, width = like.shape[-2:]
    return grid_coordinates(height, width, like[:0].float())
