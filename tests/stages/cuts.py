"""A `Work` for one cut between two one-frame shots of the boundary oracle."""

from fractions import Fraction

import numpy as np

from multithumbs.body import EMBEDDED_BODY
from multithumbs.synth.boundary_oracle import CutSetup, OracleCut, make_cut
from multithumbs.types import Textures, VideoInfo
from multithumbs.types.work import CutItem, Runtime, Work


class TwoFrames:
    """Frame 0 lies before the cut, frame 1 after it."""

    def __init__(self, images) -> None:
        self._images = images
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=images[0].shape[:2],
            frame_rate=Fraction(25),
            timestamps_s=np.arange(2) / 25,
        )

    def frames(self, start, end, step=1):
        raise NotImplementedError

    def frame(self, index):
        return self._images[index]


def work_at_cut(config, hw, images=None, device="cpu") -> Work:
    grey = [np.full((*hw, 3), 127, dtype=np.uint8)] * 2
    return Work(
        video=TwoFrames(images or grey),
        config=config,
        runtime=Runtime(device=device, threads=1),
        shot=None,
        cut=CutItem(index=0, before=0, after=1),
        body_npz=EMBEDDED_BODY,
        checkpoints={},
        progress=lambda done, total: None,
    )


def inputs(cut: OracleCut) -> dict:
    """What `boundaries` reads of both shots, but for textures; and `alignment`."""
    names = ("detections", "keypoints", "masks", "bodies", "tracks")
    return {name: tuple(getattr(side, name) for side in cut.sides) for name in names}


def textures(track: list[int], colours: list[tuple[int, int, int]]) -> Textures:
    """Plain ones, seen everywhere."""
    rgb = np.zeros((len(track), 8, 8, 3), dtype=np.uint8)
    rgb[:] = np.array(colours, dtype=np.uint8).reshape(-1, 1, 1, 3)
    return Textures(
        track=np.array(track, dtype=np.int64), rgb=rgb, weight=np.ones((len(track), 8, 8))
    )


def small_cut(body, seed=0, **setup) -> OracleCut:
    return make_cut(
        body, CutSetup(hw=(360, 640), focal_px=550.0, view_rad=1.0, mask_stride=4, **setup), seed
    )
