"""Videos of sequences, scores, published numbers and reports."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from multithumbs.errors import ArtifactError, ConfigError
from multithumbs.evaluation.clip_scores import UNITS
from multithumbs.evaluation.datasets.encode import encode, pictures
from multithumbs.evaluation.datasets.evaluate import chosen, evaluate
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.published import PAPER, TABLES
from multithumbs.evaluation.datasets.registry import DATASETS, load_sequence
from multithumbs.evaluation.datasets.report import MethodScores, load_scores, report, save_scores
from multithumbs.evaluation.datasets.result_files import PATTERNS, result_of
from multithumbs.evaluation.datasets.scoring import Prediction, Sights, scores_of, wild_scores
from multithumbs.evaluation.datasets.sequence import EvalSequence, Lens, of_height
from multithumbs.evaluation.readers.peers import PEERS
from multithumbs.evaluation.scene import Scene

from . import scenes

HW = (180, 320)


@pytest.mark.parametrize("fisheye", [True, False])
def test_undistorted_pictures_are_those_of_a_pinhole_camera(tmp_path, fisheye):
    K = np.array([[200.0, 0, 160], [0, 205.0, 90], [0, 0, 1]])
    coefficients = np.array([0.08, -0.05, 0.01, 0.002] if fisheye else [-0.25, 0.06, 0.001, 0.002])
    points = np.array([[-0.5, -0.25, 1], [0.4, 0.2, 1], [0.1, -0.3, 1], [0.55, -0.05, 1.0]])
    none = np.zeros(3)
    if fisheye:
        stored, _ = cv2.fisheye.projectPoints(points[:, None], none, none, K, coefficients)
    else:
        stored, _ = cv2.projectPoints(points[:, None], none, none, K, coefficients)
    image = np.zeros((*HW, 3), np.uint8)
    v, u = np.mgrid[: HW[0], : HW[1]]
    for x, y in stored[:, 0]:
        image = np.maximum(
            image, (255 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8))[..., None]
        ).astype(np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    lens = Lens(K=K, distortion=tuple(coefficients.tolist()), fisheye=fisheye)
    sequence = EvalSequence(name="a", fps=20.0, hw=HW, frames=(path,), lenses=(lens,))
    [found] = pictures(sequence)
    straight = points @ K.T
    moved = np.linalg.norm(stored[:, 0] - straight[:, :2], axis=1)
    assert moved.max() > 3  # the lens does something
    for x, y in straight[:, :2]:
        near = found[..., 0] * (np.hypot(u - x, v - y) < 8).astype(float)
        centre = [(near * grid).sum() / near.sum() for grid in (u, v)]
        assert np.hypot(centre[0] - x, centre[1] - y) < 0.3


def test_a_smaller_video_has_a_smaller_camera(tmp_path, body):
    bodies = scenes.bodies(body)
    scenes.exo_colmap(tmp_path, scenes.known(), body)
    dataset = DATASETS["egohumans"]
    [(name, path)] = dataset.find(tmp_path).items()
    whole, half = (
        load_sequence(dataset, name, path, Options(bodies=bodies, height=height))
        for height in (None, 45)
    )
    assert (whole.hw, half.hw, half.stored_hw) == ((90, 160), (45, 80), (90, 160))
    assert whole.truth is not None and half.truth is not None
    expected = (whole.truth.scene.uv() + 0.5) / 2 - 0.5
    np.testing.assert_allclose(half.truth.scene.uv(), expected, atol=1e-9)
    assert next(iter(pictures(half))).shape == (45, 80, 3)
    assert of_height(whole, 2000) is whole


def test_a_video_is_made_once_and_again_if_a_picture_changes(tmp_path):
    frames = tuple(tmp_path / f"{i}.png" for i in range(3))
    for path in frames:
        scenes.picture(path, 50)
    sequence = EvalSequence(name="a", fps=20.0, hw=scenes.HW, frames=frames, lenses=(None,) * 3)
    video = tmp_path / "out/a.mp4"
    assert encode(sequence, video) and not encode(sequence, video)
    assert encode(replace(sequence, fps=25.0), video)
    scenes.picture(frames[1], 200)
    assert encode(replace(sequence, fps=25.0), video)
    scenes.picture(frames[2], 50, (20, 20))
    with pytest.raises(ArtifactError, match=r"2.png is 20x20; expected 90x160"):
        encode(sequence, video)


@pytest.fixture
def emdb(tmp_path, body):
    """A sequence of a woman, and the truth as a prediction with the man's body."""
    scenes.emdb(tmp_path, scenes.known(genders=("female", "neutral")))
    bodies = scenes.bodies(body)
    dataset = DATASETS["emdb"]
    [(name, path)] = dataset.find(tmp_path).items()
    sequence = load_sequence(dataset, name, path, Options(bodies=bodies))
    assert sequence.truth is not None
    scene = replace(sequence.truth.scene, seen=np.ones(scenes.FRAMES, bool))
    return sequence, Prediction(scene=scene, body=bodies.neutral, is_smpl=True), bodies


def test_mpvpe_takes_each_ones_own_body(emdb):
    sequence, prediction, bodies = emdb
    same = scores_of(replace(prediction, body=bodies.female), sequence)
    assert same["mpvpe"] == pytest.approx(0, abs=1e-6)
    other = scores_of(prediction, sequence)["mpvpe"]
    assert other is not None and other > 5
    assert scores_of(replace(prediction, is_smpl=False), sequence)["mpvpe"] is None


def test_frames_without_truth_cost_nothing(emdb):
    sequence, prediction, _ = emdb
    truth = sequence.truth
    short = replace(sequence, truth=replace(truth, scene=truth.scene.between(0, 6)))
    found = scores_of(prediction, short)
    assert found["mota"] == 100.0 and found["mpjpe"] == pytest.approx(0, abs=1e-9)


def test_a_result_of_nobody_is_scored_and_one_of_nothing_refused(emdb, nobody):
    sequence, prediction, _ = emdb
    found = scores_of(replace(prediction, scene=Scene.of_result(nobody)), sequence)
    assert found["mpjpe"] is None and found["recall"] == 0
    empty = Scene.of_result(nobody).between(0, 0)
    with pytest.raises(ArtifactError, match="holds no camera"):
        scores_of(replace(prediction, scene=empty), sequence)
    late = replace(prediction.scene, camera_frame=prediction.scene.camera_frame + 100)
    late = replace(late, frame=late.frame + 100)
    with pytest.raises(ArtifactError, match="share no frame"):
        scores_of(replace(prediction, scene=late), sequence)


def sights(scene, body, noise=0.0):
    """The body's own keypoints as a detector's."""
    tensors = (torch.from_numpy(x).to(body.dtype) for x in (scene.pose, scene.betas, scene.transl))
    cam = scene.in_camera(body.posed(*tensors).keypoints.double().numpy(), scene.frame)
    uv = cam @ scene.K[0].T
    rng = np.random.default_rng(0)
    uv = uv[..., :2] / uv[..., 2:] + noise * rng.normal(size=(len(uv), 23, 2))
    confidence = np.ones((len(uv), 23))
    return Sights(frame=scene.frame, uv=uv, confidence=confidence, shot_start=scene.shot_start)


def test_without_truth_a_wrong_pose_behind_the_cut_costs_pck(two_shots, body):
    scene = Scene.of_result(two_shots)
    good = Prediction(scene=scene, body=body, is_smpl=True)
    seen = sights(scene, body)
    found = wild_scores(good, fps=30.0, sights=seen, hw=HW)
    assert found["pck_cross"] is not None and found["pck_cross"] > 95
    bent = scene.pose.copy()
    bent[scene.frame == 11, 1:3] += 1.0  # the legs of the last frame before the cut
    bad = wild_scores(replace(good, scene=replace(scene, pose=bent)), fps=30.0, sights=seen, hw=HW)
    assert bad["pck_cross"] is not None and bad["pck_cross"] < found["pck_cross"] - 10
    renamed = replace(scene, person=scene.person + 10 * (scene.frame >= 12))
    none = wild_scores(replace(good, scene=renamed), fps=30.0, sights=seen, hw=HW)
    assert none["pck_cross"] is None  # nobody is held on both sides
    assert wild_scores(good, fps=30.0, sights=None, hw=HW)["pck_cross"] is None


def test_without_truth_sliding_is_the_movement_of_the_stillest_sole(two_shots, body):
    scene = Scene.of_result(two_shots)
    still = replace(
        scene,
        pose=np.repeat(scene.pose[:1], len(scene.frame), 0),
        transl=np.repeat(scene.transl[:1], len(scene.frame), 0),
        joints_world=np.repeat(scene.joints_world[:1], len(scene.frame), 0),
        betas=np.repeat(scene.betas[:1], len(scene.frame), 0),
    )
    standing = wild_scores(
        Prediction(scene=still, body=body, is_smpl=True), fps=30.0, sights=None, hw=HW
    )
    assert standing["foot_sliding"] == pytest.approx(0, abs=1e-9)
    assert standing["jitter"] == pytest.approx(0, abs=1e-9)
    shift = 0.02 * scene.frame[:, None] * np.array([1.0, 0, 0])
    gliding = replace(
        still, transl=still.transl + shift, joints_world=still.joints_world + shift[:, None]
    )
    found = wild_scores(
        Prediction(scene=gliding, body=body, is_smpl=True), fps=30.0, sights=None, hw=HW
    )
    assert found["foot_sliding"] == pytest.approx(20.0)
    assert found["jitter"] == pytest.approx(0, abs=1e-8)


def test_published_tables_are_whole():
    numbers = {(t.number, t.dataset) for t in TABLES}
    places = ("egohumans", "egobody", "harmony4d")
    assert numbers == {(n, d) for n in (1, 2) for d in places} | {(3, "egohumans"), (4, "clips")}
    for table in TABLES:
        assert set(table.metrics) <= set(UNITS) and PAPER in table.methods
        assert all(len(values) == len(table.metrics) for values in table.methods.values())
    by = {(t.number, t.dataset): t.methods for t in TABLES}
    assert by[1, "harmony4d"]["PromptHMR"] == (1746.3, 399.8, 675.7, 746.0, 66.8)
    assert by[2, "egobody"][PAPER] == (0.00, 0.1) and by[2, "harmony4d"]["VGGT"] == (None, 1.4)
    assert by[2, "egohumans"]["KPR"] == (2.54, None)
    # Table 3 prints two of its own Table 1's numbers otherwise.
    assert by[3, "egohumans"][PAPER][0] == 278.8 and by[1, "egohumans"][PAPER][0] == 279.0


def method(name, ids, **changes):
    fields = {
        "dataset": "egobody",
        "method": name,
        "protocol": {"seed": "0"},
        "scores": {"a": {"ids": ids, "mpvpe": None}, "b": {"ids": ids + 2}},
        "failures": {},
    }
    return MethodScores(**(fields | changes))


def test_methods_scored_alike_stand_in_one_table(tmp_path):
    other = method("gvhmr", 4.0, failures={"c": "no result"})
    stranger = method("wham", 9.0, protocol={"seed": "1"})
    for scores in (method("ours", 1.0), other, stranger):
        save_scores(scores, tmp_path)
    known = load_scores(tmp_path)
    assert [scores.method for scores in known] == ["gvhmr", "ours", "wham"]
    found = report(method("ours", 1.0), known)
    assert {row.method for row in found.rows} == {"ours", "gvhmr"}
    assert {row.metric for row in found.rows} == {"ids"}
    line = next(line for line in found.text.splitlines() if line.startswith("| ids"))
    assert [cell.strip() for cell in line.split("|")[-4:-1]] == ["0", "2.00 (n=2)", "5.00 (n=2)"]
    assert "wham was scored otherwise and is left out" in found.text
    assert "gvhmr failed on c: no result" in found.text
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"x.json holds no scores"):
        load_scores(tmp_path)


def test_every_program_that_is_read_has_a_place_for_its_results():
    assert set(PATTERNS) == set(PEERS)


def test_results_of_a_sequence_are_found(tmp_path):
    with pytest.raises(ArtifactError, match=r"no result of gvhmr for a: expected \*.pt below"):
        result_of("gvhmr", "a", tmp_path)
    for name in ("a/preproc/bbx.pt", "a/hmr4d_results.pt", "b.pt", "c/x.pt", "c/y.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert result_of("gvhmr", "a", tmp_path) == tmp_path / "a/hmr4d_results.pt"
    assert result_of("comotion", "b", tmp_path) == tmp_path / "b.pt"
    with pytest.raises(ArtifactError, match=r"2 results of gvhmr for c .*expected one"):
        result_of("gvhmr", "c", tmp_path)
    for name in ("d/motion_chunks/d_000060_world_results.npz", "d/camera.npy", "[e].npz", "f.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert result_of("slahmr", "d", tmp_path) == tmp_path / "d"
    assert result_of("tram", "d", tmp_path) == tmp_path / "d"
    assert result_of("slahmr", "[e]", tmp_path) == tmp_path / "[e].npz"
    with pytest.raises(ArtifactError, match=r"no result of tram for f: expected camera.npy"):
        result_of("tram", "f", tmp_path)


def test_sequences_are_chosen_by_name():
    found = {str(name): Path("x") for name in ("a1", "a2", "b1")}
    assert list(chosen(found, "a*", None)) == ["a1", "a2"]
    assert list(chosen(found, "*1", 1)) == ["a1"]
    with pytest.raises(ConfigError, match=r"no sequence is called 'c'; there are 3, such as a1"):
        chosen(found, "c", None)


def test_one_failing_sequence_does_not_stop_the_others(tmp_path, body):
    known = scenes.known(genders=("male", "female"))
    bodies = scenes.bodies(body)
    for name in ("a", "b", "c"):
        scenes.threedpw(tmp_path, known, bodies, name=name)
    (tmp_path / "imageFiles/b/image_00000.jpg").unlink()

    def predict(sequence):
        if sequence.name == "c":
            raise RuntimeError("unforeseen")
        scene = sequence.truth.scene
        return Prediction(scene=scene, body=body, is_smpl=True), None

    dataset = DATASETS["3dpw"]
    said = []
    done = evaluate(dataset, dataset.find(tmp_path), Options(bodies=bodies), predict, said.append)
    assert list(done.scores) == ["a"] and done.scores["a"]["mpjpe"] == pytest.approx(0, abs=1e-9)
    assert "lacks 1 of 10 pictures" in done.failures["b"]
    assert done.failures["c"] == "bug: RuntimeError: unforeseen"
    assert said[0] == "sequence 1 of 3: a"
