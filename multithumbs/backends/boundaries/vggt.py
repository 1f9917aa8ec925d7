"""The `vggt` boundary back-end: VGGT on the boundary frames, metres from the people in them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from multithumbs.backends.boundaries.side import BoundarySide, body_keypoints, through_lens
from multithumbs.backends.boundaries.vggt_input import Fit, fit_frame, network_image
from multithumbs.backends.boundaries.vggt_people import (
    PeopleInView,
    pelvis_in_scene,
    people_in_view,
)
from multithumbs.backends.boundaries.vggt_views import Views, grid_of, overlap, views_of
from multithumbs.body import BodyModel
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.models.vggt import Prediction, Vggt, official_key
from multithumbs.models.weights import load_strict, read_tensors
from multithumbs.solvers.boundary_scale import clear_pairs, combine, log_spread
from multithumbs.types import BoundaryScene, CutStatus

Images = Sequence[UInt8[np.ndarray, "H W 3"]]
Sides = tuple[BoundarySide, BoundarySide]


def reconstruct(
    sides: Sides,
    images: Images,
    body: BodyModel,
    config: VggtBoundariesConfig,
    load: Callable[[], Vggt],
    device: str,
) -> BoundaryScene:
    """Cameras, a point map and the scale of a cut; FAILED with a reason.

    Args:
        sides: everyone at the frames before and after the cut.
        images: the boundary frames, then any further ones that the network shall see, RGB.
        body: the body model of the rows.
        config: see `VggtBoundariesConfig`.
        load: gives the network on its device (see `load_network`).
        device: where it runs.
    """
    if max(len(side) for side in sides) == 0:
        # Nothing can give the scale, so the network is not asked.
        return failed(sides, "nobody is seen on either side of the cut: nothing gives the scale")
    fit = _fit(images[0], config)
    network = load()
    prediction = predict(network, images, fit, device)
    views = views_of(prediction, fit, points=config.points, min_confidence=config.min_confidence)
    return scene_from_views(sides, views, body, config, device)


def load_network(config: VggtBoundariesConfig, checkpoint: Path, device: str) -> Vggt:
    """The network on its device; its trunk's products in bfloat16 on CUDA."""
    point_head = config.points == "point_head"
    with torch.device("meta"):
        network = Vggt(config.architecture, point_head=point_head)
    load_strict(
        network,
        read_tensors(checkpoint),
        name=config.weights,
        keep=partial(official_key, point_head=point_head),
    )
    return ready(network, device)


def ready(network: Vggt, device: str) -> Vggt:
    """The loaded network for evaluation on its device."""
    network.eval().requires_grad_(requires_grad=False).to(device)
    if device.startswith("cuda"):
        network.round_trunk(torch.bfloat16)
    return network


def predict(network: Vggt, images: Images, fit: Fit, device: str) -> Prediction:
    """The network's answer; the first image is the reference."""
    stacked = torch.stack([network_image(image, fit) for image in images])[None].to(device)
    dtype = torch.bfloat16 if device.startswith("cuda") else None
    with torch.inference_mode():
        return network(stacked, trunk_dtype=dtype)


def scene_from_views(
    sides: Sides, views: Views, body: BodyModel, config: VggtBoundariesConfig, device: str
) -> BoundaryScene:
    """The scene of a reconstruction, with metres from its people; FAILED with a reason."""
    if not views.usable:
        return failed(sides, "VGGT's cameras are not finite")
    if not np.isfinite(views.depth).any((1, 2)).all():
        return failed(sides, "VGGT has no point that can be trusted in one of the frames")
    lensed = [through_lens(side, K) for side, K in zip(sides, views.K, strict=True)]
    people = [
        people_in_view(side, body_keypoints(side, body), views, view, body, config, device)
        for view, side in enumerate(lensed)
    ]
    ratios = np.concatenate([p.ratio for p in people])
    scale = combine(ratios, config.scale)
    if not np.isfinite(scale):
        return failed(
            sides,
            f"no person's points give the scale ({len(ratios)} people; scale={config.scale} needs "
            f"masks with at least {config.min_person_points} trusted points"
            f"{', a face and both hips' if config.scale == 'head_pelvis' else ''})",
        )
    reason = _contradiction(ratios, scale, people, config)
    if reason:
        return failed(sides, reason)
    common = config.common_place
    pelvis = [
        pelvis_in_scene(side, seen, views, view, scale)
        for view, (side, seen) in enumerate(zip(lensed, people, strict=True))
    ]
    pair = clear_pairs(*pelvis, max_distance=common.max_pair_m, min_margin=common.min_margin_m)
    reason = _no_common_place(views, people, len(pair), config) if common.required else ""
    if reason:
        return failed(sides, reason)
    points, confidence = grid_of(views, config.grid_px)
    return BoundaryScene(
        status=CutStatus.ALIGNED,
        reason="",
        frame=_frames(sides),
        K=views.K,
        scene_from_cam=views.scene_from_cam,
        metres_per_unit=scale,
        points_scene=points,
        confidence=confidence,
        pair=np.stack([sides[0].row[pair[:, 0]], sides[1].row[pair[:, 1]]], axis=1),
    )


def failed(sides: Sides, reason: str) -> BoundaryScene:
    """The scene of a cut that could not be reconstructed."""
    return BoundaryScene(
        status=CutStatus.FAILED,
        reason=reason,
        frame=_frames(sides),
        K=np.stack([side.K for side in sides]),
        scene_from_cam=np.stack([np.eye(4), np.eye(4)]),
        metres_per_unit=1.0,
        points_scene=np.zeros((2, 0, 0, 3)),
        confidence=np.zeros((2, 0, 0)),
        pair=np.zeros((0, 2), dtype=np.int64),
    )


def _contradiction(
    ratios: Float[np.ndarray, " N"],
    scale: float,
    people: list[PeopleInView],
    config: VggtBoundariesConfig,
) -> str:
    """Why a scale is not to be believed; empty where people, and the depths that they stand at,
    agree about it."""
    limit = np.exp(config.max_log_spread)
    spread = np.exp(log_spread(ratios))
    if spread > limit:
        return f"people disagree about the scale by a factor of {spread:.2f} (at most {limit:.2f})"
    by_depth = combine(np.concatenate([p.by_depth for p in people]), "median")
    factor = max(scale / by_depth, by_depth / scale)
    # NaN, where no body meets its points, contradicts nothing.
    if factor > limit:
        return (
            f"scale={config.scale} gives {scale:.3g} m per unit, the depths at which bodies stand "
            f"{by_depth:.3g} (at most {limit:.2f} times as much): stray points among the people's"
        )
    return ""


def _no_common_place(
    views: Views, people: list[PeopleInView], pairs: int, config: VggtBoundariesConfig
) -> str:
    """Why the frames may show different places; empty where something speaks for one place."""
    if pairs:
        return ""
    common = config.common_place
    background = np.stack([p.background for p in people])
    share = max(overlap(views, background, common.max_depth_difference))
    if share >= common.min_overlap:
        return ""
    return (
        f"nothing shows that both frames are of one place: nobody stands clearly where somebody "
        f"stood, and {share:.0%} of the background agrees (at least {common.min_overlap:.0%})"
    )


def _fit(image: UInt8[np.ndarray, "H W 3"], config: VggtBoundariesConfig) -> Fit:
    size, patch = config.architecture.image_size, config.architecture.patch_size
    return fit_frame((image.shape[0], image.shape[1]), config.fit, size, patch)


def _frames(sides: Sides) -> np.ndarray:
    return np.array([side.frame for side in sides], dtype=np.int64)
