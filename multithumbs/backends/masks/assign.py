"""Which mask is whose: by the overlap of masks and meshes (paper section 3.1)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.body import BodyModel, load_body
from multithumbs.config.masks import BoxMasksConfig, MasksConfig
from multithumbs.errors import ConfigError
from multithumbs.render.raycast import Mesh, cast
from multithumbs.types import Bodies, Detections, Masks
from multithumbs.types.work import Work

STRIDE = 4
"""Overlaps are measured on every fourth pixel of every fourth row."""


def assign_masks(
    masks: Bool[np.ndarray, "N H W"],
    silhouettes: Bool[np.ndarray, "M H W"],
    min_overlap: float,
) -> Int64[np.ndarray, " M"]:
    """For each person's silhouette the mask that is theirs; -1 for none.

    The sum of the intersections over unions is as large as it can be, no mask is given twice,
    and none whose overlap with the silhouette is below ``min_overlap`` or empty.
    """
    mask_of = np.full(len(silhouettes), -1, np.int64)
    overlap = overlaps(silhouettes, masks)
    for person, mask in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[person, mask] > 0 and overlap[person, mask] >= min_overlap:
            mask_of[person] = mask
    return mask_of


def overlaps(
    a: Bool[np.ndarray, "M H W"], b: Bool[np.ndarray, "N H W"]
) -> Float64[np.ndarray, "M N"]:
    """Intersection over union of every pair; 0 where both are empty."""
    flat_a, flat_b = (x.reshape(len(x), x.shape[1] * x.shape[2]).astype(np.float64) for x in (a, b))
    shared = flat_a @ flat_b.T
    union = flat_a.sum(1)[:, None] + flat_b.sum(1) - shared
    return shared / np.maximum(union, 1)


def reassigned(
    work: Work[MasksConfig],
    config: BoxMasksConfig,
    detections: Detections,
    bodies: Bodies | None,
    found: Masks,
) -> Masks:
    """The same masks, each in the row of the person whose visible mesh it overlaps most.

    A person with a mesh that no mask overlaps enough gets none. One without a mesh (confidence
    0) keeps the mask of their own box unless it turned out to be somebody else's.

    Raises:
        ConfigError: there are no bodies.
    """
    if bodies is None:
        raise ConfigError(
            "masks.assign_by_mesh=true needs bodies that are made without masks; choose "
            "bodies=hmr2 or masks.assign_by_mesh=false"
        )
    renderer = Silhouettes(load_body(work.body_npz), bodies, found.hw, work.runtime.device)
    mask_row = np.full(len(detections), -1, np.int64)
    for frame in np.unique(detections.frame):
        rows = np.flatnonzero(detections.frame == frame)
        posed = bodies.confidence[rows] > 0
        masks = coarse(np.stack([found.dense(int(row)) for row in rows]))
        given = assign_masks(masks, renderer.visible(rows[posed]), config.min_overlap)
        mask_row[rows[posed]] = np.where(given < 0, -1, rows[given])
        for row in rows[~posed]:
            mask_row[row] = -1 if row in rows[given[given >= 0]] else row
    runs = [
        found.counts[found.offsets[row] : found.offsets[row + 1]] if row >= 0 else found.counts[:0]
        for row in mask_row
    ]
    return Masks.from_runs(runs, found.hw)


def coarse(masks: Bool[np.ndarray, "N H W"]) -> Bool[np.ndarray, "N h w"]:
    """Every `STRIDE`-th pixel, at the centres of the renderer's coarse pixels."""
    height, width = masks.shape[1:]
    row, column = (
        np.minimum(np.arange(-(-size // STRIDE)) * STRIDE + STRIDE // 2, size - 1)
        for size in (height, width)
    )
    return masks[:, row[:, None], column]


class Silhouettes:
    """What the camera sees of each body, those in front hiding those behind."""

    def __init__(
        self, body: BodyModel, bodies: Bodies, hw: tuple[int, int], device: str = "cpu"
    ) -> None:
        """``body`` lies on the CPU; rays are cast on ``device``."""
        self._body = body
        self._device = device
        self._bodies = bodies
        self._hw = hw
        self._meshes: list[Mesh] = []

    def visible(self, rows: Int64[np.ndarray, " M"]) -> Bool[np.ndarray, "M h w"]:
        """Visible silhouettes of bodies of one frame, which share their intrinsics."""
        shape = tuple(-(-size // STRIDE) for size in self._hw)
        if len(rows) == 0:
            return np.zeros((0, *shape), bool)
        meshes = self._moved(self._vertices(rows))
        hits = cast(meshes, self._bodies.K[rows[0]], self._hw, stride=STRIDE)
        return hits.mesh == np.arange(len(rows))[:, None, None]

    def _vertices(self, rows: Int64[np.ndarray, " M"]) -> np.ndarray:
        values = (self._bodies.pose[rows], self._bodies.betas[rows], self._bodies.transl[rows])
        pose, betas, transl = (self._body.tensor(x) for x in values)
        return self._body.vertices(pose, betas, transl).numpy()

    def _moved(self, vertices: np.ndarray) -> Sequence[Mesh]:
        """Meshes with these vertices; each is built once and then only moved."""
        faces = self._body.faces.numpy()
        for mesh, points in zip(self._meshes, vertices, strict=False):
            mesh.move(points)
        new = vertices[len(self._meshes) :]
        self._meshes += [Mesh(points, faces, device=self._device) for points in new]
        return self._meshes[: len(vertices)]
