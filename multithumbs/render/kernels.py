"""Warp kernels of the ray-caster.

Warp compiles these bodies to native code; their annotations are Warp's array types, which
Python's type checkers cannot read, hence `no_type_check`.
"""
# pyright: reportInvalidTypeForm=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

from typing import no_type_check

import warp as wp

TILE = 16
"""Side of the square of pixels that is cast or skipped as one."""

FAR_M = 1.0e6
"""Hits beyond this ray parameter are misses."""


@wp.func
@no_type_check
def nearest_hit(
    meshes: wp.array(dtype=wp.uint64), origin: wp.vec3, direction: wp.vec3, limit: float
):
    """(ray parameter, mesh, face, bary) of the first hit; mesh is -1 where there is none."""
    best = limit
    mesh = int(-1)  # noqa: RUF046, UP018 (a variable, where a literal would be a constant)
    face = int(-1)  # noqa: RUF046, UP018
    weights = wp.vec2(0.0, 0.0)
    for m in range(meshes.shape[0]):
        query = wp.mesh_query_ray(meshes[m], origin, direction, best)
        if query.result:
            best = query.t
            mesh = m
            face = query.face
            weights = wp.vec2(query.u, query.v)
    return best, mesh, face, weights


@wp.func
@no_type_check
def pixel_centre(tiles: wp.array(dtype=wp.vec2i), t: int, pixel: int):
    """Homogeneous uv of the centre of a tile's pixel."""
    row = tiles[t][0] * TILE + pixel // TILE
    column = tiles[t][1] * TILE + pixel % TILE
    return wp.vec3(float(column) + 0.5, float(row) + 0.5, 1.0)


@wp.kernel(enable_backward=False)
@no_type_check
def cast_tiles(
    meshes: wp.array(dtype=wp.uint64),
    tiles: wp.array(dtype=wp.vec2i),
    world_from_ray: wp.mat33,
    origin: wp.vec3,
    depth: wp.array2d(dtype=wp.float32),
    index: wp.array2d(dtype=wp.vec2i),
    bary: wp.array2d(dtype=wp.vec2),
):
    """One thread per pixel of each tile: depth (inf at misses), (mesh, face), bary."""
    t, pixel = wp.tid()
    ray = world_from_ray * pixel_centre(tiles, t, pixel)
    z, mesh, face, weights = nearest_hit(meshes, origin, ray, FAR_M)
    if mesh < 0:
        z = wp.inf
    depth[t, pixel] = z
    index[t, pixel] = wp.vec2i(mesh, face)
    bary[t, pixel] = weights
