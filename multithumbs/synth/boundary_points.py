"""What a reconstruction network might say of an oracle's cut: depths with its kind of errors.

Exact depth of the true bodies in a room, then the errors that dense networks make: pixel noise,
a person set off against the room, points that hang between a silhouette and the wall behind it,
patches of wall seen as person. Unit and confidence are the network's own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int

from multithumbs.body import BodyModel
from multithumbs.render.raycast import Mesh, cast
from multithumbs.synth.boundary_oracle import OracleCut

_ROOM_M = 9.0
"""Half of the side of the cube around the people that is the room."""
_CUBE = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
     [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthNoise:
    """Errors of the depth maps; all 0 for the truth."""

    pixel_log: float = 0.01
    """Standard deviation of a pixel's depth (natural logarithm)."""
    person_log: float = 0.02
    """Of one person's depth against the room."""
    hanging_px: int = 2
    """Width of the band inside a silhouette where points hang in between, pixels."""
    wall_share: float = 0.02
    """Share of a person's pixels that have the wall's depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMaps:
    depth: Float[np.ndarray, "2 h w"]
    """Metres along each camera's axis."""
    confidence: Float[np.ndarray, "2 h w"]
    """At least 1, lower where points hang."""
    who: Int[np.ndarray, "2 h w"]
    """Row of the side that each pixel shows; -1 for the room."""


def depth_maps(
    body: BodyModel,
    truth: OracleCut,
    net_K: Float[np.ndarray, "2 3 3"],
    hw: tuple[int, int],
    noise: DepthNoise,
    seed: int,
) -> DepthMaps:
    """Both frames of a cut.

    Args:
        body: the body model.
        truth: the cut without perception noise: its bodies are the true ones.
        net_K: intrinsics at the maps' size, pixels with centres at one half.
        hw: size of the maps.
        noise: errors.
        seed: of the errors.
    """
    rng = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(*[[-_ROOM_M, _ROOM_M]] * 3, indexing="ij"), -1).reshape(-1, 3)
    room = corners + truth.pelvis_before.mean(0)
    views = []
    for view, side in enumerate(truth.sides):
        bodies = side.bodies
        tensors = (
            torch.as_tensor(x, dtype=body.dtype) for x in (bodies.pose, bodies.betas, bodies.transl)
        )
        vertices = body.vertices(*tensors).numpy() if len(bodies) else np.zeros((0, 1, 3))
        seen_room = room
        if view:
            seen_room = room @ truth.after_from_before[:3, :3].T + truth.after_from_before[:3, 3]
        wall = Mesh(seen_room, _CUBE)
        hits = cast([*(Mesh(v, body.faces.numpy()) for v in vertices), wall], net_K[view], hw)
        behind = cast([wall], net_K[view], hw).depth.astype(float)
        who = np.where(hits.mesh == len(vertices), -1, hits.mesh)
        views.append(_disturbed(hits.depth.astype(float), behind, who, noise, rng))
    depth, confidence, who = (np.stack(x) for x in zip(*views, strict=True))
    return DepthMaps(depth=depth, confidence=confidence, who=who)


def _disturbed(
    depth: Float[np.ndarray, "h w"],
    behind: Float[np.ndarray, "h w"],
    who: Int[np.ndarray, "h w"],
    noise: DepthNoise,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    depth, confidence = depth.copy(), np.full(depth.shape, 6.0)
    for person in range(who.max() + 1):
        mask = who == person
        depth[mask] *= np.exp(rng.normal() * noise.person_log)
        inner = mask
        if noise.hanging_px:
            size = 2 * noise.hanging_px + 1
            inner = cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
        band = mask & ~inner
        mix = rng.uniform(size=int(band.sum())) ** 2
        depth[band] = (1 - mix) * depth[band] + mix * behind[band]
        confidence[band] -= 4 * mix
        lost = mask & (rng.uniform(size=mask.shape) < noise.wall_share)
        depth[lost] = behind[lost]
    depth *= np.exp(rng.normal(size=depth.shape) * noise.pixel_log)
    return depth, confidence * np.exp(rng.normal(size=depth.shape) * 0.1).clip(0.5, 2), who
