"""Everybody's size, from the fits of all shots and the people aligned at all cuts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from multithumbs.config.sizes import SizesConfig
from multithumbs.solvers.person_sizes import SizesAtCuts, solve_sizes
from multithumbs.types import Alignment, Bodies, CutStatus, Keypoints, Tracks
from multithumbs.types.skeleton import JOINT_PARENTS

TrackKey = tuple[int, int]
"""Shot and track."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes are lengths of all bones together, as logarithms of metres."""

    log_size: Mapping[TrackKey, float]
    """Of the person of each track."""
    log_unit: Float64[np.ndarray, " C"]
    """How much too large each cut's aligned world is; 0 where a cut says nothing."""

    def resized(self, shot: int, tracks: Tracks, bodies: Bodies) -> Float64[np.ndarray, "N 24 3"]:
        """Joints in the camera of one shot's bodies, each at its person's size.

        What the image shows is size over depth: a body and its distance grow together. Rows
        without a track stay as they are.
        """
        own = log_sizes(bodies.joints_cam)
        known = [self.log_size.get((shot, int(t))) for t in tracks.track]
        pairs = zip(known, own, strict=True)
        grow = np.array([0.0 if size is None else size - mine for size, mine in pairs])
        return bodies.joints_cam * np.exp(grow)[:, None, None]


def log_sizes(joints: Float64[np.ndarray, "N 24 3"]) -> Float64[np.ndarray, " N"]:
    """Of bodies in any pose."""
    return np.log(np.maximum(np.linalg.norm(bones(joints), axis=-1).sum(-1), 1e-6))


def bones(joints: Float64[np.ndarray, "N 24 3"]) -> Float64[np.ndarray, "N 23 3"]:
    """From every joint's parent to it."""
    return joints[:, 1:] - joints[:, list(JOINT_PARENTS[1:])]


def aligned_depths(cut: Alignment) -> Float64[np.ndarray, " P"]:
    """Of every aligned pelvis in the camera of its side, metres."""
    cam_from_scene = np.linalg.inv(cut.scene_from_cam)[cut.side]
    return (
        np.einsum("pj,pj->p", cam_from_scene[:, 2, :3], cut.joints_scene[:, 0])
        + cam_from_scene[:, 2, 3]
    )


def people_of_pairs(
    alignment: tuple[Alignment, ...], tracks: tuple[Tracks, ...]
) -> dict[TrackKey, int]:
    """A number for everybody: tracks that were aligned as one person at a cut share one."""
    label: dict[TrackKey, int] = {}
    for cut, found in enumerate(alignment):
        for entries in found.pair:
            before, after = (
                (cut + side, int(tracks[cut + side].track[found.row[entry]]))
                for side, entry in enumerate(entries)
            )
            label[after] = label.setdefault(before, len(label))
    keys = ((s, int(t)) for s, own in enumerate(tracks) for t in np.unique(own.track) if t >= 0)
    for key in keys:
        label.setdefault(key, len(label))
    return label


def find_sizes(
    person_of: Mapping[TrackKey, int],
    bodies: tuple[Bodies, ...],
    keypoints: tuple[Keypoints, ...],
    tracks: tuple[Tracks, ...],
    alignment: tuple[Alignment, ...],
    config: SizesConfig,
) -> Sizes:
    """Sizes of all people whose tracks ``person_of`` names."""
    keys, own, std = [], [], []
    for s, parts in enumerate(zip(tracks, bodies, keypoints, strict=True)):
        for t, size, unseen in _own_sizes(*parts, config.min_keypoint_confidence):
            if (s, t) in person_of:
                keys.append((s, t))
                own.append(size)
                std.append(np.hypot(config.own_std, config.unseen_std * unseen))
    people = np.unique([person_of[key] for key in keys], return_inverse=True)[1]
    number = {key: index for index, key in enumerate(keys)}
    log_size, log_unit = solve_sizes(
        people.astype(np.int64),
        np.array(own),
        np.array(std),
        _sizes_at_cuts(number, bodies, tracks, alignment, config.max_change),
        config.aligned_std,
        len(alignment),
    )
    return Sizes(
        log_size={key: float(log_size[p]) for key, p in zip(keys, people, strict=True)},
        log_unit=log_unit,
    )


def _own_sizes(
    tracks: Tracks, bodies: Bodies, keypoints: Keypoints, min_confidence: float
) -> list[tuple[int, float, float]]:
    """Of each track: its number, the size of its fits, and the share of the body not seen."""
    usable = np.flatnonzero((tracks.track >= 0) & (bodies.confidence > 0))
    order = usable[np.argsort(tracks.track[usable], kind="stable")]
    size = log_sizes(bodies.joints_cam)
    seen = (keypoints.confidence > min_confidence).mean(1)
    numbers, first = np.unique(tracks.track[order], return_index=True)
    groups = np.split(order, first[1:]) if len(order) else []
    return [
        (int(t), float(np.median(size[rows])), float(1 - seen[rows].mean()))
        for t, rows in zip(numbers, groups, strict=True)
    ]


def _sizes_at_cuts(
    number: Mapping[TrackKey, int],
    bodies: tuple[Bodies, ...],
    tracks: tuple[Tracks, ...],
    alignment: tuple[Alignment, ...],
    limit: float,
) -> SizesAtCuts:
    """What each aligned cut makes of the sizes of the people at it."""
    found = []
    for c, cut in enumerate(alignment):
        if cut.status is not CutStatus.ALIGNED:
            continue
        for side, row, depth in zip(cut.side, cut.row, aligned_depths(cut), strict=True):
            fits = bodies[c + side]
            track = number.get((c + int(side), int(tracks[c + side].track[row])))
            monocular = fits.joints_cam[row, 0, 2]
            if track is None or min(depth, monocular) <= 0:
                continue
            # A longer lens alone puts people further away without making them larger.
            focal = cut.K[side, 0, 0] / fits.K[row, 0, 0]
            change = float(np.log(depth / (monocular * focal)))
            if abs(change) <= limit:
                own = float(log_sizes(fits.joints_cam[[row]])[0])
                found.append((track, c, own + change))
    track, cut, size = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return SizesAtCuts(track.astype(np.int64), cut.astype(np.int64), size)
