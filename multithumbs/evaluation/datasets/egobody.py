"""EgoBody (Zhang et al., ECCV 2022): two people in a room, three to five Azure Kinects.

Facts, from the README and ``release_renderer_kinect.py`` of sanweiliti/EgoBody:

- ``kinect_color/<recording>/{master,sub_1..sub_4}/frame_%05d.jpg``.
- ``kinect_cam_params/kinect_<view>/Color.json``: ``camera_mtx`` (3, 3) and OpenCV's distortion
  ``k`` (8,); the fits lie on pictures undistorted with both.
- ``calibrations/<recording>/cal_trans/kinect_{11,13,14,15}to12_color.json``: ``trans``,
  ``master_from_sub`` of sub_1 to sub_4 (colour cameras; the README shows them without
  ``cal_trans``, the code reads them in it: both are accepted).
- ``smpl_interactee_<split>/<recording>/body_idx_<i>/results/frame_%05d/000.pkl`` and
  ``smpl_camera_wearer_<split>/...``: ``global_orient``, ``body_pose``, ``betas``, ``transl``,
  always in the master's colour camera, which is our world.
- ``data_info_release.csv``: ``recording_name``, and ``body_idx_0`` and ``body_idx_1`` such as
  ``"0 male"``. The fits are of men's and women's SMPL bodies.

30 pictures a second is the Azure Kinect's usual rate (not verified for this dataset).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets import layout
from multithumbs.evaluation.datasets.multiview import View, multi_shot
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import GENDERS, EvalSequence, Lens, TruePerson
from multithumbs.evaluation.readers.data_files import read_pickle
from multithumbs.evaluation.readers.motions import motion_of

FPS = 30.0
NOTE = "30 frames per second is assumed"
SUBS = {"sub_1": 11, "sub_2": 13, "sub_3": 14, "sub_4": 15}
FITS = ("smpl_interactee", "smpl_camera_wearer")
COLOR = "kinect_color"


def find(root: Path) -> dict[str, Path]:
    """Folders of ``kinect_color`` by recording. Raises ArtifactError where there is none."""
    where = layout.folder(root / COLOR, "EgoBody with kinect_color/<recording>/<view>")
    found = {p.name: p for p in sorted(where.iterdir()) if p.is_dir()}
    if not found:
        raise ArtifactError(f"{where} holds no recording; expected <recording>/{{master,sub_1}}")
    return found


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One recording as a multi-shot video.

    Raises:
        ArtifactError: a file is missing, damaged, refused or not as described above.
        CheckpointError: the fits are of a body that was not given.
    """
    root = path.parent.parent
    fits = _fits(root, name)
    return multi_shot(
        name,
        list(_views(root, name, path)),
        sorted(set().union(*fits.values())),
        lambda times: _people(fits, times, _genders(root, name)),
        options.schedule,
        options.bodies,
        fps=options.fps or FPS,
        note="" if options.fps else NOTE,
    )


def _views(root: Path, name: str, path: Path) -> Iterator[View]:
    for where in sorted(path.iterdir()):
        view = where.name
        if view != "master" and view not in SUBS:
            continue
        calibration = root / "kinect_cam_params" / f"kinect_{view}" / "Color.json"
        content = layout.read_json(calibration, "the camera's 'camera_mtx' and 'k'")
        K = layout.array(
            layout.entry(content, "camera_mtx", calibration), (3, 3), "camera_mtx", calibration
        )
        k = layout.array(layout.entry(content, "k", calibration), (-1,), "k", calibration)
        world_from_cam = np.eye(4) if view == "master" else _master_from(root, name, view)
        yield View(
            name=view,
            pictures=layout.numbered(where, "frame_%05d.jpg", "frame_"),
            K=K,
            lens=Lens(K=K, distortion=tuple(k.tolist()), fisheye=False),
            world_from_cam=lambda _, matrix=world_from_cam: matrix,
        )


def _master_from(root: Path, name: str, view: str) -> np.ndarray:
    file = f"kinect_{SUBS[view]}to12_color.json"
    folder = root / "calibrations" / name
    path = folder / "cal_trans" / file
    if not path.is_file() and (folder / file).is_file():
        path = folder / file
    content = layout.read_json(path, f"'trans' from {view} to the master camera")
    return layout.array(layout.entry(content, "trans", path), (4, 4), "trans", path)


def _fits(root: Path, name: str) -> dict[int, dict[int, Path]]:
    """Files by body index and frame."""
    found: dict[int, dict[int, Path]] = {}
    for kind in FITS:
        for path in sorted(root.glob(f"{kind}*/{name}/body_idx_*/results/frame_*/000.pkl")):
            frame, body = path.parent.name, path.parents[2].name
            if re.fullmatch(r"frame_\d+", frame) and re.fullmatch(r"body_idx_\d+", body):
                person = int(body.removeprefix("body_idx_"))
                found.setdefault(person, {})[int(frame.removeprefix("frame_"))] = path
    if not found:
        raise ArtifactError(
            f"{root} holds no fit of {name}: expected smpl_interactee_<split>/{name}/body_idx_0/"
            "results/frame_<number>/000.pkl and the same below smpl_camera_wearer_<split>"
        )
    return found


def _genders(root: Path, name: str) -> dict[int, str]:
    path = root / "data_info_release.csv"
    text = layout.read_text(path, "EgoBody's table of recordings")
    for row in csv.DictReader(io.StringIO(text)):
        if row.get("recording_name") == name:
            words = {i: (row.get(f"body_idx_{i}") or "").split() for i in (0, 1)}
            try:
                return {i: GENDERS[found[-1].lower()] for i, found in words.items()}
            except (IndexError, KeyError) as error:
                raise ArtifactError(
                    f"{path}: body_idx_0 and body_idx_1 of {name} should read like '0 male'"
                ) from error
    raise ArtifactError(f"{path} has no row of {name}; expected its 'recording_name'")


def _people(
    fits: Mapping[int, Mapping[int, Path]],
    times: Int64[np.ndarray, " T"],
    genders: Mapping[int, str],
) -> list[TruePerson]:
    people = []
    for person, files in sorted(fits.items()):
        if person not in genders:
            raise ArtifactError(f"body_idx_{person} has no gender; expected body_idx_0 or _1")
        rows = [(frame, files[time]) for frame, time in enumerate(times.tolist()) if time in files]
        if not rows:
            continue
        found: dict[str, list[np.ndarray]] = {"pose": [], "betas": [], "transl": []}
        for _, path in rows:
            part = read_pickle(path)
            numbers = {
                key: layout.array(layout.entry(part, key, path), (-1,), key, path)
                for key in ("global_orient", "body_pose", "betas", "transl")
            }
            pose = np.concatenate([numbers["global_orient"], numbers["body_pose"]])
            found["pose"].append(pose)
            found["betas"].append(numbers["betas"])
            found["transl"].append(numbers["transl"])
        frames = [frame for frame, _ in rows]
        stacked = {key: np.stack(values) for key, values in found.items()}
        motion = motion_of(person, frames, stacked["pose"], stacked["betas"], stacked["transl"])
        people.append(TruePerson(motion=motion, gender=genders[person]))
    return people
