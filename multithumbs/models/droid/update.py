"""DROID's recurrent update operator (facts droid.md, section 3)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from multithumbs.geometry.grouping import sum_by_group
from multithumbs.models.droid.interface import Update

MOTION_CHANNELS = 4
MOTION_LIMIT = 64.0
DAMPING_SCALE = 0.01
UPMASK_CHANNELS = 9 * 8 * 8
"""3 x 3 neighbours of each of the 8 x 8 pixels of a cell."""


class ConvGru(nn.Module):
    """Convolutional GRU whose gates also see a gated mean of the hidden state.

    The gates are convolutions of (hidden state, context, rest). The context of a frame never
    changes, so its part, a sixth of the operator's work, can be computed once (`of_context`).
    """

    def __init__(self, hidden: int, rest: int) -> None:
        super().__init__()
        self.hidden = hidden
        inputs = 2 * hidden + rest
        self.convz = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.convr = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.convq = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.w = nn.Conv2d(hidden, hidden, 1)
        self.convz_glo = nn.Conv2d(hidden, hidden, 1)
        self.convr_glo = nn.Conv2d(hidden, hidden, 1)
        self.convq_glo = nn.Conv2d(hidden, hidden, 1)

    def of_context(self, inp: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C_times_3 h w"]:
        """The context's part of the three gates."""
        own = slice(self.hidden, 2 * self.hidden)
        weight = torch.cat([conv.weight[:, own] for conv in (self.convz, self.convr, self.convq)])
        return functional.conv2d(inp, weight, padding=1)

    def forward(
        self,
        net: Float[Tensor, "E C h w"],
        context: Float[Tensor, "E C_times_3 h w"],
        rest: Float[Tensor, "E R h w"],
    ) -> Float[Tensor, "E C h w"]:
        whole = (self.w(net).sigmoid() * net).mean((2, 3), keepdim=True)
        context_z, context_r, context_q = context.chunk(3, dim=1)
        both = torch.cat([net, rest], dim=1)
        z = (self._without_context(self.convz, both) + context_z + self.convz_glo(whole)).sigmoid()
        r = (self._without_context(self.convr, both) + context_r + self.convr_glo(whole)).sigmoid()
        reset = torch.cat([r * net, rest], dim=1)
        q = (self._without_context(self.convq, reset) + context_q + self.convq_glo(whole)).tanh()
        return (1 - z) * net + z * q

    def _without_context(
        self, conv: nn.Conv2d, x: Float[Tensor, "E I h w"]
    ) -> Float[Tensor, "E C h w"]:
        weight = torch.cat(
            [conv.weight[:, : self.hidden], conv.weight[:, 2 * self.hidden :]], dim=1
        )
        return functional.conv2d(x, weight, conv.bias, padding=1)


class GraphAggregation(nn.Module):
    """Pools the hidden states of the edges of each source frame."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        # Sequentials of one, because the checkpoint names them eta.0 and upmask.0.
        self.eta = nn.Sequential(nn.Conv2d(hidden, 1, 3, padding=1))
        self.upmask = nn.Sequential(nn.Conv2d(hidden, UPMASK_CHANNELS, 1))

    def forward(
        self, net: Float[Tensor, "E C h w"], ii: Int[Tensor, " E"]
    ) -> tuple[Int[Tensor, " U"], Float[Tensor, "U h w"], Float[Tensor, "U M h w"]]:
        """Sorted unique sources, their depth damping (float32 at least) and upsampling masks."""
        frames, group, count = torch.unique(ii, return_inverse=True, return_counts=True)
        edges = self.conv1(net).relu_()
        pooled = sum_by_group(edges, group, len(frames))
        pooled = pooled / count.to(pooled.dtype)[:, None, None, None]
        pooled = self.conv2(pooled).relu_()
        damping = DAMPING_SCALE * functional.softplus(_wide(self.eta(pooled)))
        return frames, damping[:, 0], self.upmask(pooled)


class UpdateModule(nn.Module):
    """Correlations and motion of a batch of edges to flow corrections and their confidences."""

    def __init__(self, hidden: int, correlations: int) -> None:
        super().__init__()
        self.corr_encoder = nn.Sequential(
            nn.Conv2d(correlations, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
        )  # fmt: skip
        self.flow_encoder = nn.Sequential(
            nn.Conv2d(MOTION_CHANNELS, hidden, 7, padding=3), nn.ReLU(),
            nn.Conv2d(hidden, hidden // 2, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.weight = _head(hidden)
        self.delta = _head(hidden)
        self.gru = ConvGru(hidden, hidden + hidden // 2)
        self.agg = GraphAggregation(hidden)

    def prepared(self, inp: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C_times_3 h w"]:
        """What `forward` takes in place of ``inp``; worth it where a context serves many steps."""
        return self.gru.of_context(inp.to(self.gru.w.weight.dtype))

    def forward(
        self,
        net: Float[Tensor, "E C h w"],
        inp: Float[Tensor, "E _ h w"],
        corr: Float[Tensor, "E K h w"],
        motion: Float[Tensor, "E 4 h w"] | None = None,
        ii: Int[Tensor, " E"] | None = None,
        jj: Int[Tensor, " E"] | None = None,
    ) -> Update:
        """See `interface.UpdateOperator`; ``inp`` as it is or `prepared`.

        Inputs may be wider than the module, which computes in its own dtype; what the geometry
        goes on with (delta, weight, damping) comes out in float32 at least.
        """
        dtype = self.gru.w.weight.dtype
        net, inp, corr = net.to(dtype), inp.to(dtype), corr.to(dtype)
        if motion is None:
            motion = net.new_zeros(len(net), MOTION_CHANNELS, *net.shape[2:])
        context = inp if inp.shape[1] != net.shape[1] else self.gru.of_context(inp)
        rest = torch.cat([self.corr_encoder(corr), self.flow_encoder(motion.to(dtype))], dim=1)
        net = self.gru(net, context, rest)
        delta = _wide(self.delta(net)).permute(0, 2, 3, 1)
        weight = _wide(self.weight(net)).sigmoid().permute(0, 2, 3, 1)
        if ii is None:
            return Update(net, delta, weight)
        return Update(net, delta, weight, *self.agg(net, ii))


def _wide(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return x.float() if x.element_size() < 4 else x


def _head(hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, 2, 3, padding=1)
    )


def motion_input(
    coords0: Float[Tensor, "h w 2"],
    coords1: Float[Tensor, "E h w 2"],
    target: Float[Tensor, "E h w 2"],
) -> Float[Tensor, "E 4 h w"]:
    """Flow of the geometry and what the last target still asks for, at most 64 cells each."""
    motion = torch.cat([coords1 - coords0, target - coords1], dim=-1)
    return motion.clamp(-MOTION_LIMIT, MOTION_LIMIT).permute(0, 3, 1, 2)


def upsample_convex(
    inverse_depth: Float[Tensor, "U h w"], upmask: Float[Tensor, "U 576 h w"]
) -> Float[Tensor, "U H W"]:
    """Each of the 8 x 8 pixels of a cell is a convex combination of its 3 x 3 neighbours.

    Cells outside the image count as zero, as in training.
    """
    count, height, width = inverse_depth.shape
    share = upmask.view(count, 9, 8, 8, height, width).softmax(dim=1)
    around = functional.unfold(inverse_depth[:, None], 3, padding=1)
    around = around.view(count, 9, 1, 1, height, width)
    fine = (share * around).sum(1)  # (U, 8, 8, h, w)
    return fine.permute(0, 3, 1, 4, 2).reshape(count, 8 * height, 8 * width)
