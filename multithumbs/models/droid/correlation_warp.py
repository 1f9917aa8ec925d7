"""Correlation lookup by warp kernels, fused over the window; `correlation` is the reference.

Warp compiles these bodies for CPU and CUDA; their annotations are Warp's array types, which
Python's type checkers cannot read, hence `no_type_check`.
"""
# pyright: reportInvalidTypeForm=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

from typing import Any, no_type_check

import warp as wp
from jaxtyping import Float, Int
from torch import Tensor

from multithumbs.geometry.warp_runtime import launch_for_torch
from multithumbs.models.droid.correlation import LEVELS, RADIUS, WINDOW, blend, window_corner

EDGES_AT_ONCE = 64
"""Bounds the windows of the low-memory form: 50 MB in float32 on a 48 x 64 grid."""


@wp.kernel(enable_backward=False)
@no_type_check
def look_up_level(
    volume: wp.array3d(dtype=Any),
    coords: wp.array2d(dtype=Any),
    scale: float,
    cells: int,
    first_channel: int,
    found: wp.array3d(dtype=Any),
):
    """One thread per cell of each edge: rows E h w of ``volume`` and ``coords``."""
    n = wp.tid()
    rows = volume.shape[1]
    columns = volume.shape[2]
    zero = coords.dtype(0.0)
    one = coords.dtype(1.0)
    x = coords[n, 0] * coords.dtype(scale)
    y = coords[n, 1] * coords.dtype(scale)
    # Far outside (or not a number, which fails every comparison) the whole window is zero.
    margin = coords.dtype(RADIUS + 1)
    near = (
        x > -margin
        and y > -margin
        and x < coords.dtype(columns) + margin
        and y < coords.dtype(rows) + margin
    )
    e = n // cells
    cell = n % cells
    if not near:
        for channel in range(WINDOW * WINDOW):
            found[e, first_channel + channel, cell] = zero
        return
    floor_x = wp.floor(x)
    floor_y = wp.floor(y)
    fx = x - floor_x
    fy = y - floor_y
    column = int(floor_x) - RADIUS
    row = int(floor_y) - RADIUS
    above = wp.vector(zero, length=WINDOW)
    line = wp.vector(zero, length=WINDOW)
    for dy in range(WINDOW + 1):
        inside = row + dy >= 0 and row + dy < rows
        left = zero
        if inside and column >= 0 and column < columns:
            left = coords.dtype(volume[n, row + dy, column])
        for dx in range(WINDOW):
            right = zero
            at = column + dx + 1
            if inside and at >= 0 and at < columns:
                right = coords.dtype(volume[n, row + dy, at])
            line[dx] = (one - fx) * left + fx * right
            left = right
        if dy > 0:
            for dx in range(WINDOW):
                value = (one - fy) * above[dx] + fy * line[dx]
                found[e, first_channel + dx * WINDOW + dy - 1, cell] = value
        for dx in range(WINDOW):
            above[dx] = line[dx]


@wp.kernel(enable_backward=False)
@no_type_check
def correlate_window(
    source: wp.array3d(dtype=Any),
    target: wp.array3d(dtype=Any),
    ii: wp.array(dtype=wp.int64),
    jj: wp.array(dtype=wp.int64),
    corner: wp.array3d(dtype=wp.int64),
    rows: int,
    columns: int,
    window: wp.array3d(dtype=Any),
):
    """One thread per entry of the 8 x 8 window of each cell; features are (F, cells, C)."""
    e, cell, k = wp.tid()
    column = int(corner[e, cell, 0]) + k // (WINDOW + 1)
    row = int(corner[e, cell, 1]) + k % (WINDOW + 1)
    total = window.dtype(0.0)
    if row >= 0 and row < rows and column >= 0 and column < columns:
        i = int(ii[e])
        j = int(jj[e])
        at = row * columns + column
        for c in range(source.shape[2]):
            total += window.dtype(source[i, cell, c]) * window.dtype(target[j, at, c])
    # Each feature counts a quarter.
    window[e, cell, k] = total * window.dtype(0.0625)


def look_up(
    levels: tuple[Float[Tensor, "E h w _ _"], ...], coords: Float[Tensor, "E h w 2"]
) -> Float[Tensor, "E 196 h w"]:
    """`CorrelationVolume.__call__` by warp."""
    edges, height, width = coords.shape[:3]
    found = coords.new_empty(edges, LEVELS * WINDOW**2, height * width)
    flat = coords.reshape(-1, 2).contiguous()
    for level, volume in enumerate(levels):
        rows = volume.flatten(0, 2).contiguous()
        inputs = [rows, flat, 0.5**level, height * width, level * WINDOW**2]
        if len(flat):
            launch_for_torch(look_up_level, len(flat), inputs, [found])
    return found.view(edges, LEVELS * WINDOW**2, height, width)


def correlate(
    features: tuple[Float[Tensor, "F C _ _"], ...],
    ii: Int[Tensor, " E"],
    jj: Int[Tensor, " E"],
    coords: Float[Tensor, "E h w 2"],
) -> Float[Tensor, "E 196 h w"]:
    """`OnDemandCorrelation.__call__` by warp: inner products of the entries that are read only."""
    edges, height, width = coords.shape[:3]
    found = coords.new_empty(edges, LEVELS * WINDOW**2, height, width)
    # Channels last, so that a thread reads them in one go.
    source, *_ = flat = [level.flatten(2).transpose(1, 2).contiguous() for level in features]
    for start in range(0, edges, EDGES_AT_ONCE):
        part = slice(start, start + EDGES_AT_ONCE)
        count = len(coords[part])
        for level, target in enumerate(flat):
            rows, columns = features[level].shape[2:]
            corner, fraction = window_corner(coords[part] / 2**level, rows, columns)
            window = coords.new_empty(count, height * width, (WINDOW + 1) ** 2)
            inputs = [source, target, ii[part], jj[part], corner.flatten(1, 2), rows, columns]
            launch_for_torch(correlate_window, tuple(window.shape), inputs, [window])
            square = window.view(count, height, width, WINDOW + 1, WINDOW + 1)
            channels = slice(level * WINDOW**2, (level + 1) * WINDOW**2)
            found[part, channels] = blend(square, fraction).flatten(3).permute(0, 3, 1, 2)
    return found
