"""Warp kernels that shade textured meshes: lamps with shadows, ambient occlusion, smooth edges.

Colours are squared on the way in and rooted on the way out: a gamma of two, near enough to
sRGB's and much cheaper. Annotations are Warp's, hence `no_type_check`.
"""
# pyright: reportInvalidTypeForm=false, reportAssignmentType=false, reportGeneralTypeIssues=false
# pyright: reportArgumentType=false, reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

from typing import no_type_check

import warp as wp

from multithumbs.render.kernels import FAR_M, corner_blend, nearest_hit, pixel_of

EDGE_SAMPLES = 4
MAX_LEVEL = 12


@wp.struct
@no_type_check
class Surfaces:
    """Every mesh's tables, one mesh after another."""

    meshes: wp.array(dtype=wp.uint64)
    first_vertex: wp.array(dtype=wp.int32)
    first_face: wp.array(dtype=wp.int32)
    normals: wp.array(dtype=wp.vec3)
    corner_uv: wp.array2d(dtype=wp.vec2)
    """(faces, 3)."""
    face_texture: wp.array(dtype=wp.int32)
    uv_per_metre: wp.array(dtype=wp.float32)
    texels: wp.array(dtype=wp.vec3ub)
    texture_start: wp.array(dtype=wp.int32)
    texture_size: wp.array(dtype=wp.int32)
    """Sides, powers of two; each texture is followed by its mip levels."""
    num_casters: wp.int32
    """The first meshes cast shadows; the room's shell behind them does not."""
    num_people: wp.int32


@wp.struct
@no_type_check
class Lamps:
    """Light of one instant."""

    position: wp.array(dtype=wp.vec3)
    colour: wp.array(dtype=wp.vec3)
    sky: wp.vec3
    ground: wp.vec3
    blobs: wp.array(dtype=wp.vec4)
    """Spheres (centre, radius) in people that darken the room near them."""


@wp.func
@no_type_check
def texel(surfaces: Surfaces, start: int, size: int, column: int, row: int):
    c = ((column % size) + size) % size
    r = ((row % size) + size) % size
    rgb = surfaces.texels[start + r * size + c]
    return wp.vec3(float(rgb[0]), float(rgb[1]), float(rgb[2])) / 255.0


@wp.func
@no_type_check
def bilinear(surfaces: Surfaces, start: int, size: int, uv: wp.vec2):
    x = uv[0] * float(size) - 0.5
    y = uv[1] * float(size) - 0.5
    column = int(wp.floor(x))
    row = int(wp.floor(y))
    fx = x - float(column)
    fy = y - float(row)
    above = (1.0 - fx) * texel(surfaces, start, size, column, row) + fx * texel(
        surfaces, start, size, column + 1, row
    )
    below = (1.0 - fx) * texel(surfaces, start, size, column, row + 1) + fx * texel(
        surfaces, start, size, column + 1, row + 1
    )
    return (1.0 - fy) * above + fy * below


@wp.func
@no_type_check
def textured(surfaces: Surfaces, texture: int, uv: wp.vec2, texels_per_pixel: float):
    """Between the two mip levels whose texels are about a pixel wide."""
    start = surfaces.texture_start[texture]
    size = surfaces.texture_size[texture]
    wanted = wp.log2(wp.max(texels_per_pixel * float(size), 1.0))
    whole = int(wp.floor(wanted))
    for _level in range(MAX_LEVEL):
        if _level < whole and size > 1:
            start += size * size
            size = size // 2
    fine = bilinear(surfaces, start, size, uv)
    share = wanted - float(whole)
    if size == 1 or share < 0.05:
        return fine
    coarse = bilinear(surfaces, start + size * size, size // 2, uv)
    return (1.0 - share) * fine + share * coarse


@wp.func
@no_type_check
def lit_point(
    surfaces: Surfaces,
    lamps: Lamps,
    mesh: int,
    face: int,
    bary: wp.vec2,
    point: wp.vec3,
    towards_eye: wp.vec3,
    pixel_m: float,
):
    """Radiance of a surface point (linear, 0 to about 1)."""
    row = surfaces.first_face[mesh] + face
    uv = (
        bary[0] * surfaces.corner_uv[row, 0]
        + bary[1] * surfaces.corner_uv[row, 1]
        + (1.0 - bary[0] - bary[1]) * surfaces.corner_uv[row, 2]
    )
    normal = wp.normalize(
        corner_blend(
            surfaces.meshes[mesh], surfaces.first_vertex[mesh], face, bary, surfaces.normals
        )
    )
    facing = wp.dot(normal, towards_eye)
    if facing < 0.0 and mesh >= surfaces.num_people:
        normal = -normal
    # Half of the anisotropic footprint: enough against moire without smearing the floor.
    footprint = pixel_m / wp.sqrt(wp.max(wp.abs(facing), 0.06))
    colour = textured(
        surfaces, surfaces.face_texture[row], uv, footprint * surfaces.uv_per_metre[row]
    )
    albedo = wp.cw_mul(colour, colour)
    up = 0.5 + 0.5 * normal[1]
    light = up * lamps.sky + (1.0 - up) * lamps.ground
    if mesh >= surfaces.num_people:
        open_sky = float(1.0)  # noqa: UP018
        for b in range(lamps.blobs.shape[0]):
            blob = lamps.blobs[b]
            away = wp.vec3(blob[0], blob[1], blob[2]) - point
            square = wp.dot(away, away)
            if square < 36.0 * blob[3] * blob[3]:
                cosine = wp.max(wp.dot(normal, away) / wp.sqrt(square), 0.0)
                open_sky *= 1.0 - 0.9 * cosine * wp.min(blob[3] * blob[3] / square, 1.0)
        light = light * open_sky
    start = point + normal * 0.006
    for lamp in range(lamps.position.shape[0]):
        to_lamp = lamps.position[lamp] - start
        lambert = wp.dot(normal, to_lamp) / wp.length(to_lamp)
        if lambert > 0.0:
            clear = float(1.0)  # noqa: UP018
            for m in range(surfaces.num_casters):
                if clear > 0.0 and wp.mesh_query_ray_anyhit(
                    surfaces.meshes[m], start, to_lamp, 1.0
                ):
                    clear = 0.0
            light += clear * lambert * lamps.colour[lamp]
    return wp.cw_mul(albedo, light)


@wp.func
@no_type_check
def radiance(surfaces: Surfaces, lamps: Lamps, origin: wp.vec3, ray: wp.vec3, pixel_angle: float):
    """(linear colour, mesh, face, depth) along a ray whose camera z is one."""
    z, mesh, face, bary = nearest_hit(surfaces.meshes, origin, ray, FAR_M)
    colour = wp.vec3(0.0, 0.0, 0.0)
    if mesh >= 0:
        point = origin + z * ray
        colour = lit_point(
            surfaces, lamps, mesh, face, bary, point, -wp.normalize(ray), z * pixel_angle
        )
    return colour, mesh, face, z


@wp.kernel(enable_backward=False)
@no_type_check
def render_pixels(
    surfaces: Surfaces,
    lamps: Lamps,
    tiles: wp.array(dtype=wp.vec2i),
    world_from_ray: wp.mat33,
    origin: wp.vec3,
    pixel_angle: float,
    colour: wp.array2d(dtype=wp.vec3),
    key: wp.array2d(dtype=wp.vec3i),
    depth: wp.array2d(dtype=wp.float32),
):
    """One sample per pixel; ``key`` is (mesh, texture or -1 in people, face)."""
    t, p = wp.tid()
    pixel = pixel_of(tiles, t, p)
    if pixel[0] >= depth.shape[0] or pixel[1] >= depth.shape[1]:
        return
    ray = world_from_ray * wp.vec3(float(pixel[1]) + 0.5, float(pixel[0]) + 0.5, 1.0)
    rgb, mesh, face, z = radiance(surfaces, lamps, origin, ray, pixel_angle)
    texture = int(-1)  # noqa: RUF046, UP018
    if mesh >= surfaces.num_people:
        texture = surfaces.face_texture[surfaces.first_face[mesh] + face]
    colour[pixel[0], pixel[1]] = rgb
    key[pixel[0], pixel[1]] = wp.vec3i(mesh, texture, face)
    depth[pixel[0], pixel[1]] = z


@wp.func
@no_type_check
def is_edge(
    key: wp.array2d(dtype=wp.vec3i), depth: wp.array2d(dtype=wp.float32), row: int, column: int
):
    """Whether a neighbour lies on another object, or well before or behind on the same."""
    own = key[row, column]
    z = depth[row, column]
    edge = int(0)  # noqa: RUF046, UP018
    for direction in range(4):
        r = row
        c = column
        if direction == 0:
            r = wp.max(row - 1, 0)
        elif direction == 1:
            r = wp.min(row + 1, depth.shape[0] - 1)
        elif direction == 2:
            c = wp.max(column - 1, 0)
        else:
            c = wp.min(column + 1, depth.shape[1] - 1)
        other = key[r, c]
        if other[0] != own[0] or other[1] != own[1] or wp.abs(depth[r, c] - z) > 0.03:
            edge = 1
    return edge


@wp.kernel(enable_backward=False)
@no_type_check
def finish_pixels(
    surfaces: Surfaces,
    lamps: Lamps,
    tiles: wp.array(dtype=wp.vec2i),
    world_from_ray: wp.mat33,
    origin: wp.vec3,
    pixel_angle: float,
    colour: wp.array2d(dtype=wp.vec3),
    key: wp.array2d(dtype=wp.vec3i),
    depth: wp.array2d(dtype=wp.float32),
    image: wp.array2d(dtype=wp.vec3ub),
):
    """Supersample the pixels at edges, then encode to 8 bits."""
    t, p = wp.tid()
    pixel = pixel_of(tiles, t, p)
    row = pixel[0]
    column = pixel[1]
    if row >= depth.shape[0] or column >= depth.shape[1]:
        return
    rgb = colour[row, column]
    if is_edge(key, depth, row, column) == 1:
        for sample in range(EDGE_SAMPLES):
            # A rotated square of four, at distance from the centre sample already taken.
            du = float(sample % 2) * 0.5 - 0.25 + (float(sample // 2) - 0.5) * 0.25
            dv = float(sample // 2) * 0.5 - 0.25 - (float(sample % 2) - 0.5) * 0.25
            uv = wp.vec3(float(column) + 0.5 + du, float(row) + 0.5 + dv, 1.0)
            more, _mesh, _face, _z = radiance(
                surfaces, lamps, origin, world_from_ray * uv, pixel_angle
            )
            rgb += more
        rgb = rgb / float(EDGE_SAMPLES + 1)
    red = wp.clamp(wp.sqrt(rgb[0]) * 255.0 + 0.5, 0.0, 255.0)
    green = wp.clamp(wp.sqrt(rgb[1]) * 255.0 + 0.5, 0.0, 255.0)
    blue = wp.clamp(wp.sqrt(rgb[2]) * 255.0 + 0.5, 0.0, 255.0)
    image[row, column] = wp.vec3ub(wp.uint8(red), wp.uint8(green), wp.uint8(blue))
