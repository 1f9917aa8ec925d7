"""UV textures of a shot's tracks, baked frame by frame and merged."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int64

from multithumbs.body import BodyModel
from multithumbs.config.textures import RaycastTexturesConfig
from multithumbs.render.raycast import Mesh
from multithumbs.render.texture import Texels, bake
from multithumbs.types import Bodies, Detections, Frame, Masks, Textures, Tracks


def choose_rows(
    detections: Detections, bodies: Bodies, tracks: Tracks, config: RaycastTexturesConfig
) -> Int64[np.ndarray, " R"]:
    """Rows to bake: of each track the first, the last, and others spread evenly between."""
    usable = bodies.confidence >= max(config.min_confidence, 1e-9)
    chosen = []
    for track in np.unique(tracks.track[tracks.track >= 0]):
        rows = np.flatnonzero((tracks.track == track) & usable)
        if len(rows) == 0:
            continue
        first, last = detections.frame[rows[0]], detections.frame[rows[-1]]
        moments = np.linspace(first, last, config.frames_per_track)
        nearest = np.abs(detections.frame[rows][None] - moments[:, None]).argmin(1)
        chosen.append(rows[np.unique(nearest)])
    return np.sort(np.concatenate(chosen)).astype(np.int64) if chosen else np.zeros(0, np.int64)


def merge_textures(
    frames: Iterable[Frame],
    rows: Int64[np.ndarray, " R"],
    detections: Detections,
    masks: Masks,
    bodies: Bodies,
    tracks: Tracks,
    body: BodyModel,
    config: RaycastTexturesConfig,
    device: str,
) -> Textures:
    """One texture per track that has a row to bake; none where the body has no UV layout.

    Colours are means weighted by the cosine of incidence; a texel's weight is the best cosine
    at which it was seen.
    """
    if body.face_uv is None or len(rows) == 0:
        return _empty(config.size)
    texels = Texels.of(body.face_uv.cpu().numpy(), config.size)
    ids = np.unique(tracks.track[rows])
    shape = (len(ids), config.size, config.size)
    colour, total, best = np.zeros((*shape, 3)), np.zeros(shape), np.zeros(shape)
    wanted = set(detections.frame[rows].tolist())
    faces = body.faces.cpu().numpy()
    for frame in frames:
        if frame.index not in wanted:
            continue
        present = np.flatnonzero((detections.frame == frame.index) & (bodies.confidence > 0))
        vertices = _vertices(body, bodies, present)
        meshes = [Mesh(points, faces, device=device) for points in vertices]
        for position, row in enumerate(present):
            if row not in rows:
                continue
            baked = bake(
                texels,
                meshes[position],
                frame.rgb,
                bodies.K[row],
                occluders=meshes[:position] + meshes[position + 1 :],
                mask=masks.dense(int(row)),
                min_cosine=config.min_cosine,
                tolerance_m=config.occlusion_tolerance_m,
            )
            entry = np.searchsorted(ids, tracks.track[row])
            colour[entry] += baked.weight[..., None] * baked.rgb
            total[entry] += baked.weight
            best[entry] = np.maximum(best[entry], baked.weight)
    mean = colour / np.maximum(total, 1e-9)[..., None]
    return Textures(
        track=ids.astype(np.int64), rgb=mean.round().clip(0, 255).astype(np.uint8), weight=best
    )


def _vertices(
    body: BodyModel, bodies: Bodies, rows: Int64[np.ndarray, " R"]
) -> Float[np.ndarray, "R V 3"]:
    parts = (bodies.pose[rows], bodies.betas[rows], bodies.transl[rows])
    tensors = (body.tensor(x) for x in parts)
    return body.vertices(*tensors).cpu().numpy()


def _empty(size: int) -> Textures:
    return Textures(
        track=np.zeros(0, np.int64),
        rgb=np.zeros((0, size, size, 3), np.uint8),
        weight=np.zeros((0, size, size)),
    )
