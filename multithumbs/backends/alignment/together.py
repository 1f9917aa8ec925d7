"""Cameras of a reconstructed cut brought into agreement with the people on both its sides.

A feed-forward reconstruction knows the room but not who is who, and its cameras err by degrees;
monocular bodies know their own size only about. Together they fix both: everyone who is seen
from both sides is paired, and cameras, sizes and tilts are adjusted until the pairs' keypoints
meet, with the reconstruction's cameras as a prior (`solvers.two_view`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.backends.alignment.problem import METRIC, metric_cameras
from multithumbs.backends.boundaries.acceptance import rejection
from multithumbs.backends.boundaries.people import noise_model, relate, view_of
from multithumbs.backends.boundaries.side import BoundarySide, body_keypoints, resized
from multithumbs.body import BodyModel
from multithumbs.config.alignment import TogetherConfig
from multithumbs.config.boundaries import PeopleBoundariesConfig, PeopleNoiseConfig
from multithumbs.solvers import two_view
from multithumbs.solvers.two_view_hypotheses import (
    AgreementModel,
    Hypotheses,
    enumerate_hypotheses,
    reassign,
)
from multithumbs.solvers.two_view_search import TwoView
from multithumbs.solvers.two_view_visibility import missing_people
from multithumbs.types import BoundaryScene, CutStatus


def stand_together(
    sides: tuple[BoundarySide, BoundarySide],
    scene: BoundaryScene,
    body: BodyModel,
    config: TogetherConfig,
) -> tuple[BoundaryScene, tuple[BoundarySide, BoundarySide]]:
    """The scene with pairs and better cameras, and both sides, the paired in the size on which
    their views agree. Unchanged where nobody can be paired.

    ``sides`` must be seen through the scene's lenses (`through_lens`).
    """
    if scene.status is CutStatus.FAILED:
        return (_by_people_alone(sides, scene, body) if config.rescue_failed else scene), sides
    if scene.metres_per_unit == METRIC:
        return scene, sides
    if min(len(side) for side in sides) == 0:
        shared = overlap(scene, sides, config.max_depth_difference) if config.verify else 1.0
        return (scene if shared >= config.min_overlap else _no(scene)), sides
    a, b = (view_of(side, body_keypoints(side, body)) for side in sides)
    cameras = metric_cameras(scene, a.uv).numpy()
    relation = np.linalg.inv(cameras[1]) @ cameras[0]
    baseline = float(np.linalg.norm(relation[:3, 3]))
    prior = two_view.CameraPrior(
        torch.as_tensor(relation, dtype=a.uv.dtype),
        np.radians(config.rotation_std_deg),
        max(config.translation_std_of_baseline * baseline, config.translation_std_m),
    )
    found = _search(a, b, prior, config)
    if config.verify and not _one_place(found, a, b, prior, scene, sides, config):
        return _no(scene), sides
    if found is None:
        return scene, sides
    pairs, fit = found
    rows = pairs.numpy()
    factors = [np.ones(len(side)) for side in sides]
    for factor, row, log in zip(factors, rows.T, fit.state.nuisance[0].T[[0, 3]], strict=True):
        factor[row] = np.exp(log.numpy())
    moved = cameras[0] @ np.linalg.inv(fit.state.b_from_a[0].numpy())
    first, second = (resized(side, f) for side, f in zip(sides, factors, strict=True))
    return _moved(scene, moved, sides, rows), (first, second)


def _no(scene: BoundaryScene) -> BoundaryScene:
    reason = "nothing shows that both frames are of one place: neither people nor background"
    return replace(scene, status=CutStatus.FAILED, reason=reason)


def _one_place(
    found: tuple[Tensor, two_view.TwoViewFit] | None,
    a: two_view.ViewPeople,
    b: two_view.ViewPeople,
    prior: two_view.CameraPrior,
    scene: BoundaryScene,
    sides: tuple[BoundarySide, BoundarySide],
    config: TogetherConfig,
) -> bool:
    """Whether people or the background say that both frames show one place."""
    if found is not None:
        pairs, fit = found
        moved = float((two_view.prior_residual(fit.state.b_from_a, prior) ** 2).sum())
        sure = moved <= config.sure_prior_cost
        if moved <= config.max_prior_cost and not _why_not(pairs, fit, a, b, sides, sure):
            return True
    return overlap(scene, sides, config.max_depth_difference) >= config.min_overlap


def _why_not(
    pairs: Tensor,
    fit: two_view.TwoViewFit,
    a: two_view.ViewPeople,
    b: two_view.ViewPeople,
    sides: tuple[BoundarySide, BoundarySide],
    sure: bool,
) -> str:
    """What `boundaries=people` would object to in these pairs; empty where nothing.

    Where the people are ``sure`` of the reconstruction's cameras, which it found without them,
    nobody asks for those who are seen from one side only: a detector misses the half hidden.
    """
    limits = PeopleBoundariesConfig().acceptance
    height = torch.stack([a.height_px[pairs[:, 0]], b.height_px[pairs[:, 1]]], dim=-1)
    accepted = TwoView(
        b_from_a=fit.state.b_from_a[0],
        pairs=pairs,
        pair_cost=fit.pair_cost[0],
        inliers=fit.inliers[0],
        residual_px=fit.residual_px[0],
        residual_of_height=fit.residual_px[0] / height,
        log_size=fit.state.nuisance[0][:, [0, 3]],
        points_a=fit.state.points[0],
        runner_up=0.0,
        background_used=False,
    )
    if sure:
        return rejection(accepted, 0, limits)
    missing = missing_people(
        a, b, accepted.b_from_a, pairs, (sides[0].hw, sides[1].hw),
        inside_share=limits.missing_inside_share, covered_share=limits.missing_covered_share,
    )  # fmt: skip
    return rejection(accepted, missing, limits)


def overlap(scene: BoundaryScene, sides: Sequence[BoundarySide], max_difference: float) -> float:
    """The larger share of one view's background points that lie where the other view, too, sees a
    surface, within a fraction of its depth. People are no evidence: they move."""
    height, width = scene.points_scene.shape[1:3]
    cam_from_scene = np.linalg.inv(scene.scene_from_cam)
    shares = [0.0]
    rows, columns = (np.indices((height, width)) + 0.5) / [[[height]], [[width]]]
    for this, other in ((0, 1), (1, 0)):
        mask = sides[this].mask
        cell = (rows * mask.shape[1]).astype(int), (columns * mask.shape[2]).astype(int)
        people = mask[:, cell[0], cell[1]].any(0)
        points = scene.points_scene[this]
        points = points[np.isfinite(points).all(-1) & ~people]
        if not len(points):
            continue
        turn, shift = cam_from_scene[other, :3, :3], cam_from_scene[other, :3, 3]
        cam = points @ turn.T + shift
        cam = cam[cam[:, 2] > 0]
        uv = (cam @ scene.K[other].T)[:, :2] / cam[:, 2:]
        at = uv / [sides[other].hw[1], sides[other].hw[0]]
        inside = ((at >= 0) & (at < 1)).all(1)
        column, row = (at[inside] * [width, height]).astype(np.int64).T
        seen = scene.points_scene[other, row, column] @ turn[2] + shift[2]
        agree = np.abs(cam[inside, 2] - seen) <= max_difference * seen  # NaN: no point, no
        shares.append(float(agree.sum()) / len(points))
    return max(shares)


def _by_people_alone(
    sides: tuple[BoundarySide, BoundarySide], scene: BoundaryScene, body: BodyModel
) -> BoundaryScene:
    """A scene without points whose cameras its people give, if they do beyond doubt."""
    if min(len(side) for side in sides) == 0:
        return scene
    config = PeopleBoundariesConfig()
    limits = config.acceptance
    a, b = (view_of(side, body_keypoints(side, body)) for side in sides)
    found = relate(a, b, config)
    if found is None:
        return scene
    missing = missing_people(
        a, b, found.b_from_a, found.pairs, (sides[0].hw, sides[1].hw),
        inside_share=limits.missing_inside_share, covered_share=limits.missing_covered_share,
    )  # fmt: skip
    if rejection(found, missing, limits):
        return scene
    pairs = found.pairs.numpy()
    return BoundaryScene(
        status=CutStatus.ALIGNED,
        reason="",
        frame=scene.frame,
        K=np.stack([side.K for side in sides]),
        scene_from_cam=np.stack([np.eye(4), np.linalg.inv(found.b_from_a.numpy())]),
        metres_per_unit=METRIC,
        points_scene=np.full((2, 1, 1, 3), np.nan),
        confidence=np.zeros((2, 1, 1)),
        pair=np.stack([sides[0].row[pairs[:, 0]], sides[1].row[pairs[:, 1]]], axis=1),
    )


def _moved(
    scene: BoundaryScene,
    scene_from_after: Float[np.ndarray, "4 4"],
    sides: tuple[BoundarySide, BoundarySide],
    pairs: np.ndarray,
) -> BoundaryScene:
    """The scene with another camera after the cut (metres), whose points go along."""
    old = scene.scene_from_cam[1]
    new = scene_from_after.copy()
    new[:3, 3] /= scene.metres_per_unit
    points = scene.points_scene.copy()
    cam = (points[1] - old[:3, 3]) @ old[:3, :3]
    points[1] = cam @ new[:3, :3].T + new[:3, 3]
    return replace(
        scene,
        scene_from_cam=np.stack([scene.scene_from_cam[0], new]),
        points_scene=points,
        pair=np.stack([sides[0].row[pairs[:, 0]], sides[1].row[pairs[:, 1]]], axis=1),
    )


def _search(
    a: two_view.ViewPeople,
    b: two_view.ViewPeople,
    prior: two_view.CameraPrior,
    config: TogetherConfig,
) -> tuple[Tensor, two_view.TwoViewFit] | None:
    """Pairs and the adjusted relation; from the prior, and from what people alone suggest."""
    noise = noise_model(PeopleNoiseConfig())
    common, most = config.min_common_keypoints, config.max_hypotheses
    rough = _agreement(config, config.transform_rad)
    alone = enumerate_hypotheses(a, b, rough, min_common_keypoints=common, max_hypotheses=most)
    start = torch.cat([prior.b_from_a[None], alone.b_from_a])
    nothing = torch.zeros(len(start), len(a.uv), len(b.uv), dtype=torch.bool)
    tried = reassign(
        a, b, start, rough, forbidden=nothing, min_common_keypoints=common, max_hypotheses=most
    )
    if not len(tried.score):
        return None
    fit, _ = _adjusted(a, b, tried, noise, prior, config)
    again = reassign(
        a, b, fit.state.b_from_a, _agreement(config, config.refined_transform_rad),
        forbidden=nothing[: len(tried.score)], min_common_keypoints=common, max_hypotheses=most,
    )  # fmt: skip
    if not len(again.score):
        return None
    again = _and_single_pairs(again, prior.b_from_a)
    fit, explained = _adjusted(a, b, again, noise, prior, config)
    gain = ((config.max_pair_cost - fit.pair_cost) * fit.common * explained).sum(-1)
    gain = gain - (two_view.prior_residual(fit.state.b_from_a, prior) ** 2).sum(-1)
    best = int(gain.argmax())
    if not bool(explained[best].any()):
        return None
    pairs, relation = again.pairs[best][explained[best]], fit.state.b_from_a[best]
    # A pair that only a compromise with the others explained is dropped, and they are asked again.
    while len(pairs):
        seen = two_view.gather_pairs(a, b, pairs[None], noise)
        final = two_view.adjust(
            seen, relation[None], noise, prior=prior, max_iterations=config.max_iterations
        )
        good = _explained(final, config)[0]
        if bool(good.all()):
            return pairs, final
        pairs, relation = pairs[good], final.state.b_from_a[0]
    return None


def _and_single_pairs(several: Hypotheses, b_from_a: Tensor) -> Hypotheses:
    """These, and each of their pairs by itself from the prior: a wrong pair beside the right one
    spoils a hypothesis, and need not be without the other in any."""
    each = torch.unique(several.pairs.flatten(0, 1), dim=0)
    each = each[(each >= 0).all(1)]
    alone = torch.full((len(each), *several.pairs.shape[1:]), -1)
    alone[:, 0] = each
    return Hypotheses(
        pairs=torch.cat([several.pairs, alone]),
        b_from_a=torch.cat([several.b_from_a, b_from_a.expand(len(each), 4, 4)]),
        score=torch.cat([several.score, several.score.new_zeros(len(each))]),
    )


def _adjusted(
    a: two_view.ViewPeople, b: two_view.ViewPeople, tried: Hypotheses,
    noise: two_view.NoiseModel, prior: two_view.CameraPrior, config: TogetherConfig,
) -> tuple[two_view.TwoViewFit, Tensor]:  # fmt: skip
    """The adjusted hypotheses, and which of their slots are explained."""
    seen = two_view.gather_pairs(a, b, tried.pairs, noise)
    fit = two_view.adjust(
        seen, tried.b_from_a, noise, prior=prior, max_iterations=config.max_iterations
    )
    return fit, seen.used & _explained(fit, config)


def _explained(fit: two_view.TwoViewFit, config: TogetherConfig) -> Tensor:
    """Which pairs the cameras explain, (H, S)."""
    return (fit.pair_cost <= config.max_pair_cost) & (fit.inliers >= config.min_inliers)


def _agreement(config: TogetherConfig, transform_rad: float) -> AgreementModel:
    return AgreementModel(
        log_size=config.log_size,
        transform_rad=transform_rad,
        orientation_rad=config.orientation_rad,
        max_orientation_cost=float("inf"),
        pose_m=config.pose_m,
        gate=config.gate,
    )
