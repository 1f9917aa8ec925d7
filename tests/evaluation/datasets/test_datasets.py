"""Each dataset's own format, written from one known scene and read back."""

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from multithumbs.errors import ArtifactError, CheckpointError, ConfigError
from multithumbs.evaluation.datasets.multiview import Schedule, longest_run, views_of_shots
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.registry import DATASETS, dataset_of, load_sequence
from multithumbs.evaluation.readers.motions import moved

from . import scenes

SCHEDULE = Schedule(shot_frames=4, frames=9, seed=1)


@pytest.fixture(scope="module")
def bodies(body):
    return scenes.bodies(body)


def read(name, root, bodies, schedule=SCHEDULE, **options):
    dataset = DATASETS[name]
    [(sequence, path)] = dataset.find(root).items()
    chosen = Options(bodies=bodies, schedule=schedule, **options)
    return load_sequence(dataset, sequence, path, chosen)


def close_to(scene, motions, bodies_of, cameras, *, first=0):
    """Joints of everyone and the cameras, within 1e-5."""
    assert sorted(set(scene.person.tolist())) == [m.person for m in motions]
    for motion, body in zip(motions, bodies_of, strict=True):
        mine = scene.person == motion.person
        expected = scenes.joints(motion, body)[scene.frame[mine] + first]
        np.testing.assert_allclose(scene.joints_world[mine], expected, atol=1e-5)
    np.testing.assert_allclose(scene.world_from_cam, cameras, atol=1e-5)
    np.testing.assert_allclose(scene.K, np.repeat(scenes.K[None], len(cameras), 0), atol=1e-9)


@pytest.mark.parametrize("name", ["egohumans", "harmony4d"])
def test_exo_cameras_by_colmap_in_the_metric_world_of_the_fits(tmp_path, bodies, name):
    scene = scenes.known()
    folder = tmp_path / ("train/01_hugging/001_hugging" if name == "harmony4d" else "a/b/c/d/s")
    scenes.exo_colmap(folder, scene, bodies.neutral)
    found = read(name, tmp_path, bodies)
    assert found.name == "-".join(folder.parts[-2:])
    assert found.truth is not None and found.hw == scenes.HW and found.num_frames == 9
    true = found.truth.scene
    assert true.shot_start.tolist() == [0, 4, 8] and len(found.views) == 3
    of_frame = [found.views[i // 4] for i in range(9)]
    people = [replace(m, person=m.person + 1) for m in scene.motions]
    cameras = np.stack([scene.cameras[view] for view in of_frame])
    close_to(true, people, [bodies.neutral] * 2, cameras)
    assert true.seen.all()
    assert [path.parts[-3] for path in found.frames] == of_frame
    assert [path.name for path in found.frames] == [f"{i:05d}.jpg" for i in range(1, 10)]
    lens = found.lenses[0]
    assert lens is not None and lens.fisheye and lens.distortion == scenes.FISHEYE


def test_settings_leave_out_cameras_and_people_and_say_whose_body_it_is(tmp_path, bodies):
    folder = tmp_path / scenes.ACTIVITY
    scenes.exo_colmap(folder, scenes.known(), bodies.male)
    file = folder / "config.yaml"
    file.write_text(
        "SEQUENCE: '001_tagging'\nINVALID_ARIAS: ['aria03']\nINVALID_EXOS: ['cam02']\n"
        "SMPL:\n  ARIA_NAME_LIST: ['aria02', 'aria03']\n  ARIA_GENDER_LIST: ['male', 'neutral']\n"
    )
    found = read("egohumans", tmp_path, bodies)
    assert set(found.views) == {"cam01", "cam03"}
    assert found.truth is not None and found.truth.bodies == {2: bodies.male}
    assert "config.yaml" not in found.note
    file.write_text("- a list\n")
    with pytest.raises(ArtifactError, match=r"config.yaml holds no settings"):
        read("egohumans", tmp_path, bodies)
    file.unlink()
    note = read("egohumans", tmp_path, replace(bodies, neutral=bodies.male)).note
    assert "without config.yaml" in note


def test_settings_say_whose_glasses_the_world_is_of(tmp_path, bodies):
    folder = tmp_path / scenes.ACTIVITY
    scenes.exo_colmap(folder, scenes.known(), bodies.neutral)
    expected = read("egohumans", tmp_path, bodies)
    transforms = folder / "colmap/workplace/colmap_from_aria_transforms.pkl"
    known = pickle.loads(transforms.read_bytes())
    transforms.write_bytes(pickle.dumps({"aria01": np.eye(4), "aria07": known["aria01"]}))
    (folder / "config.yaml").write_text("CALIBRATION:\n  ANCHOR_EGO_CAMERA: 'aria07'\n")
    found = read("egohumans", tmp_path, bodies)
    assert found.truth is not None and expected.truth is not None
    np.testing.assert_allclose(
        found.truth.scene.world_from_cam, expected.truth.scene.world_from_cam
    )


def test_exo_fits_of_another_body_are_refused(tmp_path, bodies):
    scenes.exo_colmap(tmp_path / scenes.ACTIVITY, scenes.known(), bodies.male)
    with pytest.raises(ArtifactError, match=r"vertices .* cm off .* which SMPL file"):
        read("egohumans", tmp_path, bodies)


def test_egobody_is_in_the_master_cameras_world(tmp_path, bodies):
    scene = scenes.known(genders=("male", "female"))
    scenes.egobody(tmp_path, scene)
    found = read("egobody", tmp_path, bodies)
    assert found.truth is not None and found.name == scenes.RECORDING
    master_from_world = np.linalg.inv(scene.cameras["cam01"])
    cameras = np.stack(
        [master_from_world @ scene.cameras[scenes.VIEWS[found.views[i // 4]]] for i in range(9)]
    )
    people = [replace(m, person=m.person - 1) for m in scene.motions]
    close_to(found.truth.scene, people, [bodies.male, bodies.female], cameras)
    assert found.frames[0].name == "frame_00700.jpg"
    assert found.truth.bodies == {0: bodies.male, 1: bodies.female}


def test_egobody_needs_the_bodies_that_its_fits_are_of(tmp_path, bodies):
    scenes.egobody(tmp_path, scenes.known(genders=("male", "female")))
    with pytest.raises(CheckpointError, match=r"female SMPL body: .*--female SMPL_FEMALE"):
        read("egobody", tmp_path, replace(bodies, female=None))


@pytest.mark.parametrize("have", [True, False])
def test_3dpw_with_and_without_the_bodies_of_its_people(tmp_path, bodies, have):
    scene = scenes.known(genders=("male", "female"))
    scenes.threedpw(tmp_path, scene, bodies)
    given = bodies if have else replace(bodies, male=None, female=None)
    found = read("3dpw", tmp_path, given)
    assert found.truth is not None and found.name == "downtown_walk_00"
    true = found.truth.scene
    people = [replace(m, person=m.person - 1) for m in scene.motions]
    keep = np.arange(scenes.FRAMES) != 3
    close_to(true, people, [bodies.male, bodies.female], scenes.moving(scene)[keep])
    assert true.camera_frame.tolist() == np.flatnonzero(keep).tolist()
    unseen = [(p, f) for p, f, s in zip(true.person, true.frame, true.seen, strict=True) if not s]
    assert unseen == [(1, 5)]
    assert found.truth.has_vertices is have
    assert found.num_frames == scenes.FRAMES and found.lenses == (None,) * scenes.FRAMES


def test_emdb_and_its_first_frames(tmp_path, bodies):
    scene = scenes.known(genders=("female", "neutral"))
    scenes.emdb(tmp_path, scene)
    found = read("emdb", tmp_path, bodies, frames=6, fps=25.0)
    assert found.truth is not None and found.name == "P2_19_indoor_walk"
    true = found.truth.scene
    people = [replace(scene.motions[0], person=0)]
    close_to(true, people, [bodies.female], scenes.moving(scene)[:6])
    assert true.seen.tolist() == [True] * 4 + [False, True]
    assert found.num_frames == 6 and found.fps == 25.0


def test_who_is_out_of_the_picture_is_not_demanded(tmp_path, bodies):
    scene = scenes.known()
    far = np.tile(np.eye(4), (scenes.FRAMES, 1, 1))
    far[:, :3, 3] = [0, 40, 0]
    away = moved(scene.motions[1], far, bodies.neutral)
    scenes.exo_colmap(
        tmp_path / scenes.ACTIVITY,
        replace(scene, motions=(scene.motions[0], away)),
        bodies.neutral,
    )
    found = read("egohumans", tmp_path, bodies)
    assert found.truth is not None
    true = found.truth.scene
    assert true.seen[true.person == 2].all() and not true.seen[true.person == 3].any()


def test_the_schedule_follows_from_seed_and_name_alone():
    names = ["cam03", "cam01", "cam02"]
    once = views_of_shots(names, 40, seed=3, salt="a")
    assert once == views_of_shots(sorted(names), 40, seed=3, salt="a")
    assert once != views_of_shots(names, 40, seed=4, salt="a")
    assert once != views_of_shots(names, 40, seed=3, salt="b")
    assert all(a != b for a, b in pairwise(once)) and set(once) == set(names)


def test_the_longest_run_of_time_stamps():
    assert longest_run([9, 1, 2, 3, 5, 6, 7, 8]).tolist() == [5, 6, 7, 8, 9]


def test_views_are_chosen_by_name(tmp_path, bodies):
    scenes.exo_colmap(tmp_path / scenes.ACTIVITY, scenes.known(), bodies.neutral)
    two = replace(SCHEDULE, views=("cam01", "cam03"))
    assert set(read("egohumans", tmp_path, bodies, schedule=two).views) == {"cam01", "cam03"}
    for views, message in ((("cam09",), "no view 'cam09'; it has cam01"), (("cam01",), "1 view")):
        with pytest.raises(ArtifactError, match=message):
            read("egohumans", tmp_path, bodies, schedule=replace(SCHEDULE, views=views))


def test_pictures_of_another_size_than_calibrated_are_refused(tmp_path, bodies):
    scenes.exo_colmap(tmp_path / scenes.ACTIVITY, scenes.known(), bodies.neutral)
    for path in (tmp_path / scenes.ACTIVITY / "exo/cam01/images").iterdir():
        scenes.picture(path, 3, (45, 80))
    with pytest.raises(ArtifactError, match="is 45x80, its calibration is of 90x160"):
        read("egohumans", tmp_path, bodies, schedule=replace(SCHEDULE, views=("cam01", "cam02")))


def test_views_of_several_sizes_are_refused(tmp_path, bodies):
    scenes.egobody(tmp_path, scenes.known(genders=("male", "female")))
    for path in (tmp_path / "kinect_color" / scenes.RECORDING / "sub_1").iterdir():
        scenes.picture(path, 3, (40, 60))
    with pytest.raises(ArtifactError, match=r"several sizes \(master 90x160, sub_1 40x60\)"):
        read("egobody", tmp_path, bodies, schedule=replace(SCHEDULE, views=("master", "sub_1")))


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_of_something_else_is_one_clear_line(tmp_path, name):
    (tmp_path / "readme").write_text("hello")
    with pytest.raises(ArtifactError, match="expected") as raised:
        DATASETS[name].find(tmp_path)
    assert "\n" not in str(raised.value)
    with pytest.raises(ArtifactError, match=r"no folder .*nowhere"):
        DATASETS[name].find(tmp_path / "nowhere")


def test_sequences_of_one_name_are_told_apart(tmp_path):
    names = ("train/a/001", "test/a/001", "test/b/001")
    for name in names:
        (tmp_path / name / "exo").mkdir(parents=True)
        (tmp_path / name / "colmap/workplace").mkdir(parents=True)
    found = DATASETS["harmony4d"].find(tmp_path)
    assert list(found) == ["b-001", "test-a-001", "train-a-001"]
    assert found["train-a-001"] == tmp_path / "train/a/001"
    # The name, from which the cuts follow, does not depend on which folder is given.
    assert list(DATASETS["harmony4d"].find(tmp_path / "test/b")) == ["b-001"]


def test_clips_of_one_name_are_told_apart(tmp_path):
    for name in ("a/x.mp4", "a/x.mkv", "y.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(DATASETS["clips"].find(tmp_path)) == ["a-x.mkv", "a-x.mp4", "y"]
    (tmp_path / "a-y.mp4").touch()
    (tmp_path / "a/y.mp4").touch()
    with pytest.raises(ArtifactError, match="would both be 'a-y'; rename one"):
        DATASETS["clips"].find(tmp_path)


def spoil(path, content):
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


ARIA = "colmap/workplace/colmap_from_aria_transforms.pkl"
COLMAP = "colmap/workplace"
BAD = {
    "no transform": (ARIA, None, r"cannot read .*aria_transforms.pkl"),
    "foreign pickle": (ARIA, b"cos\nsystem\n.", r"refused: it asks for os.system"),
    "no anchor": (ARIA, pickle.dumps({"b": 1}), r"lacks 'aria01'"),
    "no fits": ("processed_data/smpl/00003.npy", b"no array", r"00003.npy is damaged"),
    "no camera": (f"{COLMAP}/cameras.txt", b"# none\n", r"names camera 3, which cameras.txt lacks"),
    "other lens": (f"{COLMAP}/cameras.txt", b"3 PINHOLE 9 9 1 1 1 1\n", r"no OPENCV_FISHEYE"),
    "no pose": (f"{COLMAP}/images.txt", b"# none\n", r"poses no picture 'camXX/"),
    "no number": (f"{COLMAP}/images.txt", b"1 a b c d e f g 3 cam01/1.jpg\n", r"ValueError"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_spoilt_file_is_one_clear_line(tmp_path, bodies, case):
    file, content, message = BAD[case]
    scenes.exo_colmap(tmp_path / scenes.ACTIVITY, scenes.known(), bodies.neutral)
    spoil(tmp_path / scenes.ACTIVITY / file, content)
    with pytest.raises(ArtifactError, match=message) as raised:
        read("egohumans", tmp_path, bodies)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("kinect_cam_params/kinect_master/Color.json", b"{}", "lacks 'camera_mtx'"),
        ("kinect_cam_params/kinect_sub_1/Color.json", b"{", "is no JSON"),
        (f"calibrations/{scenes.RECORDING}/cal_trans/kinect_11to12_color.json", None, "no file"),
        ("data_info_release.csv", b"recording_name,body_idx_0\n", "has no row"),
        (
            "data_info_release.csv",
            f"recording_name,body_idx_0\n{scenes.RECORDING},0 dog\n".encode(),
            "should read like '0 male'",
        ),
        (
            f"smpl_interactee_test/{scenes.RECORDING}/body_idx_0/results/frame_00702/000.pkl",
            pickle.dumps({"betas": 1}),
            "lacks 'global_orient'",
        ),
    ],
)
def test_a_spoilt_egobody_says_what_is_wrong(tmp_path, bodies, file, content, message):
    scenes.egobody(tmp_path, scenes.known(genders=("male", "female")))
    spoil(tmp_path / file, content)
    with pytest.raises(ArtifactError, match=message):
        read("egobody", tmp_path, bodies)


def test_a_3dpw_without_a_picture_says_which(tmp_path, bodies):
    scenes.threedpw(tmp_path, scenes.known(genders=("male", "female")), bodies)
    (tmp_path / "imageFiles/downtown_walk_00/image_00007.jpg").unlink()
    with pytest.raises(ArtifactError, match=r"lacks 1 of 10 pictures, the first is image_00007"):
        read("3dpw", tmp_path, bodies)


def test_an_emdb_of_another_length_is_refused(tmp_path, bodies):
    scenes.emdb(tmp_path, scenes.known(genders=("female", "neutral")))
    (tmp_path / "P2/19_indoor_walk/images/00009.jpg").unlink()
    with pytest.raises(ArtifactError, match="holds 9 pictures; expected n_frames = 10"):
        read("emdb", tmp_path, bodies)


def test_an_unknown_dataset_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown dataset 'h36m'.*egohumans.*clips"):
        dataset_of("h36m")
