"""One method on one oracle clip: the real stages from `alignment` on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from multithumbs.backends.alignment import algorithm1
from multithumbs.backends.boundaries import vggt
from multithumbs.backends.boundaries.side import BoundarySide, gather_side
from multithumbs.backends.boundaries.vggt_input import fit_frame
from multithumbs.backends.boundaries.vggt_views import Views
from multithumbs.backends.people.finish import to_people
from multithumbs.backends.people.gaps import bridge
from multithumbs.backends.people.gather import gather
from multithumbs.backends.people.ground import on_ground
from multithumbs.backends.people.layout import lay
from multithumbs.backends.people.rows import Rows
from multithumbs.bench.methods import Method
from multithumbs.body import EMBEDDED_BODY, BodyModel
from multithumbs.export.result import build_result
from multithumbs.solvers.smoothing_canonical import (
    CanonicalProblem,
    CanonicalState,
    CanonicalWeights,
    minimise,
)
from multithumbs.stages import cameras as cameras_stage
from multithumbs.stages import identities as identities_stage
from multithumbs.stages import people as people_stage
from multithumbs.synth.clip_oracle import ClipOracle
from multithumbs.types import Alignment, BoundaryScene, Cameras, Identities, People
from multithumbs.types.outputs import Result
from multithumbs.types.work import Runtime, Work


def solve(
    method: Method,
    clip: ClipOracle,
    body: BodyModel,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """What the method makes of the clip. The body must be the embedded one, as the clip's is.

    Raises what the stages raise: a clip on which a method fails has no result.
    """
    alignment = tuple(align(method, clip, cut, body) for cut in range(len(clip.shots) - 1))
    parts: dict[str, Any] = {
        "detections": tuple(p.detections for p in clip.perceived),
        "keypoints": tuple(p.keypoints for p in clip.perceived),
        "bodies": tuple(p.bodies for p in clip.perceived),
        "tracks": tuple(p.tracks for p in clip.perceived),
    }
    cameras = cameras_stage.run(
        _work(clip, method.cameras, progress),
        shots=clip.shots, intrinsics=clip.intrinsics, masks=clip.masks, alignment=alignment,
        odometry=clip.odometry, **parts,
    )  # fmt: skip
    identities = identities_stage.run(
        _work(clip, method.identities, progress),
        shots=clip.shots, textures=clip.textures, alignment=alignment, cameras=cameras, **parts,
    )  # fmt: skip
    if method.canonical:
        people = _canonical_people(method, clip, parts, alignment, cameras, identities, body)
    else:
        people = people_stage.run(
            _work(clip, method.people, progress),
            shots=clip.shots, masks=clip.masks, alignment=alignment, odometry=clip.odometry,
            cameras=cameras, identities=identities, **parts,
        )  # fmt: skip
    return build_result(
        info=clip.video.info,
        shots=clip.shots,
        cameras=cameras,
        people=people,
        body_model=body.name,
        profile=method.name,
        licences=(),
    )


def _work(clip: ClipOracle, config: Any, progress: Callable[[int, int], None]) -> Work[Any]:
    return Work(
        video=clip.video,
        config=config,
        runtime=Runtime(threads=1),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=progress,
    )


def boundary_scene(method: Method, clip: ClipOracle, cut: int, body: BodyModel) -> BoundaryScene:
    """What the `vggt` back-end makes of a cut's reconstruction."""
    config, found = method.boundaries, clip.reconstructions[cut]
    fit = fit_frame(
        clip.truth.hw, config.fit, config.architecture.image_size, config.architecture.patch_size
    )
    known = np.isfinite(found.depth) & (found.trust >= config.min_confidence)
    depth = np.where(known, found.depth, np.nan)
    v, u = np.indices(fit.hw) + 0.5
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1)
    rays = pixels @ np.linalg.inv(fit.net_from_full @ found.K).transpose(0, 2, 1)[:, None]
    cam = rays * depth[..., None]
    turn, shift = found.scene_from_cam[:, :3, :3], found.scene_from_cam[:, None, None, :3, 3]
    views = Views(
        fit=fit,
        K=found.K,
        scene_from_cam=found.scene_from_cam,
        points=np.einsum("vij,vhwj->vhwi", turn, cam) + shift,
        depth=depth,
        trust=np.where(known, found.trust, 0.0),
    )
    sides = _sides(clip, cut, config.window_frames, config.min_keypoint_confidence)
    if max(len(side) for side in sides) == 0:
        return vggt.failed(sides, "nobody is seen on either side of the cut")
    return vggt.scene_from_views(sides, views, body, config, "cpu")


def _sides(
    clip: ClipOracle, cut: int, window_frames: int, min_confidence: float
) -> tuple[BoundarySide, BoundarySide]:
    """The people on both sides of a cut."""
    start = int(clip.shots.start[cut + 1])
    before, after = (
        gather_side(
            start - 1 + side,
            shot.detections, shot.keypoints, shot.bodies, shot.tracks, clip.masks[cut + side],
            window_frames=window_frames, min_confidence=min_confidence,
        )
        for side, shot in enumerate(clip.perceived[cut : cut + 2])
    )  # fmt: skip
    return before, after


def align(method: Method, clip: ClipOracle, cut: int, body: BodyModel) -> Alignment:
    """Boundary scene and alignment of one cut."""
    limits = method.alignment.limits
    sides = _sides(clip, cut, limits.window_frames, limits.min_keypoint_confidence)
    if not method.related:
        return algorithm1.failed(vggt.failed(sides, ""), "this method relates no cuts")
    scene = boundary_scene(method, clip, cut, body)
    return algorithm1.align(sides, scene, body, method.alignment)


def _canonical_people(
    method: Method,
    clip: ClipOracle,
    parts: dict[str, Any],
    alignment: tuple[Alignment, ...],
    cameras: Cameras,
    identities: Identities,
    body: BodyModel,
) -> People:
    """People smoothed in their canonical frames."""
    config, times = method.people, clip.video.info.timestamps_s
    rows = gather(
        body, parts["detections"], parts["keypoints"], parts["bodies"], parts["tracks"], alignment,
        cameras, identities, times, config.gather,
    )  # fmt: skip
    rows = bridge(rows, cameras, times, config.gather)
    if len(rows):
        rows = _canonical(body, rows)
    rows, ground = on_ground(body, rows, cameras, config.ground)
    return to_people(body, *lay(body, rows, ground, cameras, config.layout))


def _canonical(body: BodyModel, rows: Rows) -> Rows:
    tensor = body.tensor
    _, first, person = np.unique(rows.person, return_index=True, return_inverse=True)
    follows = (np.diff(rows.person) == 0) & (np.diff(rows.frame) == 1)
    out = minimise(
        body,
        CanonicalState(tensor(rows.pose), tensor(rows.transl), tensor(rows.betas[first])),
        CanonicalProblem(
            person=torch.from_numpy(person),
            follows=torch.from_numpy(np.flatnonzero(follows)),
            cam_from_world=tensor(rows.cam_from_world),
            K=tensor(rows.K),
            uv=tensor(rows.uv),
            confidence=tensor(rows.uv_confidence),
        ),
        CanonicalWeights(),
    )
    pose, transl, betas = (x.numpy(force=True).astype(np.float64) for x in out)
    return replace(rows, pose=pose, transl=transl, betas=betas[person])
