"""One track of one shot, summarised for recognition: where, when, how posed, how it looks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from multithumbs.config.identities import RecognitionConfig
from multithumbs.solvers.identity_costs import joint_visibility
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    CutStatus,
    Detections,
    Keypoints,
    Shots,
    Textures,
    Tracks,
)

TRUST_POWER = 3
"""Of a body's confidence in its weight: half as sure says an eighth of where somebody is."""
FREE_S2 = 1e-6
"""Prior of a velocity that is drawn to nothing; one row alone still has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndState:
    """A track at one of its ends."""

    frame: int
    position: Float[np.ndarray, "3"]
    """Pelvis in its island's world, metres."""
    velocity: Float[np.ndarray, "3"]
    """Metres per second."""
    depth_m: float
    """How far from the camera."""
    joints: Float[np.ndarray, "24 3"]
    """Relative to the pelvis, in the world's axes, metres."""
    pose: Float[np.ndarray, "24 3"]
    visible: Bool[np.ndarray, "24"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One track; ``first`` and ``last`` are None where no row has a body."""

    shot: int
    track: int
    island: int
    frames: Int64[np.ndarray, " R"]
    first: EndState | None
    last: EndState | None
    rgb: UInt8[np.ndarray, "T T 3"]
    weight: Float[np.ndarray, "T T"]

    def beside(self, other: "Sighting") -> bool:
        """Whether some frame shows both."""
        return len(np.intersect1d(self.frames, other.frames)) > 0


def gather_sightings(
    *,
    shots: Shots,
    detections: tuple[Detections, ...],
    tracks: tuple[Tracks, ...],
    bodies: tuple[Bodies, ...],
    keypoints: tuple[Keypoints, ...],
    textures: tuple[Textures, ...],
    alignment: tuple[Alignment, ...],
    cameras: Cameras,
    timestamps_s: Float[np.ndarray, " F"],
    config: RecognitionConfig,
) -> list[Sighting]:
    """Every kept track of every shot, sorted by shot, then first frame."""
    found = []
    for shot in range(len(shots)):
        aligned = _aligned_pelvises(shot, alignment, detections[shot], bodies[shot])
        kept = np.unique(tracks[shot].track[tracks[shot].track >= 0])
        for track, rgb, weight in zip(kept, *textures[shot].of_tracks(kept), strict=True):
            rows = np.flatnonzero(tracks[shot].track == track)
            found.append(
                _sighting(
                    shot, int(track), rows, detections[shot], bodies[shot], keypoints[shot],
                    rgb, weight, aligned, cameras, timestamps_s, config,
                )
            )  # fmt: skip
    return sorted(found, key=lambda s: (s.shot, int(s.frames[0]), s.track))


def _aligned_pelvises(
    shot: int, alignment: tuple[Alignment, ...], detections: Detections, bodies: Bodies
) -> dict[int, float]:
    """By how much alignment moved rows of this shot along their rays: a factor of the depth that
    they would have through the lens that they were fitted through."""
    factors: dict[int, float] = {}
    for cut, side in ((shot - 1, 1), (shot, 0)):
        if not 0 <= cut < len(alignment) or alignment[cut].status is CutStatus.FAILED:
            continue
        found = alignment[cut]
        cam_from_scene = np.linalg.inv(found.scene_from_cam[side])
        for entry in np.flatnonzero(found.side == side):
            row = int(found.row[entry])
            depth = cam_from_scene[2] @ np.append(found.joints_scene[entry, 0], 1.0)
            lens = found.K[side, 0, 0] / bodies.K[row, 0, 0]
            factors[row] = float(depth / lens / bodies.joints_cam[row, 0, 2])
    return factors


def _sighting(
    shot: int,
    track: int,
    rows: Int64[np.ndarray, " R"],
    detections: Detections,
    bodies: Bodies,
    keypoints: Keypoints,
    rgb: np.ndarray,
    weight: np.ndarray,
    aligned: dict[int, float],
    cameras: Cameras,
    timestamps_s: Float[np.ndarray, " F"],
    config: RecognitionConfig,
) -> Sighting:
    fitted = rows[bodies.confidence[rows] > 0]
    first = last = None
    if len(fitted):
        frames = detections.frame[fitted]
        factors = [aligned[int(row)] for row in fitted if int(row) in aligned]
        # A monocular body's size error lasts: what a cut says about its depth holds all along.
        factor = float(np.median(factors)) if factors else 1.0
        at = np.searchsorted(cameras.frame, frames)
        camera = cameras.world_from_cam[at]
        own = bodies.joints_cam[fitted]
        pelvis = factor * own[:, 0]
        # Seen through a longer lens than the fit assumed, the same picture is further away.
        pelvis[:, 2] *= cameras.K[at, 0, 0] / bodies.K[fitted, 0, 0]
        joints = np.einsum("nij,nkj->nki", camera[:, :3, :3], own - own[:, :1])
        world = np.einsum("nij,nj->ni", camera[:, :3, :3], pelvis) + camera[:, :3, 3]
        visible = joint_visibility(keypoints.confidence[fitted], config.min_keypoint_confidence)
        depth, trust = pelvis[:, 2], bodies.confidence[fitted]
        first, last = (
            _end(end, frames[kept], world[kept], depth[kept], trust[kept], joints[kept],
                 bodies.pose[fitted[kept]], visible[kept], timestamps_s, config)
            for end in (0, -1)
            for kept in [_plausible(end, timestamps_s[frames], depth, trust, config)]
        )  # fmt: skip
    island = int(cameras.island[np.searchsorted(cameras.frame, detections.frame[rows[0]])])
    return Sighting(
        shot=shot,
        track=track,
        island=island,
        frames=detections.frame[rows],
        first=first,
        last=last,
        rgb=rgb,
        weight=weight,
    )


def _plausible(
    end: int,
    time_s: Float[np.ndarray, " R"],
    depth: Float[np.ndarray, " R"],
    trust: Float[np.ndarray, " R"],
    config: RecognitionConfig,
) -> Bool[np.ndarray, " R"]:
    """Rows near an end whose depth agrees with the trusted ones there; never none.

    Someone who disappears behind another is last seen as half a body, whose fit may stand
    anywhere along its ray.
    """
    near = np.abs(time_s - time_s[end]) <= config.end_window_s
    order = np.argsort(depth[near])
    share = np.cumsum(trust[near][order])
    usual = depth[near][order][np.searchsorted(share, share[-1] / 2)]
    return near & (np.abs(np.log(depth / usual)) <= config.max_depth_jump)


def _end(
    end: int,
    frames: Int64[np.ndarray, " R"],
    world: Float[np.ndarray, "R 3"],
    depth: Float[np.ndarray, " R"],
    trust: Float[np.ndarray, " R"],
    joints: Float[np.ndarray, "R 24 3"],
    pose: Float[np.ndarray, "R 24 3"],
    visible: Bool[np.ndarray, "R 24"],
    timestamps_s: Float[np.ndarray, " F"],
    config: RecognitionConfig,
) -> EndState:
    """Place and velocity at an end, by a line through the rows near it.

    People come into sight and leave it half hidden: there a body is least to be trusted, and what
    it shows a moment further in says more about its place than it does itself.
    """
    inwards = slice(None) if end == 0 else slice(None, None, -1)
    enough = np.searchsorted(np.cumsum(trust[inwards]), config.end_rows) + 1
    near = np.arange(len(frames))[inwards][:enough]
    time = timestamps_s[frames[near]] - timestamps_s[frames[end]]
    weight = trust[near] ** TRUST_POWER
    weight /= weight.mean()
    # Without the prior that people mostly stand, what drifts at an end would lead its place astray.
    (position, _), (_, velocity) = (
        _line(time, world[near], weight, prior) for prior in (config.standing_s2, FREE_S2)
    )
    return EndState(
        frame=int(frames[end]),
        position=position,
        velocity=velocity,
        depth_m=float(np.median(depth[near])),
        joints=joints[end],
        pose=pose[end],
        visible=visible[end],
    )


def _line(
    time: Float[np.ndarray, " R"],
    world: Float[np.ndarray, "R 3"],
    weight: Float[np.ndarray, " R"],
    prior_s2: float,
) -> Float[np.ndarray, "2 3"]:
    """Place at time 0 and velocity of the line through ``world``, the velocity drawn to none."""
    design = np.stack([np.ones_like(time), time], axis=1)
    weighted = (design * weight[:, None]).T
    return np.linalg.solve(weighted @ design + np.diag([0.0, prior_s2]), weighted @ world)
