"""UV maps: which surface point each texel is, and what colour an image gives it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64, UInt8

from multithumbs.render.raycast import Mesh, raycast
from multithumbs.render.visibility import in_image, visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Texels:
    """The surface point behind each used texel of a UV map; fixed per topology."""

    size: int
    """The map is ``size`` x ``size``; texel (i, j) has its centre at uv ((j+.5), (i+.5)) / size."""
    row: Int64[np.ndarray, " N"]
    column: Int64[np.ndarray, " N"]
    face: Int64[np.ndarray, " N"]
    weights: Float[np.ndarray, "N 3"]
    """Barycentric weights of the face's corners."""

    @classmethod
    def of(cls, face_uv: Float[np.ndarray, "F 3 2"], size: int) -> "Texels":
        """Texels whose centre lies in some face of the atlas (``face_uv`` in [0, 1], v down)."""
        corners = np.asarray(face_uv, np.float64).reshape(-1, 2)
        flat = np.c_[corners, np.ones(len(corners))]  # the atlas is itself a mesh, at depth one
        faces = np.arange(len(corners)).reshape(-1, 3)
        hits = raycast(flat, faces, np.diag([size, size, 1.0]), (size, size))
        row, column = np.nonzero(hits.face >= 0)
        bary = hits.bary[row, column].astype(np.float64)
        return cls(
            size=size,
            row=row,
            column=column,
            face=hits.face[row, column].astype(np.int64),
            weights=np.concatenate([bary, 1 - bary.sum(1, keepdims=True)], 1),
        )

    def points(
        self, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
    ) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"]]:
        """Where the texels are on a posed mesh, and the unit normals of their faces."""
        corners = vertices[faces[self.face]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        return np.einsum("nk,nkd->nd", self.weights, corners), normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked:
    """One image's contribution to a UV map."""

    rgb: Float32[np.ndarray, "T T 3"]
    """0 to 255; zero where unseen."""
    weight: Float32[np.ndarray, "T T"]
    """Cosine of the angle between the surface's normal and the view; 0 where unseen."""


def bake(
    texels: Texels,
    body: Mesh,
    image: UInt8[np.ndarray, "H W 3"],
    K: Float[np.ndarray, "3 3"],
    *,
    cam_from_world: Float[np.ndarray, "4 4"] | None = None,
    occluders: Sequence[Mesh] = (),
    mask: Bool[np.ndarray, "H W"] | None = None,
    min_cosine: float = 0.2,
    tolerance_m: float = 0.01,
) -> Baked:
    """Sample ``image`` at every texel of ``body`` that the camera sees.

    A texel counts if its face looks at the camera by at least ``min_cosine``, neither the body
    itself nor an occluder hides it (`visible`), and ``mask``, where given, is set at its pixel.
    """
    cam_from_world = np.eye(4) if cam_from_world is None else np.asarray(cam_from_world, float)
    hw = (image.shape[0], image.shape[1])
    points, normals = texels.points(body.vertices.astype(np.float64), body.faces)
    towards = np.linalg.inv(cam_from_world)[:3, 3] - points
    cosine = (normals * towards).sum(1) / np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    inside, uv = in_image(points, K, hw, cam_from_world)
    use = inside & (cosine > min_cosine)
    if mask is not None:
        pixel = np.clip(uv, 0, np.array(hw[::-1]) - 1).astype(np.int64)
        use &= mask[pixel[:, 1], pixel[:, 0]]
    use[use] = visible(
        points[use],
        [body, *occluders],
        K,
        hw,
        cam_from_world=cam_from_world,
        tolerance_m=tolerance_m,
    )
    rgb = np.zeros((texels.size, texels.size, 3), np.float32)
    weight = np.zeros((texels.size, texels.size), np.float32)
    row, column = texels.row[use], texels.column[use]
    rgb[row, column] = sample_bilinear(image, uv[use])
    weight[row, column] = cosine[use]
    return Baked(rgb=rgb, weight=weight)


def sample_bilinear(
    image: UInt8[np.ndarray, "H W 3"], uv: Float[np.ndarray, "N 2"]
) -> Float32[np.ndarray, "N 3"]:
    """Colours at pixels ``uv`` (centres at 0.5); the border is repeated outward."""
    height, width = image.shape[:2]
    x, y = np.clip(uv[:, 0] - 0.5, 0, width - 1), np.clip(uv[:, 1] - 0.5, 0, height - 1)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx = (x - left)[:, None].astype(np.float32)
    fy = (y - top)[:, None].astype(np.float32)
    above = image[top, left] * (1 - fx) + image[top, right] * fx
    below = image[bottom, left] * (1 - fx) + image[bottom, right] * fx
    return above * (1 - fy) + below * fy
