"""One cut of a random scene: exact truth, and perception replaced by truth plus calibrated noise.

For tests and benchmarks of what happens at a cut, without any pixel. Masks are ray-cast from
the true bodies on request.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.body.placement import rest_pelvis
from multithumbs.render.raycast import Mesh, cast
from multithumbs.types import Bodies, Detections, Keypoints, Masks, Tracks

_STATURE_M, _STATURE_PER_BETA = 1.693, 0.116
"""Of the embedded body: height at betas 0, and what one unit of betas[0] adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleNoise:
    """Standard deviations of the simulated perception."""

    keypoint_of_height: float = 0.01
    log_size: float = 0.07
    """Of a monocular body's size; its depth errs by the same factor, so the image agrees."""
    log_fit: float = 0.02
    """Of its depth beyond that."""
    orientation_rad: float = float(np.deg2rad(10))
    pose_rad: float = float(np.deg2rad(8))
    walk_m: float = 0.03
    """How far people move between the two frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSetup:
    """A random scene seen by two cameras."""

    people: int = 3
    """In the scene."""
    before: tuple[int, ...] | None = None
    """Who is seen before the cut (scene indices); None for everyone."""
    after: tuple[int, ...] | None = None
    view_rad: float = float(np.pi / 2)
    """Between the azimuths of the two cameras around the people."""
    distance_m: tuple[tuple[float, float], tuple[float, float]] = ((4.0, 7.0), (4.0, 7.0))
    """From the people's middle to each camera."""
    room_m: float = 2.0
    hw: tuple[int, int] = (720, 1280)
    focal_px: float = 1100.0
    unrelated: bool = False
    """Everyone after the cut is someone else, somewhere else."""
    mask_stride: int = 0
    """0: no masks; else cast at this stride."""
    noise: OracleNoise = OracleNoise()


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSide:
    """Artifacts of a one-frame shot; row order is random."""

    detections: Detections
    keypoints: Keypoints
    masks: Masks
    bodies: Bodies
    tracks: Tracks
    who: Int64[np.ndarray, " N"]
    """Scene index of each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleCut:
    sides: tuple[OracleSide, OracleSide]
    after_from_before: Float[np.ndarray, "4 4"]
    pelvis_before: Float[np.ndarray, "P 3"]
    """True pelvis of everyone in the camera before the cut, metres."""


@dataclass(frozen=True, slots=True)
class _Person:
    pose: Float[np.ndarray, "24 3"]
    betas: Float[np.ndarray, "10"]
    pelvis: Float[np.ndarray, "3"]
    """In the room: +y up."""


def make_cut(body: BodyModel, setup: CutSetup, seed: int) -> OracleCut:
    """The same seed gives the same cut."""
    rng = np.random.default_rng(seed)
    people = _people(rng, setup)
    cameras = _cameras(rng, people, setup)
    others = _people(rng, setup) if setup.unrelated else people
    sides = []
    for view, (camera, scene) in enumerate(zip(cameras, (people, others), strict=True)):
        visible = (setup.before, setup.after)[view]
        who = np.array(visible if visible is not None else range(setup.people), dtype=np.int64)
        who = rng.permutation(who)
        moved = [_walk(rng, scene[i], setup.noise.walk_m * view) for i in who]
        sides.append(_perceive(rng, body, moved, who, camera, setup, frame=view))
    pelvis = np.array([p.pelvis for p in people]) @ cameras[0][:3, :3].T + cameras[0][:3, 3]
    return OracleCut(
        sides=(sides[0], sides[1]),
        after_from_before=cameras[1] @ np.linalg.inv(cameras[0]),
        pelvis_before=pelvis,
    )


def _people(rng: np.random.Generator, setup: CutSetup) -> list[_Person]:
    people: list[_Person] = []
    while len(people) < setup.people:
        x, z = rng.uniform(-setup.room_m, setup.room_m, 2)
        betas = np.zeros(10)
        betas[0] = rng.normal() * 0.7
        betas[1:] = rng.normal(size=9) * 0.5
        pelvis = np.array([x, 0.52 * (_STATURE_M + _STATURE_PER_BETA * betas[0]), z])
        if all(np.linalg.norm((p.pelvis - pelvis)[[0, 2]]) > 0.6 for p in people):
            people.append(_Person(_random_pose(rng), betas, pelvis))
    return people


def _random_pose(rng: np.random.Generator) -> Float[np.ndarray, "24 3"]:
    """Standing or sitting, arms anyhow, facing anywhere (+y up)."""
    pose = np.zeros((24, 3))
    pose[[16, 17], 2] = np.array([-1.1, 1.1]) + rng.normal(size=2) * 0.3
    pose[[16, 17]] += rng.normal(size=(2, 3)) * 0.35
    pose[18, 1] = -abs(rng.normal()) * 0.8
    pose[19, 1] = abs(rng.normal()) * 0.8
    pose[[1, 2], 0] = -np.abs(rng.normal(size=2)) * 0.3
    pose[[4, 5], 0] = np.abs(rng.normal(size=2)) * 0.4
    pose[[3, 6, 9, 12, 15]] += rng.normal(size=(5, 3)) * 0.1
    if rng.random() < 0.2:
        pose[[1, 2], 0] = -1.4 + rng.normal() * 0.1
        pose[[4, 5], 0] = 1.4
    pose[0] = [0.0, rng.uniform(-np.pi, np.pi), 0.0]
    return pose


def _walk(rng: np.random.Generator, person: _Person, step_m: float) -> _Person:
    step = rng.normal(size=3) * step_m * np.array([1.0, 0.0, 1.0])
    return replace(person, pelvis=person.pelvis + step)


def _cameras(
    rng: np.random.Generator, people: list[_Person], setup: CutSetup
) -> list[Float[np.ndarray, "4 4"]]:
    """``cam_from_room`` of both cameras, looking at the people's middle."""
    middle = np.mean([p.pelvis for p in people], axis=0)
    azimuth = rng.uniform(-np.pi, np.pi)
    turn = setup.view_rad * rng.choice([-1, 1])
    cameras = []
    for angle, distance in zip((azimuth, azimuth + turn), setup.distance_m, strict=True):
        far = rng.uniform(*distance)
        offset = np.array([far * np.sin(angle), rng.uniform(0, 1), far * np.cos(angle)])
        cameras.append(_looking_at(middle + offset, middle + rng.normal(size=3) * 0.2))
    return cameras


def _looking_at(
    centre: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4 4"]:
    forward = (target - centre) / np.linalg.norm(target - centre)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    camera = np.eye(4)
    camera[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    camera[:3, 3] = -camera[:3, :3] @ centre
    return camera


def _perceive(
    rng: np.random.Generator,
    body: BodyModel,
    people: list[_Person],
    who: Int64[np.ndarray, " N"],
    cam_from_room: Float[np.ndarray, "4 4"],
    setup: CutSetup,
    *,
    frame: int,
) -> OracleSide:
    count, (height, width) = len(people), setup.hw
    K = np.array([[setup.focal_px, 0, width / 2], [0, setup.focal_px, height / 2], [0, 0, 1]])
    turn = Rotation.from_matrix(cam_from_room[:3, :3])
    pose = np.array([p.pose for p in people])
    betas = np.array([p.betas for p in people])
    pelvis = np.array([p.pelvis for p in people]) @ turn.as_matrix().T + cam_from_room[:3, 3]
    pose[:, 0] = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    true_transl = pelvis - rest_pelvis(body, betas)
    _, keypoints = _posed(body, pose, betas, true_transl)
    uv, inside = _image(keypoints, K, setup.hw)
    stature = _STATURE_M + _STATURE_PER_BETA * betas[:, 0]
    noise_px = setup.noise.keypoint_of_height * setup.focal_px * stature / pelvis[:, 2]
    uv = uv + rng.normal(size=uv.shape) * noise_px[:, None, None]
    inside &= ((uv > 0) & (uv < [width, height])).all(-1)
    confidence = np.where(inside, rng.uniform(0.5, 1, inside.shape), 0.0)

    noise = setup.noise
    factor = np.exp(rng.normal(size=count) * noise.log_size)
    guess = betas.copy()
    guess[:, 0] = (stature * factor - _STATURE_M) / _STATURE_PER_BETA
    wrong = pose + rng.normal(size=pose.shape) * noise.pose_rad / np.sqrt(3)
    tilt = Rotation.from_rotvec(rng.normal(size=(count, 3)) * noise.orientation_rad / np.sqrt(3))
    wrong[:, 0] = (tilt * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    factor = factor * np.exp(rng.normal(size=count) * noise.log_fit)
    transl = pelvis * factor[:, None] - rest_pelvis(body, guess)
    _, seen = _posed(body, wrong, guess, transl)
    # A monocular fit explains its own keypoints: centre them across the rays.
    weight = confidence / np.maximum(confidence.sum(1, keepdims=True), 1e-9)
    target = (uv - K[:2, 2]) / setup.focal_px * seen[..., 2:]
    shift = ((target - seen[..., :2]) * weight[..., None]).sum(1)
    transl[:, :2] += shift
    joints, seen = _posed(body, wrong, guess, transl)
    fitted, _ = _image(seen, K, setup.hw)
    residual = np.sqrt((((fitted - uv) ** 2).sum(-1) * weight).sum(1))
    low, high = uv.min(1), uv.max(1)
    return OracleSide(
        detections=Detections(
            frame=np.full(count, frame, dtype=np.int64),
            box_xyxy=np.concatenate([low, high], axis=1),
            score=np.ones(count),
            roi=np.concatenate(
                [(low + high) / 2, (high - low).max(1, keepdims=True), np.zeros((count, 1))], axis=1
            ),
        ),
        keypoints=Keypoints(
            uv=uv,
            confidence=confidence,
            xyz=np.zeros((count, 23, 3)),
            xyz_confidence=np.zeros((count, 23)),
        ),
        masks=_masks(body, pose, betas, true_transl, K, setup),
        bodies=Bodies(
            pose=wrong,
            betas=guess,
            transl=transl,
            joints_cam=joints,
            K=np.repeat(K[None], count, axis=0),
            confidence=np.where(inside.sum(1) >= 6, 0.9, 0.0),
            residual_px=residual,
        ),
        tracks=Tracks(track=np.arange(count, dtype=np.int64)),
        who=who,
    )


def _posed(
    body: BodyModel, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray
) -> tuple[Float[np.ndarray, "N 24 3"], Float[np.ndarray, "N 23 3"]]:
    posed = body.posed(*(torch.as_tensor(x, dtype=body.dtype) for x in (pose, betas, transl)))
    return posed.joints.numpy().astype(float), posed.keypoints.numpy().astype(float)


def _image(
    points: Float[np.ndarray, "N J 3"], K: Float[np.ndarray, "3 3"], hw: tuple[int, int]
) -> tuple[Float[np.ndarray, "N J 2"], np.ndarray]:
    depth = np.maximum(points[..., 2:], 1e-3)
    uv = points[..., :2] / depth * [K[0, 0], K[1, 1]] + K[:2, 2]
    inside = (points[..., 2] > 0.1) & ((uv > 0) & (uv < hw[::-1])).all(-1)
    return uv, inside


def _masks(
    body: BodyModel,
    pose: np.ndarray,
    betas: np.ndarray,
    transl: np.ndarray,
    K: Float[np.ndarray, "3 3"],
    setup: CutSetup,
) -> Masks:
    dense = [np.zeros(setup.hw, dtype=bool)] * len(pose)
    if setup.mask_stride and len(pose):
        tensors = (torch.as_tensor(x, dtype=body.dtype) for x in (pose, betas, transl))
        vertices = body.vertices(*tensors).numpy()
        faces = body.faces.numpy()
        hits = cast([Mesh(v, faces) for v in vertices], K, setup.hw, stride=setup.mask_stride)
        stride, (height, width) = setup.mask_stride, setup.hw
        full = np.repeat(np.repeat(hits.mesh, stride, 0), stride, 1)[:height, :width]
        dense = [full == index for index in range(len(pose))]
    return Masks.from_dense(dense, setup.hw)
