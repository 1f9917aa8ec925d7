"""Tracks of people who are told where and how they are, and what `identities` makes of them."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from multithumbs.body import EMBEDDED_BODY
from multithumbs.config.identities import HungarianIdentitiesConfig
from multithumbs.stages import identities
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
    VideoInfo,
)
from multithumbs.types.work import Runtime, Work

FPS = 25
RED, BLUE, GREEN = (200, 40, 40), (40, 40, 200), (40, 180, 60)
NEARLY_RED = (190, 70, 40)
FADED_RED = (190, 62, 62)


@dataclass(frozen=True)
class Seen:
    """A track: who, in which shot, over which frames, where (start, end of the track), how."""

    shot: int
    start: int
    end: int
    place: tuple[float, float, float]
    colour: tuple[int, int, int] = RED
    to: tuple[float, float, float] | None = None
    pose_rad: float = 0.0
    misfit: tuple[int, float, float] | None = None
    """The last so many rows are half a body each: their depth times a factor, their confidence."""


class Clock:
    def __init__(self, frames):
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=(360, 640),
            frame_rate=Fraction(FPS),
            timestamps_s=np.arange(frames) / FPS,
        )

    def frames(self, start, end, step=1):
        raise NotImplementedError

    def frame(self, index):
        raise NotImplementedError


def identify(ends, tracks, failed=(), config=None, lens=None):
    """Persons of ``tracks``, in their order; every shot's camera is the world's.

    ``ends``: the frame after each shot's last; ``failed``: cuts that could not be aligned;
    ``lens``: focal length of each shot, which bodies were fitted without knowing and cuts know.
    """
    bounds = np.array([0, *ends])
    count = len(ends)
    lens = np.ones(count) if lens is None else np.array(lens)
    parts = {name: [] for name in ("detections", "tracks", "bodies", "keypoints", "textures")}
    for shot in range(count):
        seen = [t for t in tracks if t.shot == shot]
        rows = sorted(
            (frame, index) for index, t in enumerate(seen) for frame in range(t.start, t.end)
        )
        frame = np.array([f for f, _ in rows], dtype=np.int64)
        which = np.array([i for _, i in rows], dtype=np.int64)
        n = len(rows)
        joints = np.zeros((n, 24, 3))
        pose = np.zeros((n, 24, 3))
        confidence = np.ones(n)
        for row, (f, i) in enumerate(rows):
            track = seen[i]
            share = (f - track.start) / max(track.end - 1 - track.start, 1)
            end = np.array(track.to or track.place)
            joints[row] = (1 - share) * np.array(track.place) + share * end
            pose[row, 1:, 0] = track.pose_rad
            if track.misfit and f >= track.end - track.misfit[0]:
                joints[row] *= track.misfit[1]
                confidence[row] = track.misfit[2]
        parts["detections"].append(
            Detections(
                frame=frame, box_xyxy=np.zeros((n, 4)), score=np.ones(n), roi=np.zeros((n, 4))
            )
        )
        parts["tracks"].append(Tracks(track=which))
        parts["bodies"].append(
            Bodies(
                pose=pose,
                betas=np.zeros((n, 10)),
                transl=joints[:, 0],
                joints_cam=joints,
                K=np.repeat(np.eye(3)[None], n, axis=0),
                confidence=confidence,
                residual_px=np.zeros(n),
            )
        )
        parts["keypoints"].append(
            Keypoints(
                uv=np.zeros((n, 23, 2)),
                confidence=np.ones((n, 23)),
                xyz=np.zeros((n, 23, 3)),
                xyz_confidence=np.zeros((n, 23)),
            )
        )
        rgb = np.array([t.colour for t in seen], dtype=np.uint8).reshape(-1, 1, 1, 3)
        parts["textures"].append(
            Textures(
                track=np.arange(len(seen)),
                rgb=np.tile(rgb, (1, 8, 8, 1)),
                weight=np.ones((len(seen), 8, 8)),
            )
        )
    frames = np.arange(bounds[-1])
    shot_of = np.searchsorted(bounds, frames, side="right") - 1
    island_of_shot = np.cumsum([0, *[int(c in failed) for c in range(count - 1)]])
    cameras = Cameras(
        frame=frames,
        shot=shot_of.astype(np.int64),
        island=island_of_shot[shot_of].astype(np.int64),
        K=_longer(lens[shot_of]),
        world_from_cam=np.repeat(np.eye(4)[None], len(frames), axis=0),
        tracked=np.ones(len(frames), dtype=bool),
        metres_per_unit=np.ones(count),
        scale_source=("none",) * count,
        island_of_shot=island_of_shot.astype(np.int64),
        cut_residual_m=np.zeros(count - 1),
        cut_scale=np.ones(count - 1),
    )
    shots = Shots(
        start=bounds[:-1], end=bounds[1:], clean_start=bounds[:-1], clean_end=bounds[1:],
        transition=np.ones(count, dtype=np.int64),
    )  # fmt: skip
    alignment = tuple(
        _aligned(c, bounds, c in failed, parts["detections"], parts["bodies"], lens)
        for c in range(count - 1)
    )
    work = Work(
        video=Clock(bounds[-1]),
        config=config or HungarianIdentitiesConfig(),
        runtime=Runtime(),
        shot=None,
        cut=None,
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=lambda done, total: None,
    )
    found = identities.run(
        work,
        shots=shots,
        alignment=alignment,
        cameras=cameras,
        **{name: tuple(part) for name, part in parts.items()},
    )
    index = {}
    for shot in range(count):
        for track, seen in enumerate(t for t in tracks if t.shot == shot):
            index[id(seen)] = (shot, track)
    person = {(s, t): p for s, t, p in zip(found.shot, found.track, found.person, strict=True)}
    return [int(person[index[id(t)]]) for t in tracks], found


def _longer(lens):
    K = np.repeat(np.eye(3)[None], len(lens), axis=0)
    K[:, 0, 0] = K[:, 1, 1] = lens
    return K


def _aligned(cut, bounds, failed, detections, bodies, lens) -> Alignment:
    """People at a cut where their bodies are, but for the lens."""
    frame = np.array([bounds[cut + 1] - 1, bounds[cut + 1]])
    rows = [np.flatnonzero(detections[cut + i].frame == frame[i]) for i in range(2)]
    joints = [bodies[cut + i].joints_cam[rows[i]] * [1, 1, lens[cut + i]] for i in range(2)]
    count = sum(map(len, rows))
    return Alignment(
        status=CutStatus.FAILED if failed else CutStatus.ALIGNED,
        reason="another place" if failed else "",
        frame=frame,
        K=_longer(lens[cut : cut + 2]),
        scene_from_cam=np.stack([np.eye(4)] * 2),
        side=np.repeat([0, 1], [len(r) for r in rows]),
        row=np.concatenate(rows),
        global_orient=np.zeros((count, 3)),
        transl=np.zeros((count, 3)),
        joints_scene=np.concatenate(joints),
        residual_px=np.zeros(count),
        pair=np.zeros((0, 2), dtype=np.int64),
        loss=0.0,
    )
