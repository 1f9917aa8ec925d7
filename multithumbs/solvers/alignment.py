"""Eq. 1-5 of the paper: posed bodies, two cameras, and what both must agree with.

Pose and shape are fixed in Algorithm 1, so a posed body is rigid: it is posed once and every
evaluation moves a few hundred points. All bodies ``P`` of the ``F`` boundary frames of ``C`` cuts
are one batch; ``view`` says which frame each belongs to.

Units. ``L_2D`` sums squared distances between projected and detected keypoints, in units of
``keypoint_unit_px`` pixels (1: pixels), each times the keypoint's confidence. ``L_sil`` sums
distances in pixels from vertices that project outside their mask to its boundary. ``L_depth``
sums squared distances in metres. All three are sums, as printed, over a cut's people, keypoints and
the vertices given. Vertices that leave the image have no mask to obey and cost nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from multithumbs.geometry import projection, rigid, rotations
from multithumbs.geometry.grouping import sum_by_group


class AlignmentProblem(NamedTuple):
    """What stays fixed while people and cameras move."""

    view: Int64[Tensor, " P"]
    """The boundary frame that sees the body: 2c is the one before cut c, 2c + 1 the one after."""
    K: Float[Tensor, "F 3 3"]
    hw: tuple[int, int]
    keypoints: Float[Tensor, "P J 3"]
    """Keypoints of the body with no global rotation, relative to its pelvis, metres."""
    vertices: Float[Tensor, "P V 3"]
    """The same for some of its vertices."""
    paired: Bool[Tensor, "P V"]
    """Vertices that may be paired with scene points."""
    uv: Float[Tensor, "P J 2"]
    confidence: Float[Tensor, "P J"]
    outside: Float[Tensor, "P h w"]
    """Distance from each pixel to the person's mask, pixels; 0 inside, and everywhere for a
    person without a mask."""
    inside: Bool[Tensor, "P h w"]
    """The mask itself."""
    points: Float[Tensor, "F y x 3"]
    """The point maps, in the cut's scene; NaN where there is no point."""
    pair: Int64[Tensor, "M 2"]
    """Bodies believed to be one person, one of either side of a cut; each in one pair at most."""

    @property
    def num_cuts(self) -> int:
        return len(self.K) // 2

    @property
    def frames(self) -> Int64[Tensor, " F"]:
        """All boundary frames, numbered as in ``view``."""
        return torch.arange(len(self.K), device=self.K.device)

    def sum_by_cut(
        self, values: Float[Tensor, "N *rest"], view: Int64[Tensor, " N"]
    ) -> Float[Tensor, " C"]:
        """Everything that belongs to the two views of each cut, added up."""
        if self.num_cuts == 1:  # as the stage has it; nothing to scatter
            return values.sum()[None]
        return sum_by_group(values.flatten(1).sum(1), view // 2, self.num_cuts)


class AlignmentWeights(NamedTuple):
    """The lambdas of one stage."""

    keypoints: float
    silhouette: float
    depth: float
    keypoint_unit_px: float
    pair: float = 0.0
    """Ours: squared metres between the pelvises of a pair; 0 is the paper."""
    camera: float = 0.0
    """Ours: squared metres and radians from the scene's own cameras; 0 is the paper."""


class AlignmentState(NamedTuple):
    rotation: Float[Tensor, "P 3 3"]
    """Global orientation in ``scene``."""
    pelvis: Float[Tensor, "P 3"]
    """Metres in ``scene``."""
    cam_from_scene: Float[Tensor, "F 4 4"]


class Placed(NamedTuple):
    """All points of a state, in the scene and in the image."""

    keypoints_turned: Float[Tensor, "P J 3"]
    keypoints_cam: Float[Tensor, "P J 3"]
    keypoints_uv: Float[Tensor, "P J 2"]
    vertices_turned: Float[Tensor, "P V 3"]
    vertices_scene: Float[Tensor, "P V 3"]
    vertices_cam: Float[Tensor, "P V 3"]
    vertices_uv: Float[Tensor, "P V 2"]


class Lookup(NamedTuple):
    """What mask, distance transform and point map say about every vertex."""

    distance: Float[Tensor, "P V"]
    slope: Float[Tensor, "P V 2"]
    """Derivative of ``distance`` by the pixel."""
    points: Float[Tensor, "P V 3"]
    paired: Float[Tensor, "P V"]
    """1 where a vertex projects into its mask and the map has a point there."""


class AlignmentLoss(NamedTuple):
    """The terms of Eq. 1 for each cut, unweighted, and our own."""

    keypoints: Float[Tensor, " C"]
    silhouette: Float[Tensor, " C"]
    depth: Float[Tensor, " C"]
    pair: Float[Tensor, " C"]
    camera: Float[Tensor, " C"]

    def paper(self, weights: AlignmentWeights) -> Float[Tensor, " C"]:
        """Eq. 1."""
        return (
            weights.keypoints * self.keypoints
            + weights.silhouette * self.silhouette
            + weights.depth * self.depth
        )

    def total(self, weights: AlignmentWeights) -> Float[Tensor, " C"]:
        return self.paper(weights) + weights.pair * self.pair + weights.camera * self.camera


def joined(
    problems: Sequence[AlignmentProblem], states: Sequence[AlignmentState]
) -> tuple[AlignmentProblem, AlignmentState]:
    """Several cuts as one problem, each of which ends as it would alone.

    Their images, masks and point maps are of one size, as those of a video are.
    """
    view, pair, views, bodies = [], [], 0, 0
    for problem in problems:
        view.append(problem.view + views)
        pair.append(problem.pair + bodies)
        views, bodies = views + len(problem.K), bodies + len(problem.view)
    stacked = {
        name: torch.cat([getattr(problem, name) for problem in problems])
        for name in AlignmentProblem._fields
        if name not in ("view", "hw", "pair")
    }
    whole = AlignmentProblem(
        view=torch.cat(view), hw=problems[0].hw, pair=torch.cat(pair), **stacked
    )
    return whole, AlignmentState(*(torch.cat(parts) for parts in zip(*states, strict=True)))


def place(state: AlignmentState, problem: AlignmentProblem) -> Placed:
    """Turn and move every body, and project it with its frame's camera."""
    cameras = state.cam_from_scene[problem.view]
    K = problem.K[problem.view]
    turned = [
        points @ state.rotation.transpose(-1, -2)
        for points in (problem.keypoints, problem.vertices)
    ]
    scene = [points + state.pelvis[:, None] for points in turned]
    cam = [rigid.apply(cameras, points) for points in scene]
    uv = [projection.project(points, K) for points in cam]
    return Placed(turned[0], cam[0], uv[0], turned[1], scene[1], cam[1], uv[1])


def look_up(placed: Placed, problem: AlignmentProblem, *, points: bool) -> Lookup:
    """Sample the fixed maps at the projected vertices; ``points`` asks for depth pairs too."""
    height, width = problem.hw
    uv, depth = placed.vertices_uv.detach(), placed.vertices_cam.detach()[..., 2]
    size = uv.new_tensor([width, height])
    visible = ((uv >= 0) & (uv < size)).all(-1) & (depth > projection.MIN_DEPTH_M)
    distance, slope = _bilinear(problem.outside, uv, problem.hw)
    distance = torch.where(visible, distance, torch.zeros_like(distance))
    slope = torch.where(visible[..., None], slope, torch.zeros_like(slope))
    if not points:
        none = torch.zeros_like(distance)
        return Lookup(distance, slope, torch.zeros_like(placed.vertices_cam), none)
    person = torch.arange(len(uv), device=uv.device)[:, None]
    row, column = _cell(uv, problem.hw, (problem.inside.shape[1], problem.inside.shape[2]))
    in_mask = visible & problem.paired & problem.inside[person, row, column]
    row, column = _cell(uv, problem.hw, (problem.points.shape[1], problem.points.shape[2]))
    scene_points = problem.points[problem.view[:, None], row, column]
    paired = in_mask & scene_points.isfinite().all(-1)
    scene_points = torch.where(paired[..., None], scene_points, torch.zeros_like(scene_points))
    return Lookup(distance, slope, scene_points, paired.to(distance.dtype))


def loss(
    state: AlignmentState,
    problem: AlignmentProblem,
    weights: AlignmentWeights,
    anchor: Float[Tensor, "F 4 4"],
) -> AlignmentLoss:
    """All terms; differentiable by autograd (the lookups enter as the paper uses them).

    ``anchor``: the scene's own ``cam_from_scene``, for the camera term.
    """
    placed = place(state, problem)
    view = problem.view
    none = placed.keypoints_uv.new_zeros(problem.num_cuts)
    error = (placed.keypoints_uv - problem.uv) / weights.keypoint_unit_px
    keypoints = problem.sum_by_cut(problem.confidence * (error**2).sum(-1), view)
    silhouette = depth = pair = camera = none
    if weights.silhouette or weights.depth:
        at = look_up(placed, problem, points=weights.depth > 0)
        # First-order: the sampled distance with its slope, so that autograd sees the pixel.
        shift = placed.vertices_uv - placed.vertices_uv.detach()
        silhouette = problem.sum_by_cut(at.distance + (at.slope * shift).sum(-1), view)
        off = placed.vertices_scene - at.points
        depth = problem.sum_by_cut(at.paired * (off**2).sum(-1), view)
    if weights.pair:
        pair = problem.sum_by_cut(pair_offsets(state, problem) ** 2, view[problem.pair[:, 0]])
    if weights.camera:
        camera = problem.sum_by_cut(
            camera_offsets(state.cam_from_scene, anchor) ** 2, problem.frames
        )
    return AlignmentLoss(keypoints, silhouette, depth, pair, camera)


def pair_offsets(state: AlignmentState, problem: AlignmentProblem) -> Float[Tensor, "M 3"]:
    """Between the pelvises of each pair, metres."""
    return state.pelvis[problem.pair[:, 0]] - state.pelvis[problem.pair[:, 1]]


def camera_offsets(
    cam_from_scene: Float[Tensor, "F 4 4"], anchor: Float[Tensor, "F 4 4"]
) -> Float[Tensor, "F 6"]:
    """Rotation (radians) and translation (metres) from the scene's cameras, in their axes."""
    moved = cam_from_scene @ rigid.inverse(anchor)
    turn = rotations.axis_angle_from_matrix(moved[:, :3, :3])
    return torch.cat([turn, moved[:, :3, 3]], dim=-1)


def residual_px(state: AlignmentState, problem: AlignmentProblem) -> Float[Tensor, " P"]:
    """Confidence-weighted root mean square keypoint residual of each body, pixels."""
    squared = ((place(state, problem).keypoints_uv - problem.uv) ** 2).sum(-1)
    total = problem.confidence.sum(-1).clamp_min(1e-9)
    return ((problem.confidence * squared).sum(-1) / total).sqrt()


def initial_state(
    problem: AlignmentProblem,
    rotation_cam: Float[Tensor, "P 3 3"],
    pelvis_cam: Float[Tensor, "P 3"],
    root_uv: Float[Tensor, "P 2"],
    root_seen: Bool[Tensor, " P"],
    scene_from_cam: Float[Tensor, "F 4 4"],
) -> AlignmentState:
    """Stage 1 of Algorithm 1: each root at the scene point behind its 2D root.

    Its 500 iterations repeat one assignment. Where the root is not seen or has no point the
    body stays where its own camera put it.
    """
    frames = scene_from_cam[problem.view]
    grid = (problem.points.shape[1], problem.points.shape[2])
    row, column = _cell(root_uv, problem.hw, grid)
    points = problem.points[problem.view, row, column]
    own = rigid.apply(frames, pelvis_cam[:, None])[:, 0]
    use = root_seen & points.isfinite().all(-1)
    pelvis = torch.where(use[:, None], points, own)
    return AlignmentState(frames[:, :3, :3] @ rotation_cam, pelvis, rigid.inverse(scene_from_cam))


def first_camera_as_scene(state: AlignmentState) -> AlignmentState:
    """One cut's state in the axes of camera 0 (Eq. 1 leaves the gauge to its starting point)."""
    move = state.cam_from_scene[0]
    return AlignmentState(
        move[:3, :3] @ state.rotation,
        rigid.apply(move, state.pelvis),
        state.cam_from_scene @ rigid.inverse(move),
    )


def _cell(
    uv: Float[Tensor, "*batch 2"], hw: tuple[int, int], grid: tuple[int, int]
) -> tuple[Int64[Tensor, "*batch"], Int64[Tensor, "*batch"]]:
    """Row and column of the cell of a grid over the image that holds each pixel."""
    scale = uv.new_tensor([grid[1] / hw[1], grid[0] / hw[0]])
    cell = (uv * scale).nan_to_num().floor().long()
    return cell[..., 1].clamp(0, grid[0] - 1), cell[..., 0].clamp(0, grid[1] - 1)


def _bilinear(
    maps: Float[Tensor, "P h w"], uv: Float[Tensor, "P V 2"], hw: tuple[int, int]
) -> tuple[Float[Tensor, "P V"], Float[Tensor, "P V 2"]]:
    """Value and derivative by the full image's pixel; the border is repeated outward."""
    grid = (maps.shape[1], maps.shape[2])
    scale = uv.new_tensor([grid[1] / hw[1], grid[0] / hw[0]])
    last = uv.new_tensor([grid[1] - 1, grid[0] - 1])
    at = torch.minimum((uv * scale - 0.5).clamp_min(0), last)
    low = torch.minimum(at.floor(), (last - 1).clamp_min(0))
    fx, fy = (at - low).unbind(-1)
    x, y = low.long().unbind(-1)
    person = torch.arange(len(maps), device=uv.device)[:, None]
    right, below = (x + 1).clamp_max(grid[1] - 1), (y + 1).clamp_max(grid[0] - 1)
    flat = maps.flatten(1)
    corner = [flat[person, r * grid[1] + c] for r in (y, below) for c in (x, right)]
    top, bottom = torch.lerp(corner[0], corner[1], fx), torch.lerp(corner[2], corner[3], fx)
    slope_x = torch.lerp(corner[1] - corner[0], corner[3] - corner[2], fy)
    return torch.lerp(top, bottom, fy), torch.stack([slope_x, bottom - top], -1) * scale
