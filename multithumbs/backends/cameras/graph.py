"""From odometry and cuts to `Cameras`: edges, placement, one camera per frame."""

from dataclasses import fields, replace

import numpy as np
from jaxtyping import Float64

from multithumbs.solvers.pose_graph import Edges, place, scaled
from multithumbs.types import Alignment, Cameras, CutStatus, Intrinsics, Odometry, Shots


def cut_edges(
    alignment: tuple[Alignment, ...],
    odometry: tuple[Odometry, ...],
    rotation_std: float,
    translation_std: float,
) -> Edges:
    """One edge per aligned cut, in order (paper Eq. 6: what ties odometry to the anchor)."""
    aligned = [c for c, cut in enumerate(alignment) if cut.status is CutStatus.ALIGNED]
    first = np.array(aligned, dtype=np.int64)
    before = [_cam(odometry[c], int(alignment[c].frame[0])) for c in aligned]
    after = [_cam(odometry[c + 1], int(alignment[c].frame[1])) for c in aligned]
    anchors = np.array([alignment[c].scene_from_cam for c in aligned]).reshape(-1, 2, 4, 4)
    return Edges(
        first=first,
        second=first + 1,
        first_shot_from_cam=np.array(before).reshape(-1, 4, 4),
        second_shot_from_cam=np.array(after).reshape(-1, 4, 4),
        first_from_second=np.linalg.inv(anchors[:, 0]) @ anchors[:, 1],
        rotation_std=np.full(len(first), rotation_std),
        translation_std=np.full(len(first), translation_std),
    )


def rescaled(cuts: Edges, cut_scale: Float64[np.ndarray, " C"]) -> Edges:
    """The edges of aligned cuts, their lengths multiplied."""
    found = scaled(cuts.first_from_second, cut_scale[cuts.first])
    return replace(cuts, first_from_second=found)


def lens_of_cuts(
    alignment: tuple[Alignment, ...],
    odometry: tuple[Odometry, ...],
    intrinsics: tuple[Intrinsics, ...],
) -> Float64[np.ndarray, " S"]:
    """Focal length of each shot over that of its intrinsics, from the cuts it touches.

    A boundary back-end that measures lenses (`vggt`) knows them better than what was assumed for
    the shot; one that takes the shot's own says 1. A lens that the user gave stays.
    """
    said: list[list[float]] = [[] for _ in intrinsics]
    for c, cut in enumerate(alignment):
        for side, s in enumerate((c, c + 1)):
            own, measured = odometry[s], cut.K[side, 0, 0] / intrinsics[s].K[0, 0]
            taken_over = abs(measured - 1) < 1e-6
            if cut.status is CutStatus.FAILED or taken_over or intrinsics[s].source == "given":
                continue
            zoom = own.zoom[int(cut.frame[side]) - int(own.frame[0])]
            said[s].append(float(np.log(measured / zoom)))
    return np.array([np.exp(np.mean(logs)) if logs else 1.0 for logs in said])


def with_lens(intrinsics: Intrinsics, factor: float) -> Intrinsics:
    """The same camera with a longer lens."""
    K = intrinsics.K.copy()
    K[:2, :2] *= factor
    return replace(intrinsics, K=K)


def lens_at_ends(
    shots: Shots, odometry: tuple[Odometry, ...], focal_factor: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, "S 2"]:
    """Focal length as each shot begins and ends, over that of its intrinsics."""
    return np.array(
        [
            own.zoom[[first - own.frame[0], last - 1 - own.frame[0]]] * factor
            for own, first, last, factor in zip(
                odometry, shots.clean_start, shots.clean_end, focal_factor, strict=True
            )
        ]
    )


def loosened(cuts: Edges, returns: Edges) -> Edges:
    """The cuts, those without a say whose two sides a return relates too: a background that both
    show is measured better than people."""
    known = set(zip(returns.first.tolist(), returns.second.tolist(), strict=True))
    loose = [pair in known for pair in zip(cuts.first.tolist(), cuts.second.tolist(), strict=True)]
    without = np.where(loose, 1e3, 1.0)
    return replace(
        cuts,
        rotation_std=cuts.rotation_std * without,
        translation_std=cuts.translation_std * without,
    )


def join(*parts: Edges) -> Edges:
    """All edges of several sets, in order."""
    names = [field.name for field in fields(Edges)]
    return Edges(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def assemble(
    shots: Shots,
    odometry: tuple[Odometry, ...],
    intrinsics: tuple[Intrinsics, ...],
    edges: Edges,
    cuts: Edges,
    cut_scale: Float64[np.ndarray, " C"],
    scale: Float64[np.ndarray, " S"],
    scale_log_std: Float64[np.ndarray, " S"],
    source: tuple[str, ...],
    focal_factor: Float64[np.ndarray, " S"],
) -> Cameras:
    """Place the shots and write out every frame's camera.

    Args:
        edges: all relations; the first ``len(cuts)`` are the cuts'.
        cuts: those of the aligned cuts.
        cut_scale: factor on every cut's lengths that ``cuts`` hold already.
        scale, scale_log_std, source: metres per unit of each shot's odometry, the uncertainty
            of its logarithm, and what it rests on.
        focal_factor: on each shot's intrinsics, beside its zoom.
    """
    placement = place(len(shots), edges, scale, scale_log_std)
    moved = np.abs(placement.metres_per_unit / scale - 1) > 1e-3
    residual = np.full(max(len(shots) - 1, 0), np.nan)
    residual[cuts.first] = placement.residual_m[: len(cuts)]
    world, K = [], []
    for s, (own, camera) in enumerate(zip(odometry, intrinsics, strict=True)):
        in_metres = scaled(own.shot_from_cam, placement.metres_per_unit[s])
        world.append(placement.world_from_shot[s] @ in_metres)
        zoomed = np.repeat(camera.K[None], len(own.frame), axis=0)
        zoomed[:, :2, :2] *= focal_factor[s] * own.zoom[:, None, None]
        K.append(zoomed)
    lengths = [len(own.frame) for own in odometry]
    return Cameras(
        frame=np.concatenate([own.frame for own in odometry]),
        shot=np.repeat(np.arange(len(shots)), lengths),
        island=np.repeat(placement.island, lengths),
        K=np.concatenate(K),
        world_from_cam=np.concatenate(world),
        tracked=np.concatenate([own.tracked for own in odometry]),
        metres_per_unit=placement.metres_per_unit,
        scale_source=tuple(
            "anchors" if changed else given for changed, given in zip(moved, source, strict=True)
        ),
        island_of_shot=placement.island,
        cut_residual_m=residual,
        cut_scale=cut_scale,
    )


def _cam(odometry: Odometry, frame: int) -> Float64[np.ndarray, "4 4"]:
    return odometry.shot_from_cam[frame - int(odometry.frame[0])]
