"""The `people` boundary back-end: two frames in one space because the same people stand in both."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8

from multithumbs.backends.boundaries.acceptance import other_clothes, rejection
from multithumbs.backends.boundaries.background import background_matches, turned_camera
from multithumbs.backends.boundaries.colours import Clothes, compare_looks
from multithumbs.backends.boundaries.point_map import cast_points, estimate_floor, side_vertices
from multithumbs.backends.boundaries.side import BoundarySide, body_keypoints
from multithumbs.backends.room_view import PERSON_MARGIN, room_axes, up_of_people
from multithumbs.backends.straight_edges import reduced_hw
from multithumbs.body import BodyModel
from multithumbs.config.boundaries import (
    AgreementConfig,
    PeopleBoundariesConfig,
    PeopleNoiseConfig,
)
from multithumbs.solvers.pose_graph_room import quarter_turns
from multithumbs.solvers.two_view import NoiseModel, ViewPeople
from multithumbs.solvers.two_view_background import BackgroundMatches
from multithumbs.solvers.two_view_hypotheses import AgreementModel
from multithumbs.solvers.two_view_search import Acceptance, KnownTurns, TwoView, search
from multithumbs.solvers.two_view_visibility import misplaced_people, missing_people
from multithumbs.types import BoundaryScene, CutStatus, Masks

Images = tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W 3"]]
Sides = tuple[BoundarySide, BoundarySide]


@dataclass(frozen=True, slots=True)
class Relation:
    """How two frames stand to each other."""

    after_from_before: Float[np.ndarray, "4 4"]
    pair: Int64[np.ndarray, "M 2"]
    """Entries of both sides that are one person."""


def reconstruct(
    sides: Sides,
    images: Images,
    people_masks: tuple[np.ndarray, np.ndarray],
    body: BodyModel,
    config: PeopleBoundariesConfig,
    device: str,
    clothes: tuple[Clothes, Clothes] | None = None,
) -> BoundaryScene:
    """The relative camera, a point map of both frames and who is who; FAILED with a reason.

    Where both frames show a room, only the rotations that its straight edges allow are tried.

    Args:
        sides: everyone at the frames before and after the cut.
        images: the two boundary frames, RGB.
        people_masks: (H, W) bool per frame, true on anyone, so that background is static.
        body: the body model of the rows.
        config: see `PeopleBoundariesConfig`.
        device: where to cast rays.
        clothes: textures of the sides' people, where there are any.
    """
    K = np.stack([side.K for side in sides])
    matches = None
    if config.background.enabled:
        matches = background_matches(images, people_masks, K, config.background)
    keypoints = (body_keypoints(sides[0], body), body_keypoints(sides[1], body))
    turns = room_turns(sides, images, people_masks, config)
    relation = relate_by_people(sides, keypoints, images, matches, config, clothes, turns)
    if isinstance(relation, str):
        turn = turned_camera(matches, (sides[0].hw, sides[1].hw), config.background)
        if turn is None:
            return failed(sides, relation)
        relation = Relation(turn, np.zeros((0, 2), dtype=np.int64))
    scene_from_cam = np.stack([np.eye(4), np.linalg.inv(relation.after_from_before)])
    floor = estimate_floor(scene_from_cam, sides, keypoints)
    maps = [
        _side_map(side, body, transform, floor, config, device)
        for side, transform in zip(sides, scene_from_cam, strict=True)
    ]
    pair = relation.pair
    return BoundaryScene(
        status=CutStatus.ALIGNED,
        reason="",
        frame=np.array([side.frame for side in sides], dtype=np.int64),
        K=K,
        scene_from_cam=scene_from_cam,
        metres_per_unit=1.0,
        points_scene=np.stack([points for points, _ in maps]),
        confidence=np.stack([confidence for _, confidence in maps]),
        pair=np.stack([sides[0].row[pair[:, 0]], sides[1].row[pair[:, 1]]], axis=1),
    )


def relate_by_people(
    sides: Sides,
    keypoints: tuple[Float[np.ndarray, "_ 23 3"], Float[np.ndarray, "_ 23 3"]],
    images: Images,
    matches: BackgroundMatches | None,
    config: PeopleBoundariesConfig,
    clothes: tuple[Clothes, Clothes] | None = None,
    turns: KnownTurns | None = None,
) -> Relation | str:
    """The relation that common people give, or why there is none to believe."""
    for side, where in zip(sides, ("before", "after"), strict=True):
        if len(side) == 0:
            return f"nobody is seen {where} the cut"
    before, after = (view_of(side, points) for side, points in zip(sides, keypoints, strict=True))
    acceptance = config.acceptance if turns is None else config.turned_acceptance
    looks = compare_looks(images, sides, clothes, config.appearance)
    unlike = None if looks is None else looks.total
    found = relate(before, after, config, dissimilarity=unlike, background=matches, turns=turns)
    if found is None:
        return "no person of one side agrees with any person of the other side"
    missing = missing_people(
        before,
        after,
        found.b_from_a,
        found.pairs,
        (sides[0].hw, sides[1].hw),
        inside_share=acceptance.missing_inside_share,
        covered_share=acceptance.missing_covered_share,
    )
    cost = None
    if looks is not None:
        cost = looks.mean_cost(found.pairs.numpy())
        missing += misplaced_people(
            before,
            after,
            found.b_from_a,
            found.pairs,
            torch.from_numpy(looks.total).to(before.uv),
            alike_cost=acceptance.alike_cost,
            max_offset_of_height=acceptance.max_alike_offset,
        )
    reason = rejection(found, missing, acceptance, cost)
    if not reason and looks is not None:
        reason = other_clothes(found, looks, config.appearance)
    return reason or Relation(found.b_from_a.numpy(), found.pairs.numpy())


def relate(
    before: ViewPeople,
    after: ViewPeople,
    config: PeopleBoundariesConfig,
    *,
    dissimilarity: Float[np.ndarray, "Na Nb"] | None = None,
    background: BackgroundMatches | None = None,
    turns: KnownTurns | None = None,
) -> TwoView | None:
    """`search` with this configuration's numbers."""
    like = before.uv
    extra = None
    if dissimilarity is not None:
        extra = torch.as_tensor(dissimilarity, dtype=like.dtype, device=like.device)
    agreement, acceptance = config.agreement, config.acceptance
    if turns is not None:
        agreement, acceptance = config.turned_agreement, config.turned_acceptance
    return search(
        before,
        after,
        noise_model(config.noise),
        _agreement(agreement, agreement.transform_rad, config.noise),
        _agreement(agreement, agreement.refined_transform_rad, config.noise),
        Acceptance(
            min_common_keypoints=acceptance.min_common_keypoints,
            max_pair_cost=acceptance.max_pair_cost,
            min_inliers=acceptance.min_inliers,
            max_hypotheses=agreement.max_hypotheses,
            max_tension=config.background.max_tension,
        ),
        dissimilarity=extra,
        background=background,
        turns=turns,
        max_iterations=config.max_iterations,
    )


def room_turns(
    sides: Sides,
    images: Images,
    people_masks: tuple[np.ndarray, np.ndarray],
    config: PeopleBoundariesConfig,
) -> KnownTurns | None:
    """``after_from_before`` as far as a room tells it that both frames show clearly."""
    if not config.room.enabled or min(len(side) for side in sides) == 0:
        return None
    rooms = []
    for side, image, people in zip(sides, images, people_masks, strict=True):
        height, width = reduced_hw(side.hw, config.room.width_px)
        grow = max(2, round(PERSON_MARGIN * height / 4))
        covered = cv2.resize(people.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
        covered = cv2.dilate(covered, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
        up = up_of_people(side.joints_cam, side.body_confidence)
        room = room_axes(image, covered == 0, side.K, up, config.room)
        if room is None:
            return None
        rooms.append(room)
    turns = torch.from_numpy(quarter_turns(rooms[1], rooms[0]))
    return KnownTurns(turns, float(np.radians(config.room.rotation_std_deg)))


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


def noise_model(config: PeopleNoiseConfig) -> NoiseModel:
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
        max_orientation_cost=config.max_orientation_cost,
        pose_m=config.pose_m,
        gate=config.gate,
    )


def view_of(side: BoundarySide, keypoints: Float[np.ndarray, "N 23 3"]) -> ViewPeople:
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
