"""The `people` boundary back-end: two frames in one space because the same people stand in both."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from multithumbs.backends.boundaries.background import background_matches
from multithumbs.backends.boundaries.colours import colour_cost
from multithumbs.backends.boundaries.point_map import cast_points, estimate_floor, side_vertices
from multithumbs.backends.boundaries.side import BoundarySide
from multithumbs.body import BodyModel
from multithumbs.config.boundaries import (
    AcceptanceConfig,
    AgreementConfig,
    PeopleBoundariesConfig,
    PeopleNoiseConfig,
)
from multithumbs.solvers.two_view import NoiseModel, ViewPeople
from multithumbs.solvers.two_view_background import BackgroundMatches
from multithumbs.solvers.two_view_hypotheses import AgreementModel
from multithumbs.solvers.two_view_search import Acceptance, TwoView, search
from multithumbs.solvers.two_view_visibility import missing_people
from multithumbs.types import BoundaryScene, CutStatus, Masks

Images = tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]]
Sides = tuple[BoundarySide, BoundarySide]


def reconstruct(
    sides: Sides,
    images: Images,
    people_masks: tuple[np.ndarray, np.ndarray],
    body: BodyModel,
    config: PeopleBoundariesConfig,
    device: str,
) -> BoundaryScene:
    """The relative camera, a point map of both frames and who is who; FAILED with a reason.

    Args:
        sides: everyone at the frames before and after the cut.
        images: the two boundary frames, RGB.
        people_masks: (H, W) bool per frame, true on anyone, so that background is static.
        body: the body model of the rows.
        config: see `PeopleBoundariesConfig`.
        device: where to cast rays.
    """
    for side, where in zip(sides, ("before", "after"), strict=True):
        if len(side) == 0:
            return failed(sides, f"nobody is seen {where} the cut")
    keypoints = (_body_keypoints(sides[0], body), _body_keypoints(sides[1], body))
    before, after = (_view(side, points) for side, points in zip(sides, keypoints, strict=True))
    K = np.stack([side.K for side in sides])
    matches = None
    if config.background.enabled:
        matches = background_matches(images, people_masks, K, config.background)
    colours = colour_cost(images, sides, config.appearance) if config.appearance.weight else None
    found = relate(before, after, config, dissimilarity=colours, background=matches)
    missing = 0
    if found is not None:
        missing = missing_people(
            before,
            after,
            found.b_from_a,
            found.pairs,
            (sides[0].hw, sides[1].hw),
            inside_share=config.acceptance.missing_inside_share,
            covered_share=config.acceptance.missing_covered_share,
        )
    reason = rejection(found, missing, config.acceptance)
    if found is not None and colours is not None and not reason:
        mean = float(colours[found.pairs[:, 0].numpy(), found.pairs[:, 1].numpy()].mean())
        if mean > config.appearance.max_mean_cost:
            reason = (
                f"the people who fit are dressed otherwise (colour cost {mean:.1f} of at most "
                f"{config.appearance.max_mean_cost:.1f})"
            )
    if found is None or reason:
        return failed(sides, reason)
    before_from_after = np.linalg.inv(found.b_from_a.numpy())
    scene_from_cam = np.stack([np.eye(4), before_from_after])
    floor = estimate_floor(scene_from_cam, sides, keypoints)
    maps = [
        _side_map(side, body, transform, floor, config, device)
        for side, transform in zip(sides, scene_from_cam, strict=True)
    ]
    rows = found.pairs.numpy()
    return BoundaryScene(
        status=CutStatus.ALIGNED,
        reason="",
        frame=np.array([side.frame for side in sides], dtype=np.int64),
        K=K,
        scene_from_cam=scene_from_cam,
        metres_per_unit=1.0,
        points_scene=np.stack([points for points, _ in maps]),
        confidence=np.stack([confidence for _, confidence in maps]),
        pair=np.stack([sides[0].row[rows[:, 0]], sides[1].row[rows[:, 1]]], axis=1),
    )


def relate(
    before: ViewPeople,
    after: ViewPeople,
    config: PeopleBoundariesConfig,
    *,
    dissimilarity: Float[np.ndarray, "Na Nb"] | None = None,
    background: BackgroundMatches | None = None,
) -> TwoView | None:
    """`search` with this configuration's numbers."""
    like = before.uv
    extra = None
    if dissimilarity is not None:
        extra = torch.as_tensor(dissimilarity, dtype=like.dtype, device=like.device)
    return search(
        before,
        after,
        _noise(config.noise),
        _agreement(config.agreement, config.agreement.transform_rad, config.noise),
        _agreement(config.agreement, config.agreement.refined_transform_rad, config.noise),
        Acceptance(
            min_common_keypoints=config.acceptance.min_common_keypoints,
            max_pair_cost=config.acceptance.max_pair_cost,
            min_inliers=config.acceptance.min_inliers,
            max_hypotheses=config.agreement.max_hypotheses,
            max_tension=config.background.max_tension,
        ),
        dissimilarity=extra,
        background=background,
        max_iterations=config.max_iterations,
    )


def rejection(found: TwoView | None, missing: int, config: AcceptanceConfig) -> str:
    """Why a result is not to be believed; empty where it is.

    ``missing`` counts people whom the other camera should see and does not.
    """
    if found is None:
        return "no person of one side agrees with any person of the other side"
    single = len(found.pairs) == 1
    cost, inliers = float(found.pair_cost.mean()), float(found.inliers.min())
    residual = float(found.residual_of_height.square().mean().sqrt())
    max_cost = config.max_single_cost if single else config.max_mean_cost
    min_inliers = config.min_single_inliers if single else config.min_inliers
    max_residual = config.max_single_residual if single else config.max_residual_of_height
    if cost > max_cost or inliers < min_inliers or residual > max_residual:
        return (
            f"{len(found.pairs)} common people fit too loosely: cost {cost:.2f} (at most "
            f"{max_cost:.2f}), {inliers:.0%} of keypoints agree (at least {min_inliers:.0%}), off "
            f"by {residual:.1%} of a height (at most {max_residual:.1%})"
        )
    if missing > config.max_missing_per_pair * (len(found.pairs) - 1):
        return (
            f"{missing} people should be seen from the other side of the cut and are not, "
            f"with {len(found.pairs)} matched"
        )
    return ""


def failed(sides: Sides, reason: str) -> BoundaryScene:
    """The scene of a cut whose sides share no space that could be found."""
    return BoundaryScene(
        status=CutStatus.FAILED,
        reason=reason,
        frame=np.array([side.frame for side in sides], dtype=np.int64),
        K=np.stack([side.K for side in sides]),
        scene_from_cam=np.stack([np.eye(4), np.eye(4)]),
        metres_per_unit=1.0,
        points_scene=np.zeros((2, 0, 0, 3)),
        confidence=np.zeros((2, 0, 0)),
        pair=np.zeros((0, 2), dtype=np.int64),
    )


def people_mask(masks: Masks, rows: np.ndarray) -> np.ndarray:
    """Union of the masks of some rows."""
    union = np.zeros(masks.hw, dtype=bool)
    for row in rows:
        union |= masks.dense(int(row))
    return union


def _noise(config: PeopleNoiseConfig) -> NoiseModel:
    return NoiseModel(
        keypoint_of_height=config.keypoint_of_height,
        log_size=config.log_size,
        log_fit=config.log_fit,
        tilt=config.tilt_rad,
        relative_depth_m=config.relative_depth_m,
        outlier_sigmas=config.outlier_sigmas,
    )


def _agreement(
    config: AgreementConfig, transform_rad: float, noise: PeopleNoiseConfig
) -> AgreementModel:
    return AgreementModel(
        log_size=noise.log_size,
        transform_rad=transform_rad,
        orientation_rad=config.orientation_rad,
        pose_m=config.pose_m,
        gate=config.gate,
    )


def _body_keypoints(side: BoundarySide, body: BodyModel) -> Float[np.ndarray, "N 23 3"]:
    pose, betas, transl = (
        torch.as_tensor(values, dtype=body.dtype, device=body.device)
        for values in (side.pose, side.betas, side.transl)
    )
    return body.posed(pose, betas, transl).keypoints.cpu().numpy()


def _view(side: BoundarySide, keypoints: Float[np.ndarray, "N 23 3"]) -> ViewPeople:
    pelvis = side.joints_cam[:, 0]
    stature = _stature(side)
    arrays = (
        side.K,
        side.uv,
        side.confidence,
        keypoints,
        pelvis,
        side.K[0, 0] * stature / np.maximum(pelvis[:, 2], 0.1),
        stature,
    )
    return ViewPeople(*(torch.as_tensor(array, dtype=torch.float64) for array in arrays))


def _stature(side: BoundarySide) -> Float[np.ndarray, " N"]:
    """Length of the legs and the spine along the bones, which no pose changes, metres."""
    chain = (7, 4, 1, 0, 3, 6, 9, 12, 15)  # left ankle up to the head joint
    steps = np.diff(side.joints_cam[:, list(chain)], axis=1)
    # Above the head joint and below the ankle another tenth of a person remains.
    return 1.15 * np.linalg.norm(steps, axis=2).sum(1)


def _side_map(
    side: BoundarySide,
    body: BodyModel,
    scene_from_cam: Float[np.ndarray, "4 4"],
    floor_scene: tuple[np.ndarray, np.ndarray] | None,
    config: PeopleBoundariesConfig,
    device: str,
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """The point map of one frame in ``scene``.

    Bodies stand where their own camera alone puts them: `alignment` holds their size, so points
    at another depth would turn its cameras instead of moving them.
    """
    rotation, translation = scene_from_cam[:3, :3], scene_from_cam[:3, 3]
    floor_cam = None
    if floor_scene is not None:
        point, normal = floor_scene
        floor_cam = (rotation.T @ (point - translation), rotation.T @ normal)
    points, confidence = cast_points(
        side_vertices(side, body),
        body.faces.cpu().numpy(),
        side.body_confidence,
        floor_cam,
        side.K,
        side.hw,
        config.point_map,
        device,
    )
    return points @ rotation.T + translation, confidence
