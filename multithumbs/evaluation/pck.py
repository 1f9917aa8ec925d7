"""Share of correct keypoints, in the frame itself and across a cut.

*Same-frame PCK* projects a body into its own frame. *Cross-shot PCK* (Pavlakos et al. 2022,
section 3.3; PCK* in Table 4 of Multi-THuMBS) projects the body of the last frame before a cut
into the first frame after it, and the other way round: people move smoothly through a cut, so
the pose seen from one side must explain the picture from the other. Only the articulated pose
and the shape travel; place and orientation are those of the body in the frame that it is
projected into, so that no relation between the cameras is asked for (methods without a common
world have a value, too). *World PCK* asks for it: the body of one side, where it stands in the
world, through the camera of the other.

A keypoint is correct within ``alpha`` times the longer side of the person's true keypoint box
(Yang and Ramanan, PAMI 2013); 0.1 as in Table 1 of Pavlakos et al. Keypoints count whose true
position lies inside the picture. Values are percentages.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from multithumbs.body import BodyModel
from multithumbs.evaluation.matching import Matches
from multithumbs.evaluation.scene import Scene

ALPHA = 0.1


def correct_keypoints(
    predicted_uv: Float64[np.ndarray, "N J 2"],
    true_uv: Float64[np.ndarray, "N J 2"],
    counts: Bool[np.ndarray, "N J"],
    alpha: float = ALPHA,
) -> Float64[np.ndarray, " K"]:
    """1 or 0 for every keypoint that counts; a prediction that is not finite is wrong."""
    low = np.where(counts[..., None], true_uv, np.inf).min(1)
    high = np.where(counts[..., None], true_uv, -np.inf).max(1)
    size = np.where(counts.any(1), (high - low).max(-1), 0.0)
    away = np.linalg.norm(predicted_uv - true_uv, axis=-1)
    good = np.isfinite(away) & (np.nan_to_num(away, nan=np.inf) <= alpha * size[:, None])
    return good[counts].astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PckScores:
    """Percentages; None where nothing could be compared."""

    same: float | None
    cross: float | None
    world: float | None


def pck_scores(
    predicted: Scene, true: Scene, matches: Matches, hw: tuple[int, int], body: BodyModel
) -> PckScores:
    """All three over matched people: every frame, and both directions of every true cut.

    Cuts between places do not count. Where the prediction does not relate the two cameras, a
    world keypoint counts as wrong.
    """
    true_uv, predicted_uv = true.uv(), predicted.uv()
    counts = np.all((true_uv >= 0) & (true_uv < np.array(hw[::-1])), axis=-1)
    rows = matches.true_row
    same = correct_keypoints(predicted_uv[matches.predicted_row], true_uv[rows], counts[rows])
    source, target, true_row = _across_cuts(predicted, true, matches)
    if not len(source):
        return PckScores(same=_percent(same), cross=None, world=None)
    frame = predicted.frame[target]
    joints, _ = transferred(predicted, source, target, body)
    moved = predicted.project(joints, frame)
    cross = correct_keypoints(moved, true_uv[true_row], counts[true_row])
    space = predicted.space[predicted.camera_of(predicted.frame[source])]
    related = space == predicted.space[predicted.camera_of(frame)]
    there = predicted.project(predicted.joints_world[source], frame)
    there = np.where(related[:, None, None], there, np.nan)
    world = correct_keypoints(there, true_uv[true_row], counts[true_row])
    return PckScores(same=_percent(same), cross=_percent(cross), world=_percent(world))


def _percent(values: Float64[np.ndarray, " K"]) -> float | None:
    return 100 * float(values.mean()) if len(values) else None


def _across_cuts(
    predicted: Scene, true: Scene, matches: Matches
) -> tuple[Int64[np.ndarray, " X"], Int64[np.ndarray, " X"], Int64[np.ndarray, " X"]]:
    """Predicted rows to take a body from and to put it at, and the true row it must explain."""
    found = {
        (int(true.person[t]), int(true.frame[t])): (int(t), int(p))
        for t, p in zip(matches.true_row, matches.predicted_row, strict=True)
    }
    out: list[tuple[int, int, int]] = []
    for start in true.shot_start[1:].tolist():
        ends = true.camera_of(np.array([start - 1, start]))
        if (ends < 0).any() or true.space[ends[0]] != true.space[ends[1]]:
            continue
        for person in np.unique(true.person).tolist():
            before, after = found.get((person, start - 1)), found.get((person, start))
            if before is not None and after is not None:
                out.append((before[1], after[1], after[0]))
                out.append((after[1], before[1], before[0]))
    source, target, true_row = np.array(out, np.int64).reshape(-1, 3).T
    return source, target, true_row


def transferred(
    scene: Scene, source: Int64[np.ndarray, " X"], target: Int64[np.ndarray, " X"], body: BodyModel
) -> tuple[Float64[np.ndarray, "X 24 3"], Float64[np.ndarray, "X 23 3"]]:
    """Joints and keypoints (world, metres) of bodies in the pose and shape of the rows ``source``,
    with the pelvis and orientation of the rows ``target``."""
    pose = scene.pose[source].copy()
    pose[:, 0] = scene.pose[target, 0]
    tensors = (body.tensor(x) for x in (pose, scene.betas[source], scene.transl[target]))
    posed = body.posed(*tensors)
    joints, keypoints = (x.double().numpy() for x in (posed.joints, posed.keypoints))
    shift = scene.joints_world[target][:, :1] - joints[:, :1]
    return joints + shift, keypoints + shift
