"""Back-ends `phalp` and `segfollow` of stage `tracks`: frames, bodies and masks become tracks."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from multithumbs.backends.tracks import phalp
from multithumbs.backends.tracks.phalp import (
    phalp_places,
    pose_vectors,
    read_statistics,
)
from multithumbs.backends.tracks.segfollow import histogram, mask_box
from multithumbs.body import EMBEDDED_BODY, BodyModel
from multithumbs.body.storage import read_body_file, write_body_file
from multithumbs.config.tracks import PhalpConfig, SegFollowConfig, TracksConfig
from multithumbs.errors import CheckpointError, ConfigError
from multithumbs.models.phalp import AppearanceEncoder, PosePredictor, PredictorArchitecture
from multithumbs.render.raycast import Mesh, cast
from multithumbs.render.texture import Texels
from multithumbs.stages import tracks
from multithumbs.types import Bodies, Detections, Frame, Keypoints, Masks, VideoInfo
from multithumbs.types.work import Runtime, Work

HW = (180, 320)
FOCAL = 300.0
FRAMES = 24
COLOURS = np.array([[200, 40, 40], [40, 60, 200]], np.uint8)
K = np.array([[FOCAL, 0, HW[1] / 2], [0, FOCAL, HW[0] / 2], [0, 0, 1]])
ANY_BOX = (1.0, 1.0)


class Pictures:
    """Frames in memory; counts how many were read."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures, self.read = pictures, 0
        self.info = VideoInfo(
            sha256="0" * 64,
            hw=HW,
            frame_rate=Fraction(25),
            timestamps_s=np.arange(len(pictures)) / 25,
        )

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        for index in range(start, end, step):
            self.read += 1
            yield Frame(index, self.pictures[index])

    def frame(self, index: int) -> np.ndarray:
        return self.pictures[index]


@pytest.fixture(scope="module")
def clip(body: BodyModel):
    """Two of one build in two colours meet and turn back, the second one hidden meanwhile."""
    half = FRAMES // 2
    there = np.linspace(-1.1, 0.0, half)
    x = np.stack([np.r_[there, there[::-1]], -np.r_[there, there[::-1]]])
    depth = np.array([4.6, 5.2])
    pictures, rows, dense = [], [], []
    pose = np.zeros((24, 3))
    pose[0, 0] = np.pi
    zero = torch.zeros(10, dtype=body.dtype)
    posed = body.vertices(torch.from_numpy(pose).to(body.dtype), zero, zero[:3]).numpy()
    joints = body.posed(torch.from_numpy(pose).to(body.dtype), zero, zero[:3]).joints.numpy()
    meshes = [Mesh(posed.astype(np.float64), body.faces.numpy()) for _ in range(2)]
    for frame in range(FRAMES):
        places = np.stack([x[:, frame], [0.0, 0.0], depth], -1)
        for person in range(2):
            meshes[person].move(posed + places[person])
        hits = cast(meshes, K, HW)
        picture = np.full((*HW, 3), 120, np.uint8)
        picture[hits.mesh >= 0] = COLOURS[hits.mesh[hits.mesh >= 0]]
        pictures.append(picture)
        for person in range(2):
            mask = hits.mesh == person
            if mask.sum() > 0.4 * (hits.mesh == 0).sum():
                rows.append((frame, person, mask_box(mask), places[person]))
                dense.append(mask)
    count = len(rows)
    place = np.array([row[3] for row in rows])
    detections = Detections(
        frame=np.array([row[0] for row in rows]),
        box_xyxy=np.array([row[2] for row in rows]),
        score=np.full(count, 0.9),
        roi=np.zeros((count, 4)),
    )
    bodies = Bodies(
        pose=np.repeat(pose[None], count, 0),
        betas=np.zeros((count, 10)),
        transl=place,
        joints_cam=joints.astype(np.float64) + place[:, None],
        K=np.repeat(K[None], count, 0),
        confidence=np.ones(count),
        residual_px=np.ones(count),
    )
    person = np.array([row[1] for row in rows])
    assert 0 < (person == 1).sum() < FRAMES
    return pictures, detections, bodies, Masks.from_dense(dense, HW), person


def run(clip, config: TracksConfig, *, bodies=None, detections=None, **fields):
    pictures, seen, posed, masks, _ = clip
    video = Pictures(pictures)
    seen = seen if detections is None else detections
    posed = posed if bodies is None else bodies
    count = len(seen)
    work = Work(
        video=video,
        config=config,
        runtime=Runtime(threads=1),
        shot=None,
        cut=None,
        body_npz=fields.get("body_npz", EMBEDDED_BODY),
        checkpoints=fields.get("checkpoints", {}),
        progress=lambda done, total: None,
    )
    keypoints = Keypoints(
        uv=np.zeros((count, 23, 2)),
        confidence=np.zeros((count, 23)),
        xyz=np.zeros((count, 23, 3)),
        xyz_confidence=np.zeros((count, 23)),
    )
    found = tracks.run(work, detections=seen, keypoints=keypoints, bodies=posed, masks=masks)
    return found.track, video.read


COLOUR = PhalpConfig(appearance="colour", texture_size=32, min_box_wh_px=ANY_BOX, colour_cells=8)


@pytest.mark.parametrize("config", [COLOUR, SegFollowConfig()], ids=["phalp", "segfollow"])
def test_colours_tell_who_turned_back(clip, config: TracksConfig) -> None:
    label, read = run(clip, config)
    np.testing.assert_array_equal(label, clip[-1])
    assert read == FRAMES


@pytest.mark.parametrize(
    "config",
    [
        PhalpConfig(appearance="none", min_box_wh_px=ANY_BOX),
        SegFollowConfig(colour_bins=0),
    ],
    ids=["phalp", "segfollow"],
)
def test_without_appearance_no_frame_is_read(clip, config: TracksConfig) -> None:
    label, read = run(clip, config)
    assert read == 0
    apart = clip[1].frame < 6
    np.testing.assert_array_equal(label[apart], clip[-1][apart])


def test_phalp_leaves_out_what_it_cannot_judge(clip) -> None:
    _, detections, bodies, _, person = clip
    lost = replace(bodies, confidence=np.where(person == 1, 0.0, 1.0))
    assert (run(clip, COLOUR, bodies=lost)[0][person == 1] == -1).all()
    doubted = replace(detections, score=np.where(person == 1, 0.1, 0.9))
    strict = COLOUR.model_copy(update={"min_score": 0.5})
    label, _ = run(clip, strict, detections=doubted)
    np.testing.assert_array_equal(label, np.where(person == 1, -1, 0))
    tall = PhalpConfig(appearance="none", min_box_wh_px=(1.0, 105.0))
    np.testing.assert_array_equal(run(clip, tall)[0] == -1, person == 1)


def test_nobody(clip) -> None:
    _, detections, bodies, _, _ = clip
    empty = [
        type(rows)(**{name: getattr(rows, name)[:0] for name in type(rows).__slots__})
        for rows in (detections, bodies)
    ]
    for config in (COLOUR, SegFollowConfig()):
        assert len(run(clip, config, detections=empty[0], bodies=empty[1])[0]) == 0


def test_the_encoder_and_the_predictor_run_from_their_files(clip, tmp_path: Path) -> None:
    """Random weights: everything loads, runs and gives the same tracks twice."""
    torch.manual_seed(0)
    encoder = {f"hmar.{k}": v for k, v in AppearanceEncoder().state_dict().items()}
    torch.save({"model": encoder}, tmp_path / "hmar.pth")
    size = PredictorArchitecture(
        width=16, frames=20, depth=1, heads=2, head_width=8, mlp=16, pose_hidden=16, smpl_hidden=16
    )
    predictor = PosePredictor(size)
    for name, value in predictor.named_buffers():
        if name.endswith("init_body_pose"):
            value[:] = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(24)
    weights = {f"encoder.{k}": v for k, v in predictor.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "predictor.ckpt")
    np.save(tmp_path / "mean_std.npy", np.stack([np.zeros((1, 226)), np.ones((1, 226))]))
    config = PhalpConfig(
        texture_size=32, min_box_wh_px=ANY_BOX, pose="predictor", head_width=8, batch=3
    )
    assert config.checkpoints == ("phalp-hmar", "phalp-pose-predictor", "phalp-pose-statistics")
    files = ("hmar.pth", "predictor.ckpt", "mean_std.npy")
    checkpoints = {n: tmp_path / f for n, f in zip(config.checkpoints, files, strict=True)}
    first, read = run(clip, config, checkpoints=checkpoints)
    assert read == FRAMES
    assert first.max() >= 0
    np.testing.assert_array_equal(run(clip, config, checkpoints=checkpoints)[0], first)
    wrong = checkpoints | {"phalp-hmar": tmp_path / "predictor.ckpt"}
    with pytest.raises(CheckpointError, match="phalp-hmar"):
        run(clip, config, checkpoints=wrong)


def test_a_body_without_a_uv_map_is_told(clip, tmp_path: Path) -> None:
    tables, _ = read_body_file(EMBEDDED_BODY)
    bare = replace(tables, uv=np.zeros((0, 2)), face_uv_index=np.zeros((0, 3), np.int64))
    write_body_file(tmp_path / "bare.npz", bare)
    with pytest.raises(ConfigError, match=r"atlas=phalp"):
        run(clip, COLOUR, body_npz=tmp_path / "bare.npz")
    plain = PhalpConfig(appearance="none", min_box_wh_px=ANY_BOX)
    assert run(clip, plain, body_npz=tmp_path / "bare.npz")[0].max() >= 0


def test_phalps_own_texels(clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of faces and weights do what the body's own map does; they name SMPL's faces."""
    tables, _ = read_body_file(EMBEDDED_BODY)
    own = Texels.of(tables.uv[tables.face_uv_index], 256)
    face, weights = np.full((256, 256), -1, np.int32), np.zeros((256, 256, 3), np.float32)
    face[own.row, own.column], weights[own.row, own.column] = own.face, own.weights
    np.save(tmp_path / "fmap.npy", face)
    np.save(tmp_path / "bmap.npy", weights)
    read = phalp.read_texels(tmp_path / "fmap.npy", tmp_path / "bmap.npy")
    np.testing.assert_array_equal(read.face, own.face)
    np.testing.assert_allclose(read.weights, own.weights, atol=1e-6)
    config = PhalpConfig(appearance="colour", atlas="phalp", min_box_wh_px=ANY_BOX)
    files = {phalp.TEXEL_FACES: tmp_path / "fmap.npy", phalp.TEXEL_WEIGHTS: tmp_path / "bmap.npy"}
    assert set(config.checkpoints) == set(files)
    with pytest.raises(ConfigError, match="13776 faces"):
        run(clip, config, checkpoints=files)
    monkeypatch.setattr(phalp, "SMPL_FACES", len(tables.faces))
    np.testing.assert_array_equal(run(clip, config, checkpoints=files)[0], clip[-1])
    with pytest.raises(CheckpointError, match="fmap_256"):
        phalp.read_texels(tmp_path / "bmap.npy", tmp_path / "fmap.npy")


def test_places_in_phalps_camera(clip) -> None:
    """The equivalent camera shows the body's origin at the same pixel of the padded square."""
    bodies = clip[2]
    xy, camera = phalp_places(bodies, HW)
    np.testing.assert_allclose(camera[:, :2] / camera[:, 2:] * 5000 / 256 + 0.5, xy)
    uv = (bodies.transl @ K.T)[:, :2] / bodies.transl[:, 2:]
    padded = (uv + np.array([0, (HW[1] - HW[0]) // 2])) / HW[1]
    np.testing.assert_allclose(xy, padded)
    # Twice as far is half as large in both cameras.
    np.testing.assert_allclose(camera[:, 2] / bodies.transl[:, 2], 5000 / FOCAL * HW[1] / 256)
    pose = pose_vectors(bodies, camera)
    assert pose.shape == (len(bodies), 229)
    np.testing.assert_allclose(pose[0, :9].reshape(3, 3), np.diag([1, -1, -1]), atol=1e-9)
    np.testing.assert_allclose(pose[:, 228], camera[:, 2] / 200)


def test_statistics_are_plain_numbers_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "mean_std.npy"
    np.save(path, np.stack([np.full((1, 226), 2.0), np.full((1, 226), 3.0)]))
    mean, std = read_statistics(path)
    assert mean[225] == 2
    assert mean[226] == 0
    assert std[225] == 3
    assert std[228] == 1
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"mean_std\.npy"):
        read_statistics(path)
    np.save(path, np.zeros((2, 300)))
    with pytest.raises(CheckpointError, match="300 entries"):
        read_statistics(path)


def test_histograms_compare_colours_not_sizes() -> None:
    rng = np.random.default_rng(0)
    red = np.clip(rng.normal([200, 40, 40], 6, (4000, 3)), 0, 255).astype(np.uint8)
    blue = np.clip(rng.normal([40, 40, 200], 6, (900, 3)), 0, 255).astype(np.uint8)
    a, b, part = histogram(red, 12), histogram(blue, 12), histogram(red[:500], 12)
    assert a @ a == pytest.approx(1)
    assert a @ part > 0.97
    assert a @ b < 0.05
