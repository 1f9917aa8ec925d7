"""Correlations between the frames of an edge: the all-pairs volume and its low-memory form.

Facts droid.md, section 5. Both forms answer the same lookup: at each cell, 7 x 7 correlations
around a coordinate in the target frame, on four levels of 2 x 2 mean pooling (odd borders are
dropped), bilinear, zero outside. Channels are level-major, then the x offset, then the y offset.
Pooling is linear: the target's features are pooled, which is the same as pooling the volume.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

LEVELS = 4
RADIUS = 3
WINDOW = 2 * RADIUS + 1
FEATURE_DIVISOR = 4.0
"""Of either frame's features: correlations are inner products over 16."""
MIN_SIDE = 2 ** (LEVELS - 1)
"""Cells; a smaller grid has no coarsest level."""
EDGES_AT_ONCE = 4
"""Bounds what lives at one time: on a 48 x 64 grid 200 MB in float32."""

Kernels = Literal["torch", "warp"]
"""Who looks up; ``torch`` is the reference, ``warp`` is `correlation_warp`."""


@dataclass(frozen=True)
class CorrelationVolume:
    """All pairs of cells of each edge, kept: fast to look up, 25 MB an edge at 48 x 64 in half."""

    levels: tuple[Float[Tensor, "E h w _ _"], ...]
    kernels: Kernels

    @classmethod
    def between(
        cls,
        features: Float[Tensor, "F C h w"],
        ii: Int[Tensor, " E"],
        jj: Int[Tensor, " E"],
        kernels: Kernels | None = None,
        stored: torch.dtype | None = None,
    ) -> "CorrelationVolume":
        """Of the frames ``ii`` (source) and ``jj``; kept as ``stored`` (default as the features).

        Raises ValueError for a grid of fewer than 8 cells along a side.
        """
        pooled = _pyramid(features)
        height, width = features.shape[2:]
        kept = features.new_empty(0, dtype=stored)
        levels = tuple(kept.new_empty(len(ii), height, width, *level.shape[2:]) for level in pooled)
        for start in range(0, len(ii), EDGES_AT_ONCE):
            part = slice(start, start + EDGES_AT_ONCE)
            for volume, level in zip(levels, pooled, strict=True):
                volume[part] = _all_pairs(features[ii[part]], level[jj[part]])
        return cls(levels, kernels or "warp")

    def __call__(self, coords: Float[Tensor, "E h w 2"]) -> Float[Tensor, "E 196 h w"]:
        """See `interface.Correlation`; computed in the dtype of ``coords``."""
        if self.kernels == "warp":
            from multithumbs.models.droid.correlation_warp import look_up

            return look_up(self.levels, coords)
        found = [
            sample(volume, coords / 2**level).flatten(3) for level, volume in enumerate(self.levels)
        ]
        return torch.cat(found, dim=3).permute(0, 3, 1, 2).contiguous()

    def keep(self, edges: Bool[Tensor, " E"] | Int[Tensor, " N"]) -> "CorrelationVolume":
        """Of a choice of the edges (mask or indices)."""
        return CorrelationVolume(tuple(level[edges] for level in self.levels), self.kernels)

    def extended(
        self, features: Float[Tensor, "F C h w"], ii: Int[Tensor, " N"], jj: Int[Tensor, " N"]
    ) -> "CorrelationVolume":
        """With the volumes of new edges appended."""
        new = CorrelationVolume.between(features, ii, jj, self.kernels, self.levels[0].dtype)
        pairs = zip(self.levels, new.levels, strict=True)
        return CorrelationVolume(tuple(torch.cat(pair) for pair in pairs), self.kernels)


@dataclass(frozen=True)
class OnDemandCorrelation:
    """Pooled features of the frames, kept; correlations are computed at each lookup."""

    features: tuple[Float[Tensor, "F C _ _"], ...]
    """Of each level."""
    ii: Int[Tensor, " E"]
    jj: Int[Tensor, " E"]
    kernels: Kernels

    @classmethod
    def between(
        cls,
        features: Float[Tensor, "F C h w"],
        ii: Int[Tensor, " E"],
        jj: Int[Tensor, " E"],
        kernels: Kernels | None = None,
    ) -> "OnDemandCorrelation":
        """Of the frames ``ii`` (source) and ``jj``.

        Raises ValueError for a grid of fewer than 8 cells along a side.
        """
        # On a CPU whole products by BLAS are twice as fast as the few that are needed.
        return cls(_pyramid(features), ii, jj, kernels or ("warp" if features.is_cuda else "torch"))

    def __call__(self, coords: Float[Tensor, "E h w 2"]) -> Float[Tensor, "E 196 h w"]:
        """See `interface.Correlation`; computed in the dtype of ``coords``."""
        if self.kernels == "warp":
            from multithumbs.models.droid.correlation_warp import correlate

            return correlate(self.features, self.ii, self.jj, coords)
        height, width = coords.shape[1:3]
        found = coords.new_empty(len(coords), LEVELS * WINDOW**2, height, width)
        for start in range(0, len(coords), EDGES_AT_ONCE):
            part = slice(start, start + EDGES_AT_ONCE)
            source = self.features[0][self.ii[part]]
            pairs = [_all_pairs(source, level[self.jj[part]]) for level in self.features]
            found[part] = CorrelationVolume(tuple(pairs), self.kernels)(coords[part])
        return found

    def keep(self, edges: Bool[Tensor, " E"] | Int[Tensor, " N"]) -> "OnDemandCorrelation":
        """Of a choice of the edges (mask or indices)."""
        return OnDemandCorrelation(self.features, self.ii[edges], self.jj[edges], self.kernels)

    def extended(
        self, features: Float[Tensor, "F C h w"], ii: Int[Tensor, " N"], jj: Int[Tensor, " N"]
    ) -> "OnDemandCorrelation":
        """With new edges appended; all edges then read ``features``."""
        return OnDemandCorrelation.between(
            features, torch.cat([self.ii, ii]), torch.cat([self.jj, jj]), self.kernels
        )


def _pyramid(features: Float[Tensor, "F C h w"]) -> tuple[Float[Tensor, "F C _ _"], ...]:
    height, width = features.shape[2:]
    if min(height, width) < MIN_SIDE:
        raise ValueError(f"a grid of {height} x {width} cells: DROID needs {MIN_SIDE} at least")
    levels = [features]
    for _ in range(1, LEVELS):
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return tuple(levels)


def _all_pairs(
    source: Float[Tensor, "E C h w"], target: Float[Tensor, "E C H W"]
) -> Float[Tensor, "E h w H W"]:
    # Dividing before multiplying keeps half precision in its range.
    flat_source = (source / FEATURE_DIVISOR).flatten(2).transpose(1, 2)
    flat_target = (target / FEATURE_DIVISOR).flatten(2)
    return (flat_source @ flat_target).view(len(source), *source.shape[2:], *target.shape[2:])


def sample(
    volume: Float[Tensor, "E h w H W"], coords: Float[Tensor, "E h w 2"]
) -> Float[Tensor, "E h w 7 7"]:
    """Bilinear 7 x 7 window (x offset first) around each coordinate; zero outside.

    All samples of a window share one fraction, so 8 x 8 entries are read and blended.
    """
    rows, columns = volume.shape[3:]
    base, fraction = window_corner(coords, rows, columns)
    steps = torch.arange(WINDOW + 1, device=coords.device)
    x = base[..., 0, None] + steps
    y = base[..., 1, None] + steps
    inside_x = (x >= 0) & (x < columns)
    inside_y = (y >= 0) & (y < rows)
    index = x.clamp(0, columns - 1)[..., :, None] + (y.clamp(0, rows - 1) * columns)[..., None, :]
    window = volume.flatten(3).gather(3, index.flatten(3)).view(index.shape).to(coords.dtype)
    window = window * (inside_x[..., :, None] & inside_y[..., None, :])
    return blend(window, fraction)


def window_corner(
    coords: Float[Tensor, "*cells 2"], rows: int, columns: int
) -> tuple[Int[Tensor, "*cells 2"], Float[Tensor, "*cells 2"]]:
    """First column and row of the 8 x 8 window, and the fraction inside a cell.

    Coordinates so far outside that the window is empty (or not finite) are moved to the nearest
    such place, which keeps them in the range of integers.
    """
    margin = RADIUS + 2
    limits = coords.new_tensor([columns, rows]) + RADIUS
    near = coords.nan_to_num(-margin, posinf=-margin, neginf=-margin).clamp_min(-margin)
    near = torch.minimum(near, limits)
    floor = near.floor()
    return floor.long() - RADIUS, near - floor


def blend(
    window: Float[Tensor, "*cells 8 8"], fraction: Float[Tensor, "*cells 2"]
) -> Float[Tensor, "*cells 7 7"]:
    """Bilinear mean of neighbouring entries (x first)."""
    fx = fraction[..., 0, None, None]
    fy = fraction[..., 1, None, None]
    along_y = window[..., :-1] + fy * (window[..., 1:] - window[..., :-1])
    return along_y[..., :-1, :] + fx * (along_y[..., 1:, :] - along_y[..., :-1, :])
