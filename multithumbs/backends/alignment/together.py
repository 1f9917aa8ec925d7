"""Cameras of a reconstructed cut brought into agreement with the people on both its sides.

A feed-forward reconstruction knows the room but not who is who, and its cameras err by degrees;
monocular bodies know their own size only about. Together they fix both: everyone who is seen
from both sides is paired, and cameras, sizes and tilts are adjusted until the pairs' keypoints
meet, with the reconstruction's cameras as a prior (`solvers.two_view`).
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from multithumbs.backends.boundaries.people import body_keypoints, noise_model, view_of
from multithumbs.backends.boundaries.side import BoundarySide, through_lens
from multithumbs.body import BodyModel
from multithumbs.config.alignment import TogetherConfig
from multithumbs.config.boundaries import PeopleNoiseConfig
from multithumbs.solvers import two_view
from multithumbs.solvers.two_view_hypotheses import (
    AgreementModel,
    Hypotheses,
    enumerate_hypotheses,
    reassign,
)
from multithumbs.types import BoundaryScene

METRIC = 1.0
"""``metres_per_unit`` of a scene that was found from its people: nothing is left to adjust."""


def stand_together(
    sides: tuple[BoundarySide, BoundarySide],
    scene: BoundaryScene,
    body: BodyModel,
    config: TogetherConfig,
) -> tuple[BoundaryScene, Float[np.ndarray, " P"]]:
    """The scene with pairs and better cameras, and the size of everyone (before, then after) over
    that of their monocular fit. Unchanged where nobody can be paired."""
    ones = np.ones(sum(len(side) for side in sides))
    if scene.metres_per_unit == METRIC or min(len(side) for side in sides) == 0:
        return scene, ones
    lensed = [through_lens(side, K) for side, K in zip(sides, scene.K, strict=True)]
    a, b = (view_of(side, body_keypoints(side, body)) for side in lensed)
    cameras = scene.scene_from_cam.copy()
    cameras[:, :3, 3] *= scene.metres_per_unit
    relation = np.linalg.inv(cameras[1]) @ cameras[0]
    baseline = float(np.linalg.norm(relation[:3, 3]))
    prior = two_view.CameraPrior(
        torch.as_tensor(relation, dtype=a.uv.dtype),
        np.radians(config.rotation_std_deg),
        max(config.translation_std_of_baseline * baseline, config.translation_std_m),
    )
    found = _search(a, b, prior, config)
    if found is None:
        return scene, ones
    pairs, fit = found
    size, rows = ones.copy(), pairs.numpy()
    logs = fit.state.nuisance[0][:, [0, 3]].numpy()
    size[rows[:, 0]] = np.exp(logs[:, 0])
    size[len(sides[0]) + rows[:, 1]] = np.exp(logs[:, 1])
    moved = cameras[0] @ np.linalg.inv(fit.state.b_from_a[0].numpy())
    return _moved(scene, moved, sides, rows), size


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
    fit, explained = _adjusted(a, b, again, noise, prior, config)
    gain = ((config.max_pair_cost - fit.pair_cost) * fit.common * explained).sum(-1)
    gain = gain - (two_view.prior_residual(fit.state.b_from_a, prior) ** 2).sum(-1)
    best = int(gain.argmax())
    if not bool(explained[best].any()):
        return None
    pairs = again.pairs[best][explained[best]]
    seen = two_view.gather_pairs(a, b, pairs[None], noise)
    final = two_view.adjust(
        seen, fit.state.b_from_a[best][None], noise, prior=prior,
        max_iterations=config.max_iterations,
    )  # fmt: skip
    return pairs, final


def _adjusted(
    a: two_view.ViewPeople, b: two_view.ViewPeople, tried: Hypotheses,
    noise: two_view.NoiseModel, prior: two_view.CameraPrior, config: TogetherConfig,
) -> tuple[two_view.TwoViewFit, Tensor]:  # fmt: skip
    """The adjusted hypotheses, and which of their slots are explained."""
    seen = two_view.gather_pairs(a, b, tried.pairs, noise)
    fit = two_view.adjust(
        seen, tried.b_from_a, noise, prior=prior, max_iterations=config.max_iterations
    )
    good = (fit.pair_cost <= config.max_pair_cost) & (fit.inliers >= config.min_inliers)
    return fit, seen.used & good


def _agreement(config: TogetherConfig, transform_rad: float) -> AgreementModel:
    return AgreementModel(
        log_size=config.log_size,
        transform_rad=transform_rad,
        orientation_rad=config.orientation_rad,
        pose_m=config.pose_m,
        gate=config.gate,
    )
