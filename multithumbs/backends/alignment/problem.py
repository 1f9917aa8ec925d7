"""From artifacts to the tensors of Eq. 1-5: bodies posed once, masks turned into distances."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.body import BodyModel
from multithumbs.config.alignment import Eq1Config
from multithumbs.geometry import rigid
from multithumbs.geometry.rotations import matrix_from_axis_angle
from multithumbs.solvers.alignment import AlignmentProblem, AlignmentState
from multithumbs.types import KEYPOINT_NAMES, BoundaryScene

METRIC = 1.0
"""``metres_per_unit`` of a scene that was found from its people: its points are their bodies, and
nothing is left to adjust."""
_HIPS = (KEYPOINT_NAMES.index("left_hip"), KEYPOINT_NAMES.index("right_hip"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedPeople:
    """Everyone of both frames, sides joined, with what stays constant."""

    side: Int64[Tensor, " P"]
    row: Int64[np.ndarray, " P"]
    rotation_cam: Float[Tensor, "P 3 3"]
    pelvis_cam: Float[Tensor, "P 3"]
    rest_pelvis: Float[Tensor, "P 3"]
    joints: Float[Tensor, "P 24 3"]
    """Relative to the pelvis, global rotation removed, of the size that the fit has."""
    keypoints: Float[Tensor, "P 23 3"]
    vertices: Float[Tensor, "P V 3"]
    facing: Bool[Tensor, "P V"]
    """Vertices whose surface looks at the camera (in the monocular fit)."""
    uv: Float[Tensor, "P 23 2"]
    confidence: Float[Tensor, "P 23"]
    pair: Int64[Tensor, "M 2"]

    @property
    def root_uv(self) -> Float[Tensor, "P 2"]:
        """The 2D root: the middle of the hips."""
        return self.uv[:, _HIPS].mean(1)

    @property
    def root_seen(self) -> Bool[Tensor, " P"]:
        return (self.confidence[:, _HIPS] > 0).all(1)


def pose_people(
    sides: tuple[BoundarySide, BoundarySide],
    scene_pair: Int64[np.ndarray, "M 2"],
    body: BodyModel,
    config: Eq1Config,
) -> PosedPeople:
    """Pose every body once, without global rotation, about its pelvis."""

    def joined(name: str) -> Tensor:
        stacked = np.concatenate([getattr(side, name) for side in sides])
        return torch.as_tensor(stacked, dtype=torch.float64, device=body.device)

    pose, betas, transl = joined("pose"), joined("betas"), joined("transl")
    still = pose.clone()
    still[:, 0] = 0
    rest_pelvis = body.rest_joints(betas)[:, 0]
    posed = body.posed(still, betas, -rest_pelvis)
    size = joined("size")
    every = np.linspace(0, len(body.v_template) - 1, min(config.vertices, len(body.v_template)))
    chosen = torch.as_tensor(every.round().astype(np.int64), device=body.device)
    vertices = body.vertices(still, betas, -rest_pelvis)
    vertices = vertices * size[:, None, None]
    rotation_cam = matrix_from_axis_angle(pose[:, 0])
    pelvis_cam = (rest_pelvis + transl) * size[:, None]
    facing = _facing(vertices, body, rotation_cam, pelvis_cam)
    first = {int(row): entry for entry, row in enumerate(sides[0].row)}
    second = {int(row): len(first) + entry for entry, row in enumerate(sides[1].row)}
    pair = [(first[a], second[b]) for a, b in scene_pair.tolist() if a in first and b in second]
    counts = [len(side) for side in sides]
    return PosedPeople(
        side=torch.repeat_interleave(torch.arange(2), torch.tensor(counts)).to(body.device),
        row=np.concatenate([side.row for side in sides]),
        rotation_cam=rotation_cam,
        pelvis_cam=pelvis_cam,
        rest_pelvis=rest_pelvis,
        joints=posed.joints,
        keypoints=posed.keypoints * size[:, None, None],
        vertices=vertices[:, chosen],
        facing=facing[:, chosen],
        uv=joined("uv"),
        confidence=joined("confidence"),
        pair=torch.tensor(pair, dtype=torch.int64, device=body.device).reshape(-1, 2),
    )


def _facing(
    vertices: Float[Tensor, "P V 3"],
    body: BodyModel,
    rotation_cam: Float[Tensor, "P 3 3"],
    pelvis_cam: Float[Tensor, "P 3"],
) -> Bool[Tensor, "P V"]:
    """Whether each vertex's normal (the sum of its faces') turns towards the camera."""
    cam = vertices @ rotation_cam.transpose(-1, -2) + pelvis_cam[:, None]
    a, b, c = (cam[:, body.faces[:, corner]] for corner in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(cam)
    for corner in range(3):
        # index_put_ sums in a fixed order on CUDA as well, unlike index_add_.
        by_vertex = normals.transpose(0, 1)
        by_vertex.index_put_((body.faces[:, corner],), normal.transpose(0, 1), accumulate=True)
    return (normals * cam).sum(-1) < 0


def build_problem(
    people: PosedPeople,
    sides: tuple[BoundarySide, BoundarySide],
    scene: BoundaryScene,
    config: Eq1Config,
) -> AlignmentProblem:
    """Tensors of the objective; the scene's points in metres."""
    inside, outside = [], []
    for side in sides:
        for full in side.mask:
            mask = coarse_mask(full, config.mask_stride)
            inside.append(mask)
            outside.append(distance_to(mask) * config.mask_stride)

    trusted = scene.confidence >= config.min_point_confidence
    points = np.where(trusted[..., None], scene.points_scene, np.nan)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=people.uv.device)

    return AlignmentProblem(
        view=people.side,
        K=tensor(scene.K),
        hw=sides[0].hw,
        keypoints=people.keypoints,
        vertices=people.vertices,
        paired=people.facing if config.depth_vertices == "facing" else people.facing | True,
        uv=people.uv,
        confidence=people.confidence,
        outside=tensor(np.stack(outside)),
        inside=tensor(np.stack(inside)),
        points=tensor(points * scene.metres_per_unit),
        pair=people.pair,
    )


def unmoved(people: PosedPeople, problem: AlignmentProblem, scene: BoundaryScene) -> AlignmentState:
    """Everyone where their own camera has them."""
    cameras = metric_cameras(scene, people.uv)
    frames = cameras[problem.view]
    pelvis = rigid.apply(frames, people.pelvis_cam[:, None])[:, 0]
    return AlignmentState(frames[:, :3, :3] @ people.rotation_cam, pelvis, rigid.inverse(cameras))


def metric_cameras(scene: BoundaryScene, like: Tensor) -> Float[Tensor, "2 4 4"]:
    """``scene_from_cam`` with the scene in metres."""
    cameras = torch.as_tensor(scene.scene_from_cam, dtype=like.dtype, device=like.device).clone()
    cameras[:, :3, 3] *= scene.metres_per_unit
    return cameras


def coarse_mask(mask: Bool[np.ndarray, "H W"], stride: int) -> Bool[np.ndarray, "h w"]:
    """A mask at a fraction of the resolution: set where half of a cell is."""
    height, width = mask.shape
    size = (-(-width // stride), -(-height // stride))
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5


def distance_to(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance of each cell to the mask in cells; 0 inside, and everywhere if it is empty."""
    if not mask.any():
        return np.zeros(mask.shape)
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float64)
