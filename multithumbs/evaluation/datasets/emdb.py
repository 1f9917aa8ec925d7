"""EMDB (Kaufmann et al., ICCV 2023): one person, one shot with a moving camera, a control.

Facts, from loaders that read it (eth-ait/emdb's own evaluation among them):

- ``P<i>/<sequence>/P<i>_<sequence>_data.pkl``: ``n_frames``, ``gender``, ``good_frames_mask``
  (N,), ``smpl``: ``poses_root`` (N, 3), ``poses_body`` (N, 69), ``trans`` (N, 3), ``betas``
  (10,), in the world; ``camera``: ``intrinsics`` (3, 3) and ``extrinsics`` (N, 4, 4), which is
  ``cam_from_world``.
- ``P<i>/<sequence>/images/%05d.jpg`` in order. 30 frames per second.

A frame that is not marked good is kept, but nobody is demanded in it.
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
SUFFIX = "_data.pkl"


def find(root: Path) -> dict[str, Path]:
    """Files of sequences by name. Raises ArtifactError where there is none."""
    what = f"EMDB with P<i>/<sequence>/P<i>_<sequence>{SUFFIX}"
    layout.folder(root, what)
    files = sorted(root.glob(f"P*/*/*{SUFFIX}"))
    if not files:
        raise ArtifactError(f"{root} holds no P<i>/<sequence>/*{SUFFIX}: expected {what}")
    return {path.name.removesuffix(SUFFIX): path for path in files}


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One sequence.

    Raises:
        ArtifactError: a file is missing, damaged, refused or not as described above.
        CheckpointError: the truth is of a body that was not given.
    """
    content = read_pickle(path)
    smpl, camera = (layout.entry(content, key, path) for key in ("smpl", "camera"))
    count = int(layout.entry(content, "n_frames", path))

    def rows(part: object, key: str, shape: tuple[int, ...]) -> np.ndarray:
        return layout.array(layout.entry(part, key, path), shape, key, path)

    pose = np.concatenate(
        [rows(smpl, "poses_root", (count, 3)), rows(smpl, "poses_body", (count, 69))], axis=1
    )
    good = np.asarray(layout.entry(content, "good_frames_mask", path)).reshape(-1).astype(bool)
    gender = GENDERS.get(str(layout.entry(content, "gender", path)).lower())
    if gender is None or len(good) != count:
        raise ArtifactError(
            f"{path}: expected 'gender' male or female and one 'good_frames_mask' per frame"
        )
    betas = rows(smpl, "betas", (-1,))[:10]
    motion = motion_of(0, np.arange(count), pose, betas, rows(smpl, "trans", (count, 3)), good)
    cameras = CameraPath(
        frame=np.arange(count),
        K=np.repeat(rows(camera, "intrinsics", (3, 3))[None], count, 0),
        world_from_cam=np.linalg.inv(rows(camera, "extrinsics", (count, 4, 4))),
    )
    pictures = layout.numbered(path.parent / "images", "%05d.jpg")
    frames = tuple(pictures[number] for number in sorted(pictures))
    if len(frames) != count:
        raise ArtifactError(
            f"{path.parent / 'images'} holds {len(frames)} pictures; expected n_frames = {count}"
        )
    hw = layout.picture_hw(frames[0])
    truth = true_scene(
        [TruePerson(motion=motion, gender=gender)],
        cameras,
        hw,
        options.bodies,
        shot_start=np.zeros(1, np.int64),
    )
    whole = EvalSequence(
        name=name,
        fps=options.fps or FPS,
        hw=hw,
        frames=frames,
        lenses=(None,) * count,
        truth=truth,
    )
    return first_frames(whole, options.frames)
