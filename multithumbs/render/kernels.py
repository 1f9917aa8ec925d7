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

NEAR_M = 1.0e-2
"""Points nearer than this to the camera's plane have no projection."""

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


@wp.kernel(enable_backward=False)
@no_type_check
def mark_tiles(
    points: wp.array(dtype=wp.vec3),
    indices: wp.array(dtype=wp.int32),
    tile_from_world: wp.mat44,
    slack: float,
    covered: wp.array2d(dtype=wp.int32),
):
    """Set every tile that the bounding box of a projected face touches, grown by ``slack`` tiles.

    A face with a corner nearer than `NEAR_M` has no bounded projection, so it sets all tiles,
    unless it lies behind the camera wholly.
    """
    f = wp.tid()
    low = wp.vec2(FAR_M, FAR_M)
    high = wp.vec2(-FAR_M, -FAR_M)
    behind = int(0)  # noqa: RUF046, UP018
    for corner in range(3):
        point = points[indices[f * 3 + corner]]
        image = tile_from_world * wp.vec4(point[0], point[1], point[2], 1.0)
        if image[2] <= NEAR_M:
            behind += 1
        else:
            uv = wp.vec2(image[0] / image[2], image[1] / image[2])
            low = wp.min(low, uv)
            high = wp.max(high, uv)
    if behind == 3:
        return
    rows = covered.shape[0]
    columns = covered.shape[1]
    if behind > 0:
        low = wp.vec2(0.0, 0.0)
        high = wp.vec2(float(columns), float(rows))
    first_row = int(wp.clamp(wp.floor(low[1] - slack), 0.0, float(rows)))
    last_row = int(wp.clamp(wp.floor(high[1] + slack) + 1.0, 0.0, float(rows)))
    first_column = int(wp.clamp(wp.floor(low[0] - slack), 0.0, float(columns)))
    last_column = int(wp.clamp(wp.floor(high[0] + slack) + 1.0, 0.0, float(columns)))
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            covered[row, column] = 1


@wp.func
@no_type_check
def pixel_of(tiles: wp.array(dtype=wp.vec2i), t: int, pixel: int):
    """Row and column of a tile's pixel."""
    return wp.vec2i(tiles[t][0] * TILE + pixel // TILE, tiles[t][1] * TILE + pixel % TILE)


@wp.func
@no_type_check
def centre(pixel: wp.vec2i):
    """Homogeneous uv of a pixel's centre."""
    return wp.vec3(float(pixel[1]) + 0.5, float(pixel[0]) + 0.5, 1.0)


@wp.func
@no_type_check
def corner_blend(
    mesh: wp.uint64, first_vertex: int, face: int, bary: wp.vec2, values: wp.array(dtype=wp.vec3)
):
    """A per-vertex quantity (rows of all meshes, one after another) at a point of a face."""
    a = values[first_vertex + wp.mesh_get_index(mesh, face * 3)]
    b = values[first_vertex + wp.mesh_get_index(mesh, face * 3 + 1)]
    c = values[first_vertex + wp.mesh_get_index(mesh, face * 3 + 2)]
    return bary[0] * a + bary[1] * b + (1.0 - bary[0] - bary[1]) * c


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
    """One thread per pixel of each tile; pixels without a hit keep what the arrays hold."""
    t, p = wp.tid()
    pixel = pixel_of(tiles, t, p)
    if pixel[0] >= depth.shape[0] or pixel[1] >= depth.shape[1]:
        return
    ray = world_from_ray * centre(pixel)
    z, mesh, face, weights = nearest_hit(meshes, origin, ray, FAR_M)
    if mesh < 0:
        return
    depth[pixel[0], pixel[1]] = z
    index[pixel[0], pixel[1]] = wp.vec2i(mesh, face)
    bary[pixel[0], pixel[1]] = weights


@wp.kernel(enable_backward=False)
@no_type_check
def unobstructed(
    meshes: wp.array(dtype=wp.uint64),
    origin: wp.vec3,
    points: wp.array(dtype=wp.vec3),
    tolerance: float,
    clear: wp.array(dtype=wp.int32),
):
    """1 where no face lies between the origin and ``tolerance`` metres before the point."""
    n = wp.tid()
    towards = points[n] - origin
    limit = 1.0 - tolerance / wp.length(towards)
    clear[n] = 1
    if limit > 0.0:
        for m in range(meshes.shape[0]):
            if wp.mesh_query_ray_anyhit(meshes[m], origin, towards, limit):
                clear[n] = 0


@wp.kernel(enable_backward=False)
@no_type_check
def shade_tiles(
    meshes: wp.array(dtype=wp.uint64),
    first_vertex: wp.array(dtype=wp.int32),
    normals: wp.array(dtype=wp.vec3),
    colours: wp.array(dtype=wp.vec3),
    ambient: float,
    tiles: wp.array(dtype=wp.vec2i),
    world_from_ray: wp.mat33,
    origin: wp.vec3,
    rgba: wp.array2d(dtype=wp.vec4),
):
    """Each mesh's colour under a lamp at the camera; alpha 1 at hits."""
    t, p = wp.tid()
    pixel = pixel_of(tiles, t, p)
    if pixel[0] >= rgba.shape[0] or pixel[1] >= rgba.shape[1]:
        return
    ray = world_from_ray * centre(pixel)
    _z, mesh, face, weights = nearest_hit(meshes, origin, ray, FAR_M)
    if mesh < 0:
        return
    normal = wp.normalize(corner_blend(meshes[mesh], first_vertex[mesh], face, weights, normals))
    light = ambient + (1.0 - ambient) * wp.abs(wp.dot(normal, wp.normalize(ray)))
    colour = colours[mesh] * light
    rgba[pixel[0], pixel[1]] = wp.vec4(colour[0], colour[1], colour[2], 1.0)
