"""Posed bodies as meshes of the ray-caster, one per person, refitted from frame to frame."""

import numpy as np
from jaxtyping import Int64

from multithumbs.body import BodyModel
from multithumbs.render.raycast import Mesh
from multithumbs.types.outputs import Result


class BodyMeshes:
    """Meshes of `Result` rows in ``world``; a mesh is valid until the next call."""

    def __init__(self, result: Result, body: BodyModel, *, device: str = "cpu") -> None:
        self._result, self._body, self._device = result, body, device
        self._faces = body.faces.cpu().numpy()
        self._meshes: dict[int, Mesh] = {}

    def at(self, rows: Int64[np.ndarray, " M"]) -> list[Mesh]:
        """One mesh per row; the rows are of different people."""
        if len(rows) == 0:
            return []
        result = self._result
        pose, betas, transl = (
            self._body.tensor(values[rows]) for values in (result.pose, result.betas, result.transl)
        )
        vertices = self._body.vertices(pose, betas, transl).float().cpu().numpy()
        meshes = []
        for person, posed in zip(result.person[rows].tolist(), vertices, strict=True):
            if person in self._meshes:
                self._meshes[person].move(posed)
            else:
                self._meshes[person] = Mesh(posed, self._faces, device=self._device)
            meshes.append(self._meshes[person])
        return meshes
