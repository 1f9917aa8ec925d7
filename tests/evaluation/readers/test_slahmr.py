"""SLAHMR's folders: the last stage of every shot's run, at its place in the video."""

import json

import numpy as np
import pytest

from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.readers.slahmr import STAGES, read_slahmr

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def body():
    return load_body(EMBEDDED_BODY)


def write(folder, *, length=6, people=1, marked=0.0):
    """A result whose first person's place tells which file it is of."""
    folder.mkdir(parents=True, exist_ok=True)
    trans = RNG.normal([0, 0, 5], 0.1, (people, length, 3))
    trans[0, :, 0] = marked
    np.savez(
        folder / "film_000010_world_results.npz",
        trans=trans,
        root_orient=np.zeros((people, length, 3)),
        pose_body=np.zeros((people, length, 63)),
        betas=np.zeros((people, 16)),
        cam_R=np.tile(np.eye(3), (people, length, 1, 1)),
        cam_t=np.zeros((people, length, 3)),
        intrins=np.array([500.0, 500.0, 320.0, 180.0]),
    )


def tracks(run, *, begin=0, masks=((1,) * 6,)):
    content = {
        "meta": {"data_interval": [0, 9], "seq_interval": [begin, begin + 6]},
        "tracks": {str(7 + i): {"index": i, "vis_mask": mask} for i, mask in enumerate(masks)},
    }
    (run / "track_info.json").write_text(json.dumps(content))


def settings(run, rate):
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra/config.yaml").write_text(f"data:\n  frame_opts:\n    fps: {rate}\n")


def read(path, body, fps=30.0, num_frames=40):
    return read_slahmr(path, fps, num_frames, body)


def test_the_last_stage_counts_not_the_last_name(tmp_path, body):
    run = tmp_path / "film-all-shot-0-0-180"
    for at, stage in enumerate(STAGES[:-1]):  # motion_fit runs only if it is asked for
        write(run / stage, marked=float(at))
    found = read(tmp_path, body)
    assert found.transl[:, 0] == pytest.approx(STAGES.index("motion_chunks"))
    assert found.frame.tolist() == list(range(6))


def test_frames_follow_the_tracks_and_the_rate(tmp_path, body):
    run = tmp_path / "film-all-shot-0-3-180"
    write(run / "motion_chunks", people=2)
    never, late = (0,) * 9, (0, 0, 0, 0, 1, 0, 1, 0, 0)
    tracks(run, begin=2, masks=((1,) * 9, late))
    found = read(tmp_path, body)
    assert found.camera_frame.tolist() == list(range(5, 11))
    second = found.person == 1
    assert found.frame[second].tolist() == [7, 8, 9]
    assert found.seen[second].tolist() == [True, False, True]
    settings(run, 15)  # every other picture of the video
    assert read(tmp_path, body).camera_frame.tolist() == [10, 12, 14, 16, 18, 20]
    assert read(tmp_path, body, num_frames=15).camera_frame.tolist() == [10, 12, 14]
    tracks(run, begin=2, masks=((1,) * 9, never))
    assert set(read(tmp_path, body).person.tolist()) == {0}


def test_shots_stand_in_their_own_worlds_at_their_place(tmp_path, body):
    for shot, name in ((0, "film-all-shot-0-0-180"), (1, "film-all-shot-1-0-180")):
        write(tmp_path / name / "motion_chunks", marked=float(shot))
    with pytest.raises(ArtifactError, match=r"cannot read .*shot_idcs.json"):
        read(tmp_path, body)
    shots = {f"{i + 1:06d}.jpg": int(i >= 12) for i in range(20)}
    (tmp_path / "shot_idcs.json").write_text(json.dumps(shots))
    found = read(tmp_path, body)
    assert found.camera_frame.tolist() == [*range(6), *range(12, 18)]
    assert found.space.tolist() == [0] * 6 + [1] * 6
    assert found.shot_start.tolist() == [0, 12]
    assert {0, 1000} == set(found.person.tolist())
    write(tmp_path / "again/film-all-shot-1-0-180" / "motion_chunks")
    with pytest.raises(ArtifactError, match="two results of one shot"):
        read(tmp_path, body)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "track_info.json").write_text("["), "cannot read .*track_info"),
        (lambda run: (run / "track_info.json").write_text("{}"), "lacks 'meta'"),
        (lambda run: tracks(run, begin=5), "says nothing of person 0 in 6 frames"),
        (lambda run: settings(run, 0), "fps is 0.0; expected a rate"),
        (lambda run: settings(run, "${oc.env:HOME}"), "could not convert"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, body, spoil, message):
    run = tmp_path / "film-all-shot-0-0-180"
    write(run / "motion_chunks")
    spoil(run)
    with pytest.raises((ArtifactError, ValueError), match=message):
        read(tmp_path, body)


def test_a_folder_without_results_is_told(tmp_path, body):
    with pytest.raises(ArtifactError, match="holds no"):
        read(tmp_path, body)
