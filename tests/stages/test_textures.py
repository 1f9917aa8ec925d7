"""Stage `textures`: what is seen is painted, what is hidden is not."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from multithumbs.backends.textures.merge import choose_rows
from multithumbs.body import EMBEDDED_BODY
from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.config.textures import RaycastTexturesConfig
from multithumbs.stages import textures
from multithumbs.synth.boundary_oracle import CutSetup, OracleNoise, make_cut
from multithumbs.types import Frame, VideoInfo
from multithumbs.types.work import Runtime, Work

EXACT = OracleNoise(
    keypoint_of_height=0.0,
    log_size=0.0,
    log_fit=0.0,
    orientation_rad=0.0,
    pose_rad=0.0,
    walk_m=0.0,
)
HW = (360, 640)


class OneImage:
    """The same image in every frame."""

    def __init__(self, image):
        self._image = image
        self.info = VideoInfo(
            sha256="0" * 64, hw=HW, frame_rate=Fraction(25), timestamps_s=np.arange(2) / 25
        )

    def frames(self, start, end, step=1):
        for index in range(start, end, step):
            yield Frame(index, self._image)

    def frame(self, index):
        return self._image


@pytest.fixture(scope="module")
def side(body):
    setup = CutSetup(people=2, hw=HW, focal_px=550.0, mask_stride=1, noise=EXACT)
    return make_cut(body, setup, seed=3).sides[0]


def paint(side):
    """Each person's mask in one colour."""
    image = np.zeros((*HW, 3), dtype=np.uint8)
    colours = np.array([(200, 30, 30), (30, 30, 200)], dtype=np.uint8)
    for row in range(len(side.who)):
        image[side.masks.dense(row)] = colours[row]
    return image, colours


def bake(side, image, body_npz=EMBEDDED_BODY, **config):
    work = Work(
        video=OneImage(image),
        config=RaycastTexturesConfig(**config),
        runtime=Runtime(threads=1),
        shot=None,
        cut=None,
        body_npz=body_npz,
        checkpoints={},
        progress=lambda done, total: None,
    )
    return textures.run(
        work,
        detections=side.detections,
        masks=side.masks,
        bodies=side.bodies,
        tracks=side.tracks,
    )


def test_each_track_wears_its_own_colour_on_the_side_that_is_seen(side):
    image, colours = paint(side)
    found = bake(side, image)
    assert found.track.tolist() == [0, 1]
    for entry in range(2):
        seen = found.weight[entry] > 0
        assert 0.03 < seen.mean() < 0.45
        assert found.weight[entry].max() <= 1
        error = np.abs(found.rgb[entry][seen].astype(int) - colours[entry].astype(int))
        # Bilinear sampling mixes the colours of neighbours at the silhouette.
        assert np.median(error) == 0
        assert (error.max(1) < 40).mean() > 0.95
        assert (found.rgb[entry][~seen] == 0).all()


def test_bodies_without_confidence_paint_nothing(side):
    image, _ = paint(side)
    lost = replace(side, bodies=replace(side.bodies, confidence=np.array([0.0, 0.9])))
    assert bake(lost, image).track.tolist() == [1]
    nobody = replace(side, bodies=replace(side.bodies, confidence=np.zeros(2)))
    empty = bake(nobody, image, size=32)
    assert empty.rgb.shape == (0, 32, 32, 3)


def test_first_and_last_rows_of_a_track_are_always_baked(side):
    frames = np.arange(40)
    repeat = {"bodies": side.bodies, "tracks": side.tracks, "detections": side.detections}
    rows = np.zeros(40, dtype=np.int64)
    detections = replace(
        repeat["detections"],
        frame=frames,
        **{name: getattr(side.detections, name)[rows] for name in ("box_xyxy", "score", "roi")},
    )
    names = ("pose", "betas", "transl", "joints_cam", "K", "confidence", "residual_px")
    bodies = replace(side.bodies, **{name: getattr(side.bodies, name)[rows] for name in names})
    tracks = replace(side.tracks, track=rows)
    chosen = choose_rows(detections, bodies, tracks, RaycastTexturesConfig(frames_per_track=5))
    assert len(chosen) == 5
    assert chosen[0] == 0
    assert chosen[-1] == 39
    assert np.diff(chosen).max() < 12


def test_textures_at_the_papers_size(side):
    image, colours = paint(side)
    found = bake(side, image, size=256)
    assert found.rgb.shape == (2, 256, 256, 3)
    coarse = bake(side, image, size=64)
    for entry in range(2):
        seen = found.weight[entry] > 0
        # The same surface, in sixteen times as many texels.
        assert seen.mean() == pytest.approx((coarse.weight[entry] > 0).mean(), rel=0.1)
        error = np.abs(found.rgb[entry][seen].astype(int) - colours[entry].astype(int))
        assert np.median(error) == 0


def test_the_atlas_is_the_body_files_own(side, tmp_path):
    """A licensed body's map lies in its own file: here the embedded one's, turned by a quarter."""
    image, _ = paint(side)
    tables, _ = read_body_file(EMBEDDED_BODY)
    turned = np.stack([1 - tables.uv[:, 1], tables.uv[:, 0]], axis=1)
    write_body_file(tmp_path / "smpl.npz", replace(tables, name="smpl", uv=turned))
    own = bake(side, image, size=64)
    other = bake(side, image, body_npz=tmp_path / "smpl.npz", size=64)
    np.testing.assert_array_equal(other.track, own.track)
    back = np.rot90(other.weight, axes=(1, 2))
    same = (back > 0) == (own.weight > 0)
    assert same.mean() > 0.99
    bare = replace(tables, uv=np.zeros((0, 2)), face_uv_index=np.zeros((0, 3), np.int64))
    write_body_file(tmp_path / "bare.npz", bare)
    assert len(bake(side, image, body_npz=tmp_path / "bare.npz").track) == 0
