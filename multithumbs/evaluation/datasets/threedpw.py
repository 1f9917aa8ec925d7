"""3DPW (von Marcard et al., ECCV 2018), test split: one shot with a moving camera, a control.

Facts, from its own ``readme_and_demo`` and from loaders that read it:

- ``sequenceFiles/test/<sequence>.pkl`` (Python 2): by person ``poses`` (N, 72), ``trans``
  (N, 3), ``betas`` (10 or more), ``genders`` 'm' or 'f', ``campose_valid`` (N,) and
  ``jointPositions`` (N, 72), in the world; ``cam_poses`` (N, 4, 4) is ``cam_from_world``,
  ``cam_intrinsics`` (3, 3). All are at the pictures' 30 frames per second.
- ``imageFiles/<sequence>/image_%05d.jpg`` from 0.

A frame whose camera was aligned to nobody has no camera here; a person whom it was not aligned
to is not demanded in it.
"""

from pathlib import Path

import numpy as np

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets import layout
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import (
    GENDERS,
    EvalSequence,
    TruePerson,
    first_frames,
    true_scene,
)
from multithumbs.evaluation.readers.data_files import read_pickle
from multithumbs.evaluation.readers.motions import CameraPath, motion_of

FPS = 30.0
SPLIT = "test"


def find(root: Path) -> dict[str, Path]:
    """Files of sequences by name. Raises ArtifactError where there is none."""
    what = f"3DPW with sequenceFiles/{SPLIT}/<sequence>.pkl and imageFiles/<sequence>"
    where = layout.folder(root / "sequenceFiles" / SPLIT, what)
    found = {path.stem: path for path in sorted(where.glob("*.pkl"))}
    if not found:
        raise ArtifactError(f"{where} holds no <sequence>.pkl: expected {what}")
    return found


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One sequence.

    Raises:
        ArtifactError: a file is missing, damaged, refused or not as described above.
    """
    content = read_pickle(path)
    cam_from_world = layout.array(
        layout.entry(content, "cam_poses", path), (-1, 4, 4), "cam_poses", path
    )
    count = len(cam_from_world)
    K = layout.array(layout.entry(content, "cam_intrinsics", path), (3, 3), "cam_intrinsics", path)
    people = _people(content, count, path)
    frames = _pictures(path.parents[2] / "imageFiles" / name, count)
    valid = np.any([person.motion.seen for person in people], axis=0)
    if not valid.any():
        raise ArtifactError(f"{path}: no camera was aligned to anyone ('campose_valid')")
    cameras = CameraPath(
        frame=np.flatnonzero(valid),
        K=np.repeat(K[None], int(valid.sum()), 0),
        world_from_cam=np.linalg.inv(cam_from_world[valid]),
    )
    hw = layout.picture_hw(frames[0])
    return first_frames(
        EvalSequence(
            name=name,
            fps=options.fps or FPS,
            hw=hw,
            frames=frames,
            lenses=(None,) * count,
            truth=true_scene(people, cameras, hw, options.bodies, shot_start=np.zeros(1, np.int64)),
        ),
        options.frames,
    )


def _people(content: object, count: int, path: Path) -> list[TruePerson]:
    keys = ("poses", "trans", "betas", "genders", "campose_valid")
    parts = {key: layout.entry(content, key, path) for key in keys}
    stored = content.get("jointPositions") if isinstance(content, dict) else None
    lengths = {len(part) for part in parts.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise ArtifactError(f"{path}: {', '.join(keys)} differ in their number of people")
    people = []
    for i in range(lengths.pop()):
        pose = layout.array(parts["poses"][i], (-1, 72), "poses", path)
        trans = layout.array(parts["trans"][i], (-1, 3), "trans", path)
        valid = np.asarray(parts["campose_valid"][i]).reshape(-1).astype(bool)
        if not len(pose) == len(trans) == len(valid) == count:
            raise ArtifactError(
                f"{path}: person {i} has {len(pose)} poses for {count} cameras; expected as many"
            )
        gender = GENDERS.get(str(parts["genders"][i]).lower())
        if gender is None:
            raise ArtifactError(f"{path}: gender '{parts['genders'][i]}'; expected 'm' or 'f'")
        betas = np.reshape(parts["betas"][i], -1)[:10]
        joints = None
        if stored is not None:
            joints = layout.array(stored[i], (count, 24, 3), "jointPositions", path)
        people.append(
            TruePerson(
                motion=motion_of(i, np.arange(count), pose, betas, trans, valid),
                gender=gender,
                joints_world=joints,
            )
        )
    return people


def _pictures(where: Path, count: int) -> tuple[Path, ...]:
    found = layout.numbered(where, "image_%05d.jpg", "image_")
    missing = [i for i in range(count) if i not in found]
    if missing:
        raise ArtifactError(
            f"{where} lacks {len(missing)} of {count} pictures, the first is "
            f"image_{missing[0]:05d}.jpg"
        )
    return tuple(found[i] for i in range(count))
