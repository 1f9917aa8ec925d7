"""Perception of a crossing scene: calibrated noise for boxes, keypoints and bodies; masks and
pictures ray-cast from the true bodies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.render.raycast import Mesh, cast
from multithumbs.render.texture import Texels
from multithumbs.synth.appearance import paint
from multithumbs.synth.clip_noise import PerceptionNoise
from multithumbs.synth.clip_perception import perceive
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth, truth_of, vertices_of
from multithumbs.types import Bodies, Detections, Frame, Keypoints, Masks, VideoInfo

ATLAS_SIZE = 256
LEAST_SEEN = 0.2
"""Share of a person's silhouette below which no detector finds them."""
HIDDEN_LOG_DEPTH = 0.24
HIDDEN_M = 0.18
HIDDEN_POSE_RAD = 0.3
"""What a body's depth, place and rotations err by, times the share of it that is hidden: the
growth of noise in a crowd that `tracks=hungarian3d` was found to need on real detections."""
SHARE_STRIDE = 3
"""Pixels between the rays that measure a person alone."""
GRAIN = 4.0
"""Of the pictures, grey levels."""
FLICKER = 0.03
"""Of the pictures' brightness from frame to frame (logarithm)."""


class Pictures:
    """A `FrameReader` over pictures in memory."""

    def __init__(self, pictures: UInt8[np.ndarray, "T H W 3"], scene: Scene) -> None:
        self._pictures = pictures
        self._info = VideoInfo(
            sha256="0" * 64, hw=scene.hw, frame_rate=scene.fps, timestamps_s=scene.times
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            yield Frame(index, self._pictures[index])

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        return self._pictures[index]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingClip:
    """What a tracker reads, and who every row is."""

    video: Pictures
    detections: Detections
    keypoints: Keypoints
    masks: Masks
    bodies: Bodies
    person: Int64[np.ndarray, " N"]


def make_crossing(
    body: BodyModel, scene: Scene, seed: int, noise: PerceptionNoise | None = None
) -> CrossingClip:
    """The same scene, seed and noise give the same clip; the body needs a UV map and parts."""
    noise = noise or PerceptionNoise()
    rng = np.random.default_rng([seed, 17])
    truth = truth_of(scene, body, with_visibility=False)
    seen = perceive(body, truth, 0, noise, rng)
    pictures, silhouettes, shares = _render(body, scene, truth, rng)
    person, frame = truth.person[seen.truth_row], seen.detections.frame
    share = np.array([shares[f, p] for f, p in zip(frame, person, strict=True)])
    kept = np.flatnonzero(share >= LEAST_SEEN * rng.uniform(0.7, 1.3, len(share)))
    height = seen.detections.roi[:, 2]
    score = np.clip(0.95 * np.sqrt(share) + rng.normal(0, 0.03, len(share)), 0.05, 1.0)
    dense = []
    for row in kept:
        grow = round(noise.mask_of_size * height[row] * rng.normal())
        mask = silhouettes[frame[row]] == person[row]
        change = binary_dilation if grow > 0 else binary_erosion
        dense.append(change(mask, iterations=abs(grow)) if grow else mask)
    return CrossingClip(
        video=Pictures(pictures, scene),
        detections=Detections(
            frame=frame[kept],
            box_xyxy=_boxes(dense, seen.detections.box_xyxy[kept]),
            score=score[kept],
            roi=seen.detections.roi[kept],
        ),
        keypoints=_taken(seen.keypoints, kept),
        masks=Masks.from_dense(dense, scene.hw),
        bodies=_guessed(body, _taken(seen.bodies, kept), 1 - share[kept], rng),
        person=person[kept],
    )


def _render(
    body: BodyModel, scene: Scene, truth: Truth, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "T H W 3"], Int64[np.ndarray, "T H W"], Float64[np.ndarray, "T P"]]:
    """Pictures, the person at every pixel (-1: nobody), and the seen share of everyone."""
    if body.face_uv is None:
        raise ValueError(f"body '{body.name}' has no UV map to paint on")
    face_uv, faces = body.face_uv.numpy(), body.faces.numpy()
    texels = Texels.of(face_uv, ATLAS_SIZE)
    atlases = np.stack([paint(body, actor.outfit, texels) for actor in scene.actors])
    height, width = scene.hw
    slope = rng.uniform(-40, 40, (2, 3))
    ramp = [np.linspace(-1, 1, n) for n in scene.hw]
    backdrop = 128 + ramp[0][:, None, None] * slope[0] + ramp[1][None, :, None] * slope[1]
    count = len(scene.actors)
    pictures = np.zeros((truth.num_frames, height, width, 3), np.uint8)
    silhouettes = np.full((truth.num_frames, height, width), -1, np.int64)
    shares = np.zeros((truth.num_frames, count))
    meshes: list[Mesh] = []
    for frame in range(truth.num_frames):
        rows = [truth.row(person, frame) for person in range(count)]
        vertices = [vertices_of(truth, body, row) for row in rows if row is not None]
        if meshes:
            for mesh, points in zip(meshes, vertices, strict=True):
                mesh.move(points)
        else:
            meshes = [Mesh(points, faces) for points in vertices]
        camera = np.linalg.inv(truth.world_from_cam[frame])
        hits = cast(meshes, truth.K[frame], scene.hw, cam_from_world=camera)
        hit = hits.face >= 0
        bary = np.concatenate([hits.bary, 1 - hits.bary.sum(-1, keepdims=True)], -1)[hit]
        uv = (bary[:, :, None] * face_uv[hits.face[hit]]).sum(1)
        texel = np.clip((uv * ATLAS_SIZE).astype(np.int64), 0, ATLAS_SIZE - 1)
        picture = backdrop.copy()
        picture[hit] = atlases[hits.mesh[hit], texel[:, 1], texel[:, 0]]
        picture *= np.exp(FLICKER * rng.normal())
        picture += GRAIN * rng.standard_normal(picture.shape, dtype=np.float32)
        pictures[frame] = np.clip(picture + 0.5, 0, 255)
        silhouettes[frame] = np.where(hit, hits.mesh, -1)
        for person, mesh in enumerate(meshes):
            alone = cast(
                [mesh], truth.K[frame], scene.hw, cam_from_world=camera, stride=SHARE_STRIDE
            )
            whole = SHARE_STRIDE**2 * np.count_nonzero(alone.face >= 0)
            shown = np.count_nonzero(silhouettes[frame] == person)
            shares[frame, person] = min(1.0, shown / max(whole, 1))
    return pictures, silhouettes, shares


def _guessed(
    body: BodyModel, bodies: Bodies, hidden: Float64[np.ndarray, " N"], rng: np.random.Generator
) -> Bodies:
    """Bodies as they are seen by the share that shows: the rest is guessed."""
    normal = rng.standard_normal
    turn = HIDDEN_POSE_RAD * hidden[:, None, None] * normal((len(bodies), 24, 3)) / np.sqrt(3)
    pose = Rotation.from_rotvec(bodies.pose.reshape(-1, 3)) * Rotation.from_rotvec(
        turn.reshape(-1, 3)
    )
    depth = np.exp(HIDDEN_LOG_DEPTH * hidden * normal(len(bodies)))
    transl = bodies.transl * depth[:, None]
    transl[:, :2] += HIDDEN_M * hidden[:, None] * normal((len(bodies), 2))
    rotvec = pose.as_rotvec().reshape(-1, 24, 3)
    tensors = (torch.as_tensor(x).to(body.dtype) for x in (rotvec, bodies.betas, transl))
    joints = body.posed(*tensors).joints.numpy().astype(np.float64)
    return replace(bodies, pose=rotvec, transl=transl, joints_cam=joints)


def _boxes(
    dense: list[Bool[np.ndarray, "H W"]], fallback: Float64[np.ndarray, "N 4"]
) -> Float64[np.ndarray, "N 4"]:
    """Around each mask: detectors box what they see."""
    boxes = fallback.copy()
    for row, mask in enumerate(dense):
        columns, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(columns):
            boxes[row] = [columns[0], lines[0], columns[-1] + 1, lines[-1] + 1]
    return boxes


def _taken(rows, kept: Int64[np.ndarray, " M"]):
    """Some rows of an artifact."""
    return type(rows)(**{name: getattr(rows, name)[kept] for name in type(rows).__slots__})
