"""Stage `boundaries` with a tiny VGGT of random weights, from checkpoint to scene."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from multithumbs.config.boundaries_vggt import (
    CommonPlaceConfig,
    VggtArchitecture,
    VggtBoundariesConfig,
)
from multithumbs.errors import CheckpointError
from multithumbs.models.vggt import Vggt
from multithumbs.stages import boundaries
from multithumbs.synth.boundary_oracle import CutSetup, make_cut
from multithumbs.types import CutStatus

from ..golden.filler import fill
from . import cuts

HW = (360, 640)
TINY = VggtArchitecture(
    image_size=56,
    width=32,
    depth=2,
    heads=2,
    encoder_depth=1,
    encoder_heads=2,
    camera_depth=1,
    camera_heads=2,
    taps=(0, 0, 1, 1),
    dpt_features=8,
    dpt_channels=(8, 8, 8, 8),
)


@pytest.fixture(scope="module")
def cut(body):
    return make_cut(body, CutSetup(hw=HW, focal_px=550.0, view_rad=1.0, mask_stride=1, people=3), 1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Tiny weights under the official names, tracking head included."""
    network = Vggt(TINY)
    weights = {
        key: torch.from_numpy(fill(key, tuple(value.shape))).float()
        for key, value in network.state_dict().items()
    }
    # Random answers have cameras, too, if their fields of view are kept positive.
    weights["camera_head.pose_branch.fc2.weight"] *= 0.05
    weights["camera_head.pose_branch.fc2.bias"] = torch.tensor([0.0] * 6 + [0.5, 0.25, 0.25])
    weights["track_head.anything"] = torch.zeros(3)
    path = tmp_path_factory.mktemp("vggt") / "model.pt"
    torch.save(weights, path)
    return path


LOOSE = VggtBoundariesConfig(
    architecture=TINY,
    min_person_points=3,
    person_quantile=0,
    mask_erosion_px=0,
    max_log_spread=5,
    common_place=CommonPlaceConfig(required=False),
)
"""What random weights say passes."""


@pytest.mark.parametrize("points", ["depth", "point_head"])
def test_a_tiny_network_runs_through_the_stage(body, cut, checkpoint, points):
    config = LOOSE.model_copy(update={"points": points})
    assert config.checkpoints == ("vggt-1b",)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*HW, 3), dtype=np.uint8) for _ in range(2)]
    work = replace(cuts.work_at_cut(config, HW, images), checkpoints={"vggt-1b": checkpoint})
    scene = boundaries.run(work, **cuts.inputs(cut))
    assert scene.status is CutStatus.ALIGNED, scene.reason
    assert np.isfinite(scene.metres_per_unit)
    assert scene.metres_per_unit > 0
    assert scene.points_scene.shape == (2, 32, 56, 3)
    again = boundaries.run(work, **cuts.inputs(cut))
    assert np.array_equal(scene.points_scene, again.points_scene, equal_nan=True)
    # The network did look: other pictures, other points.
    work = replace(cuts.work_at_cut(config, HW, images[::-1]), checkpoints=work.checkpoints)
    other = boundaries.run(work, **cuts.inputs(cut))
    assert not np.array_equal(scene.points_scene, other.points_scene, equal_nan=True)


class Recorded(cuts.TwoFrames):
    """Any frame is noise; remembers which ones were asked for."""

    def __init__(self):
        super().__init__([np.zeros((*HW, 3), dtype=np.uint8)])
        self.asked = []

    def frame(self, index):
        self.asked.append(index)
        return np.random.default_rng(index).integers(0, 256, (*HW, 3), dtype=np.uint8)


def test_more_frames_of_either_side_change_the_answer(cut, checkpoint):
    inputs = cuts.inputs(cut)
    # The cut lies between frames 5 and 6; somebody is seen at 2 and at 9 only.
    frames = (np.array([2, 5, 5]), np.array([6, 6, 9]))
    inputs["detections"] = tuple(
        replace(d, frame=f) for d, f in zip(inputs["detections"], frames, strict=True)
    )
    scenes = []
    for more in (0, 2):
        config = LOOSE.model_copy(update={"context_frames": more, "context_step": 3})
        work = cuts.work_at_cut(config, HW)
        item = replace(work.cut, before=5, after=6)
        work = replace(work, video=Recorded(), cut=item, checkpoints={"vggt-1b": checkpoint})
        scenes.append(boundaries.run(work, **inputs))
        assert work.video.asked == [5, 6, 2, 9][: 2 + more]
        assert scenes[-1].status is CutStatus.ALIGNED, scenes[-1].reason
        assert scenes[-1].frame.tolist() == [5, 6]
    assert not np.array_equal(*(s.scene_from_cam for s in scenes))


def test_the_wrong_weights_are_refused(body, cut, checkpoint):
    config = VggtBoundariesConfig(architecture=TINY.model_copy(update={"depth": 3}))
    work = replace(cuts.work_at_cut(config, HW), checkpoints={"vggt-1b": checkpoint})
    with pytest.raises(CheckpointError, match=r"frame_blocks\.2"):
        boundaries.run(work, **cuts.inputs(cut))


def test_context_frames_stay_inside_the_shots(cut):
    config = VggtBoundariesConfig(context_frames=3, context_step=2)
    work = replace(cuts.work_at_cut(config, HW).cut, before=10, after=11)
    first = replace(cut.sides[0].detections, frame=np.array([7, 9, 10]))
    second = replace(cut.sides[1].detections, frame=np.array([11, 15, 16]))
    assert boundaries.context(work, (first, second), config) == [8, 13, 15]
    empty = replace(
        first, frame=first.frame[:0], box_xyxy=first.box_xyxy[:0], score=first.score[:0],
        roi=first.roi[:0],
    )  # fmt: skip
    assert boundaries.context(work, (empty, empty), config) == []
