"""A UV texture of every person in a frame, as PHALP samples it: out of the person's square crop."""

from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8

from multithumbs.body import BodyModel
from multithumbs.config.tracks import PhalpConfig
from multithumbs.models.hmr2 import crop_from_image, crop_person, square_of_box
from multithumbs.models.phalp import process_uv_image
from multithumbs.render.raycast import Mesh
from multithumbs.render.texture import Texels, bake
from multithumbs.solvers.phalp_texture import IMAGE_MEAN, IMAGE_STD
from multithumbs.types import Bodies, Masks

CROP_PX: Final = 256
INDEX_OF_UV: Final = 0.5
"""Our pixels less this are indices: there the first pixel's centre is (0, 0)."""


class Painter:
    """Bakes textures; one mesh is moved from body to body."""

    def __init__(self, body: BodyModel, texels: Texels, config: PhalpConfig, device: str) -> None:
        self._body = body
        self._config = config
        self._device = device
        self._faces = body.faces.cpu().numpy()
        self._texels = texels
        self._mesh: Mesh | None = None

    def paint(
        self,
        rgb: UInt8[np.ndarray, "H W 3"],
        rows: Int64[np.ndarray, " R"],
        box_xyxy: Float64[np.ndarray, "N 4"],
        bodies: Bodies,
        masks: Masks,
    ) -> Float32[np.ndarray, "R 4 S S"]:
        """Textures of these rows of one frame, processed for the encoder.

        A texel is seen where its surface is turned to the camera, nothing of the body itself is
        before it, and the person's mask holds its pixel; so other people need no meshes here.
        """
        side = self._texels.size
        if len(rows) == 0:
            return np.zeros((0, 4, side, side), np.float32)
        vertices = self._vertices(bodies, rows)
        sampled = [
            self._bake(rgb, vertices[n], box_xyxy[row], bodies.K[row], masks, int(row))
            for n, row in enumerate(rows)
        ]
        return process_uv_image(torch.from_numpy(np.stack(sampled))).numpy()

    def _bake(
        self,
        rgb: UInt8[np.ndarray, "H W 3"],
        vertices: Float64[np.ndarray, "V 3"],
        box: Float64[np.ndarray, "4"],
        K: Float64[np.ndarray, "3 3"],
        masks: Masks,
        row: int,
    ) -> Float32[np.ndarray, "4 S S"]:
        """Normalised colours and 1 or 0."""
        centre, side = square_of_box(box[None])
        centre, side = centre[0] - INDEX_OF_UV, float(max(side[0], 1.0))
        crop = crop_person(rgb, centre, side, blur=False)
        affine = crop_from_image(centre, side)
        covered = cv2.warpAffine(
            masks.dense(row).astype(np.float32), affine, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR
        )
        baked = bake(
            self._texels,
            self._moved(vertices),
            crop.round().astype(np.uint8),
            _crop_intrinsics(affine, K),
            mask=np.asarray(covered >= 0.5),
            min_cosine=self._config.min_cosine,
            tolerance_m=self._config.occlusion_tolerance_m,
        )
        colour = (baked.rgb / 255 - np.array(IMAGE_MEAN)) / np.array(IMAGE_STD)
        seen = (baked.weight > 0)[None]
        return np.concatenate([colour.transpose(2, 0, 1), seen]).astype(np.float32)

    def _moved(self, vertices: Float64[np.ndarray, "V 3"]) -> Mesh:
        if self._mesh is None:
            self._mesh = Mesh(vertices, self._faces, device=self._device)
        else:
            self._mesh.move(vertices)
        return self._mesh

    def _vertices(
        self, bodies: Bodies, rows: Int64[np.ndarray, " R"]
    ) -> Float64[np.ndarray, "R V 3"]:
        body = self._body
        parts = (bodies.pose[rows], bodies.betas[rows], bodies.transl[rows])
        tensors = (body.tensor(x) for x in parts)
        return body.vertices(*tensors).double().cpu().numpy()


def _crop_intrinsics(
    affine: Float64[np.ndarray, "2 3"], K: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "3 3"]:
    """``K`` for the crop that ``affine`` (of pixel indices) makes."""
    crop_from_uv = np.eye(3)
    crop_from_uv[:2] = affine
    crop_from_uv[:2, 2] += INDEX_OF_UV - INDEX_OF_UV * affine[:, :2].sum(1)
    return crop_from_uv @ K
