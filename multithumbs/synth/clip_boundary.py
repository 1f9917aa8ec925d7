"""A cut's two frames as a feed-forward reconstruction relates them, from truth plus noise."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.ndimage import maximum_filter, minimum_filter, zoom
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.render.raycast import Mesh, cast
from multithumbs.synth.clip_noise import BoundaryNoise
from multithumbs.synth.room import build_room
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth

GRID = (294, 518)
"""Rows and columns that such a model makes of a frame of 720 x 1280."""
EDGE = 0.05
"""Relative step in depth between neighbours that makes an edge: points smear across it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What the network would put out, lengths in a unit of its own."""

    K: Float64[np.ndarray, "2 3 3"]
    """Of the full frames, pixels."""
    scene_from_cam: Float64[np.ndarray, "2 4 4"]
    depth: Float64[np.ndarray, "2 h w"]
    trust: Float64[np.ndarray, "2 h w"]
    """At least 1, as VGGT's confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one frame's true camera sees on a grid."""

    depth: Float64[np.ndarray, "h w"]
    """Metres along the optical axis."""
    person: Int64[np.ndarray, "h w"]
    """Index of the actor; -1 for the room."""


class Stage:
    """The geometry of a scene: rooms as they are, people where a frame has them."""

    def __init__(self, scene: Scene, truth: Truth, body: BodyModel) -> None:
        self._scene, self._truth, self._body = scene, truth, body
        self._rooms: dict[int, list[Mesh]] = {}
        self._faces = body.faces.numpy()

    def see(self, frame: int, grid: tuple[int, int] = GRID) -> Seen:
        """Ray-cast one frame through its true camera, on a grid that covers the image."""
        truth, room = self._truth, self._scene.shot_of(frame).room
        if room not in self._rooms:
            built = build_room(self._scene.rooms[room], painted=False)
            self._rooms[room] = [Mesh(p.vertices, p.faces) for p in (built.furniture, built.shell)]
        rows = np.flatnonzero(truth.frame == frame)
        people = [Mesh(self.vertices(int(row)), self._faces) for row in rows]
        hits = cast(
            [*people, *self._rooms[room]], on_grid(truth.K[frame], truth.hw, grid), grid,
            cam_from_world=np.linalg.inv(truth.world_from_cam[frame]),
        )  # fmt: skip
        person = np.full(hits.mesh.shape, -1, np.int64)
        for index, row in enumerate(rows):
            person[hits.mesh == index] = truth.person[row]
        return Seen(depth=hits.depth.astype(np.float64), person=person)

    def vertices(self, row: int) -> Float64[np.ndarray, "V 3"]:
        """World vertices of one row of the truth."""
        pose, betas, transl = (
            torch.from_numpy(values[row]).to(self._body.dtype)
            for values in (self._truth.pose, self._truth.betas, self._truth.transl)
        )
        return self._body.vertices(pose, betas, transl).numpy().astype(np.float64)


def on_grid(
    K: Float64[np.ndarray, "3 3"], hw: tuple[int, int], grid: tuple[int, int]
) -> Float64[np.ndarray, "3 3"]:
    """Intrinsics of an image that is scaled to a grid's rows and columns."""
    return np.diag([grid[1] / hw[1], grid[0] / hw[0], 1.0]) @ K


def reconstruct(
    stage: Stage, truth: Truth, cut: int, noise: BoundaryNoise, rng: np.random.Generator
) -> Reconstruction:
    """The frames ``cut - 1`` and ``cut`` in one space of unknown scale.

    Two places get a relation too: such a model always gives one, and trusts itself hardly less.
    It is for the stages to find out.
    """
    frames = np.array([cut - 1, cut])
    views = [stage.see(int(frame)) for frame in frames]
    true = np.linalg.inv(truth.world_from_cam[frames[0]]) @ truth.world_from_cam[frames[1]]
    rooms = [int(truth.shot_room[truth.shot_of_frame(int(frame))]) for frame in frames]
    shared = set(np.unique(views[0].person)) & set(np.unique(views[1].person)) - {-1}
    overlap = 0.0
    if rooms[0] == rooms[1]:
        overlap = min(_overlap(views, truth, frames, k) for k in (0, 1))
    factor = noise.heavy_factor if rng.uniform() < noise.heavy_share else 1.0
    if overlap < noise.min_overlap:
        factor = noise.heavy_factor
    guess = rooms[0] != rooms[1] or (overlap < noise.min_overlap and not shared)
    relation = _guess(rng) if guess else _disturbed(true, noise, factor, rng)
    K = truth.K[frames].copy()
    K[:, :2, :2] *= np.exp(noise.log_focal * rng.normal())
    depth, trust = [], []
    for view in views:
        found, sure = _noisy_depth(view, noise, rng)
        depth.append(found)
        sure = sure * (rng.uniform(0.7, 0.95) if guess else rng.uniform(0.85, 1.0))
        trust.append(1 / (1 - 0.97 * np.clip(sure, 0, 1)))
    unit = np.nanmean(depth[0]) * np.exp(noise.log_unit * rng.normal())
    relation = relation.copy()
    relation[:3, 3] /= unit
    return Reconstruction(
        K=K,
        scene_from_cam=np.stack([np.eye(4), relation]),
        depth=np.stack(depth) / unit,
        trust=np.stack(trust),
    )


def _unprojected(
    depth: Float64[np.ndarray, "h w"], K: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "h w 3"]:
    """``K`` is that of the grid."""
    rows, columns = np.indices(depth.shape) + 0.5
    x, y = (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    return np.stack([x * depth, y * depth, depth], axis=-1)


def _overlap(views: list[Seen], truth: Truth, frames: Int64[np.ndarray, "2"], first: int) -> float:
    """Share of one view's points that the other view sees, too."""
    other = 1 - first
    grid = views[first].depth.shape
    K = [on_grid(truth.K[frame], truth.hw, (grid[0], grid[1])) for frame in frames]
    cam = _unprojected(views[first].depth, K[first]).reshape(-1, 3)
    cam = cam[np.isfinite(cam).all(1)]
    other_from_first = (
        np.linalg.inv(truth.world_from_cam[frames[other]]) @ truth.world_from_cam[frames[first]]
    )
    there = cam @ other_from_first[:3, :3].T + other_from_first[:3, 3]
    there = there[there[:, 2] > 0.1]
    uv = (there @ K[other].T)[:, :2] / there[:, 2:]
    height, width = views[other].depth.shape
    inside = ((uv >= 0) & (uv < [width, height])).all(1)
    column, row = uv[inside].astype(np.int64).T
    same = np.abs(views[other].depth[row, column] / there[inside, 2] - 1) < 0.05
    return float(same.sum() / max(len(cam), 1))


def _disturbed(
    true: Float64[np.ndarray, "4 4"], noise: BoundaryNoise, factor: float,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "4 4"]:  # fmt: skip
    out = true.copy()
    turn, swing = (
        Rotation.from_rotvec(factor * std * rng.normal(size=3) / np.sqrt(3)).as_matrix()
        for std in (noise.rotation_rad, noise.direction_rad)
    )
    out[:3, :3] = turn @ true[:3, :3]
    out[:3, 3] = swing @ true[:3, 3] * np.exp(factor * noise.log_length * rng.normal())
    return out


def _guess(rng: np.random.Generator) -> Float64[np.ndarray, "4 4"]:
    """Some relation: turned about the vertical, a few metres away."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler(
        "yx", [rng.uniform(-1.5, 1.5), 0.1 * rng.normal()]
    ).as_matrix()
    out[:3, 3] = rng.normal(size=3) * [1.5, 0.2, 1.5]
    return out


def _noisy_depth(
    view: Seen, noise: BoundaryNoise, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Depths, and how sure the model is of them (0 to 1)."""
    shape = view.depth.shape
    slow = np.asarray(zoom(rng.normal(size=(9, 9)), (shape[0] / 9, shape[1] / 9), order=3))
    slow = noise.log_slow_depth * slow[: shape[0], : shape[1]]
    wrong = slow + noise.log_white_depth * rng.normal(size=shape)
    for person in np.unique(view.person[view.person >= 0]):
        wrong[view.person == person] += noise.log_person_depth * rng.normal()
    out = rng.uniform(size=shape) < noise.outlier_share
    wrong = np.where(out, noise.log_outlier_depth * rng.normal(size=shape), wrong)
    near, far = (np.asarray(f(view.depth, 3)) for f in (minimum_filter, maximum_filter))
    edge = far > near * (1 + EDGE)
    mix = rng.uniform(size=shape)
    depth = np.where(edge, near**mix * far ** (1 - mix), view.depth)
    depth = depth * np.exp(wrong + noise.log_view_depth * rng.normal())
    sure = np.exp(-((np.abs(wrong) / 0.15) ** 2)) * rng.uniform(0.75, 1.0, shape)
    sure = np.where(edge, sure * rng.uniform(0.0, 0.3, shape), sure)
    return np.where(np.isfinite(depth), depth, np.nan), sure
