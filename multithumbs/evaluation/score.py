"""`score.json`: a result against exact truth. What counts, and how, is said here once.

*Matching* is per frame and in the image (`matching`). *Recall* is the share of true
person-frames visible enough to be demanded that are covered by a row, observed or bridged.
*Precision* is the share of observed rows that lie on a true person, visible enough or not;
bridged rows claim no sight of anyone and do not enter it.

*Pose errors* are means over all matched frames in which the true person is visible enough,
people and frames weighing equally: MPJPE, PA-MPJPE and MPVPE along the axes of each one's own
camera, W-/WA-MPJPE and Accel in the world. A frame that is not matched has no error; it costs
recall. A person's sequence is that *true* person's matched frames within one true place,
whatever identities and islands the result gave them: a wrong identity costs in ``ids`` alone,
and a cut that was not linked costs in W-/WA-MPJPE, because its far side stands wherever its
own island put it.

*Accel* aligns each sequence by one rigid transform and takes frames t-1, t, t+1 that are all
matched; joints are not centred, so that a jump of the root at a cut counts.

*Cameras*: ATE per island (one SE(3) each), pooled over frames. The rotation error of a cut is
the angle between the true and the predicted rotation from the first camera after it to the
last before it; ``cut_rotation_deg`` is the worst of all cuts that were linked, and
``cuts_unlinked`` counts those that were not.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from multithumbs.body import BodyModel
from multithumbs.errors import ConfigError
from multithumbs.evaluation.camera_scores import score_cuts, score_islands
from multithumbs.evaluation.matching import (
    Matches,
    Switch,
    identity_switches,
    match,
    shared_identities,
)
from multithumbs.evaluation.pose_scores import PoseErrors, mean, pose_errors
from multithumbs.evaluation.scene import Scene
from multithumbs.io.atomic import replacing
from multithumbs.synth.truth import Truth
from multithumbs.types.outputs import CutScore, IslandScore, PersonScore, Result, Score


def score(result: Result, truth: Truth, body: BodyModel) -> Score:
    """Score a result against the truth of its video, over the frames that were processed.

    ``body`` gives both their vertices: it must be the body of the truth *and* of the result,
    for parameters of one body mean nothing in another.
    """
    if not result.body_model == truth.body_model == body.name:
        raise ConfigError(
            f"the result is of '{result.body_model}', the truth of '{truth.body_model}', "
            f"the body given is '{body.name}': expected one and the same"
        )
    start, end = int(result.camera_frame[0]), int(result.camera_frame[-1]) + 1
    true = Scene.of_truth(truth).between(start, end)
    predicted = Scene.of_result(result)
    return score_scenes(predicted, true, hw=truth.hw, fps=float(truth.fps), body=body)


def score_scenes(
    predicted: Scene, true: Scene, *, hw: tuple[int, int], fps: float, body: BodyModel
) -> Score:
    """Every number of `Score`. ``hw`` is the video's, ``fps`` its frames per second."""
    matches = match(predicted, true, hw)
    demanded = matches.where(true.seen[matches.true_row])
    switches = identity_switches(predicted, true, demanded)
    errors = pose_errors(predicted, true, demanded, fps=fps, body=body)
    cuts = score_cuts(predicted, true, demanded, switches)
    islands = score_islands(predicted, true)
    rotations = [cut.rotation_deg for cut in cuts if cut.rotation_deg is not None]
    return Score(
        **errors.means(),
        ids=sum(switch.across_cut for switch in switches),
        ids_in_shot=sum(not switch.across_cut for switch in switches),
        ids_shared=shared_identities(predicted, true, demanded),
        precision=_share(predicted.seen[matches.predicted_row], predicted.seen),
        recall=_share(true.seen[matches.true_row], true.seen),
        ate_m=_pooled(islands),
        cut_rotation_deg=max(rotations, default=None),
        cut_rotation_mean_deg=mean(np.array(rotations, np.float64)),
        **_count_cuts(predicted, cuts),
        persons=_persons(predicted, true, demanded, errors, switches),
        cuts=cuts,
        islands=islands,
    )


def save_score(score: Score, path: Path) -> None:
    """Write `score.json` atomically. Raises ArtifactError where it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(score.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _count_cuts(predicted: Scene, cuts: Sequence[CutScore]) -> dict[str, int]:
    found = sum(cut.found for cut in cuts)
    return {
        "cuts_missed": len(cuts) - found,
        "cuts_false": max(len(predicted.shot_start) - 1 - found, 0),
        "cuts_unlinked": sum(cut.linkable and not cut.linked for cut in cuts),
        "cuts_wrongly_linked": sum(cut.linked and not cut.linkable for cut in cuts),
    }


def _persons(
    predicted: Scene,
    true: Scene,
    matches: Matches,
    errors: PoseErrors,
    switches: Sequence[Switch],
) -> tuple[PersonScore, ...]:
    persons = []
    for person in np.unique(true.person).tolist():
        mine = true.person[matches.true_row] == person
        identities = predicted.person[matches.predicted_row[mine]].tolist()
        means = {k: v for k, v in errors.means(mine).items() if k in PersonScore.model_fields}
        persons.append(
            PersonScore(
                true_person=person,
                predicted_persons=tuple(dict.fromkeys(identities)),
                switches=sum(switch.true_person == person for switch in switches),
                frames_visible=int((true.seen & (true.person == person)).sum()),
                frames_matched=int(mine.sum()),
                **means,
            )
        )
    return tuple(persons)


def _pooled(islands: Sequence[IslandScore]) -> float | None:
    """Root mean square over all frames of all islands."""
    frames = sum(island.frames for island in islands)
    squared = sum(island.frames * island.ate_m**2 for island in islands)
    return float(np.sqrt(squared / frames)) if frames else None


def _share(part: Bool[np.ndarray, " M"], whole: Bool[np.ndarray, " N"]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None
