"""People in VGGT's scene: their points, their scales, where they stand."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from multithumbs.backends.boundaries.point_map import side_vertices
from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.backends.boundaries.vggt_views import Views
from multithumbs.body import BodyModel
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.render.raycast import Mesh, cast
from multithumbs.solvers.boundary_scale import depth_ratio, head_pelvis_ratio, paper_ratio
from multithumbs.types import KEYPOINT_NAMES

_FACE = [
    KEYPOINT_NAMES.index(n) for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
]
_HIPS = [KEYPOINT_NAMES.index(n) for n in ("left_hip", "right_hip")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleInView:
    """Everyone of one side in the scene's own units; NaN where a person's points say nothing."""

    ratio: Float[np.ndarray, " N"]
    """Metres per unit by the rule that was asked for."""
    by_depth: Float[np.ndarray, " N"]
    """The same by depths, which places the person whatever the rule."""
    background: Bool[np.ndarray, "h w"]
    """Pixels of the network's input that show nobody."""


def people_in_view(
    side: BoundarySide,
    keypoints_cam: Float[np.ndarray, "N 23 3"],
    views: Views,
    view: int,
    body: BodyModel,
    config: VggtBoundariesConfig,
    device: str,
) -> PeopleInView:
    """Each person's scale in one view.

    Args:
        side: everyone there, their bodies as the view's own camera sees them (`through_lens`).
        keypoints_cam: those bodies' keypoints, metres.
        views: the reconstruction.
        view: 0 before the cut, 1 after it.
        body: the body model of the rows.
        config: which rule, and which points count.
        device: where to cast rays.
    """
    cells = views.fit.full_cells()
    masks = side.mask[:, cells[..., 0], cells[..., 1]]
    background = ~masks.any(0) & views.fit.content()
    clouds = np.zeros_like(masks)
    for person, mask in enumerate(masks):
        clouds[person] = person_pixels(
            mask,
            views.trust[view],
            erosion=config.mask_erosion_px,
            quantile=config.person_quantile,
            least=config.min_person_points,
        )
    count = len(side)
    by_depth, ratio = np.full(count, np.nan), np.full(count, np.nan)
    if clouds.any():
        vertices = side_vertices(side, body)
        faces = body.faces.cpu().numpy()
        net_K = views.fit.net_from_full @ views.K[view]
        meshes = [Mesh(v, faces, device=device) for v in vertices]
        hits = cast(meshes, net_K, views.fit.hw)
        for person in np.flatnonzero(clouds.any((1, 2))).tolist():
            cloud = clouds[person]
            both = cloud & (hits.mesh == person)
            if both.sum() >= config.min_person_points:
                by_depth[person] = depth_ratio(
                    hits.depth[both].astype(float), views.depth[view][both]
                )
            if config.scale == "paper":
                ratio[person] = paper_ratio(vertices[person], views.points[view][cloud])
            elif config.scale == "head_pelvis":
                ratio[person] = _head_pelvis(side, keypoints_cam, person, cloud, views, view)
            else:
                ratio[person] = by_depth[person]
    return PeopleInView(ratio=ratio, by_depth=by_depth, background=background)


def person_pixels(
    mask: Bool[np.ndarray, "h w"],
    trust: Float[np.ndarray, "h w"],
    *,
    erosion: int,
    quantile: float,
    least: int,
) -> Bool[np.ndarray, "h w"]:
    """Pixels whose points are taken to lie on the person; none where fewer than ``least``.

    Args:
        mask: of the person.
        trust: of each point; 0 where there is none.
        erosion: pixels by which the mask shrinks first.
        quantile: share of the remaining points, the least trusted, that is left out.
        least: number of points.
    """
    if erosion and mask.any():
        kernel = np.ones((2 * erosion + 1, 2 * erosion + 1), dtype=np.uint8)
        inner = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_REPLICATE)
        mask = inner.astype(bool)
    chosen = mask & (trust > 0)
    if quantile and chosen.any():
        chosen &= trust >= np.quantile(trust[chosen], quantile)
    return chosen if chosen.sum() >= least else np.zeros_like(mask)


def pelvis_in_scene(
    side: BoundarySide, people: PeopleInView, views: Views, view: int, metres_per_unit: float
) -> Float[np.ndarray, "N 3"]:
    """Where everyone's pelvis is once the scene is in metres; NaN where no point says."""
    cam = side.joints_cam[:, 0] * (metres_per_unit / people.by_depth)[:, None]
    turn, shift = views.scene_from_cam[view, :3, :3], views.scene_from_cam[view, :3, 3]
    return cam @ turn.T + shift * metres_per_unit


def _head_pelvis(
    side: BoundarySide,
    keypoints_cam: Float[np.ndarray, "N 23 3"],
    person: int,
    cloud: Bool[np.ndarray, "h w"],
    views: Views,
    view: int,
) -> float:
    face = [k for k in _FACE if side.confidence[person, k] > 0]
    if not face or (side.confidence[person, _HIPS] <= 0).any():
        return float("nan")
    head_uv = side.uv[person, face].mean(0)
    net = views.fit.net_from_full @ np.append(head_uv, 1.0)
    row, column = np.nonzero(cloud)
    away = np.hypot(row + 0.5 - net[1], column + 0.5 - net[0])
    # The head's own points: those nearest to it, as far as the face is wide, but some at least.
    near = away <= max(np.sort(away)[min(8, len(away) - 1)], 2.0)
    head_depth = float(np.median(views.depth[view][row[near], column[near]]))
    head, pelvis = keypoints_cam[person, face].mean(0), keypoints_cam[person, _HIPS].mean(0)
    return head_pelvis_ratio(
        head_uv, side.uv[person, _HIPS].mean(0), head_depth, pelvis - head, views.K[view]
    )
