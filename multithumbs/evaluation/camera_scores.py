"""Cameras against the truth: per island and per cut."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int64

from multithumbs.evaluation.matching import Matches, Switch
from multithumbs.evaluation.metrics import ate_m
from multithumbs.evaluation.scene import Scene
from multithumbs.geometry.rotations import angle_between
from multithumbs.types.outputs import CutScore, IslandScore

CUT_TOLERANCE = 1
"""Frames by which a cut may be off and still be found."""


def score_islands(predicted: Scene, true: Scene) -> tuple[IslandScore, ...]:
    """ATE of each island over the frames that both have a camera for."""
    frame = np.intersect1d(predicted.camera_frame, true.camera_frame)
    island = predicted.space[predicted.camera_of(frame)]
    centres = [scene.world_from_cam[scene.camera_of(frame), :3, 3] for scene in (predicted, true)]
    scores = []
    for index in np.unique(island).tolist():
        a, b = (centre[island == index] for centre in centres)
        scores.append(
            IslandScore(
                island=index,
                frames=len(a),
                ate_m=ate_m(a, b),
                ate_sim3_m=ate_m(a, b, with_scale=True),
            )
        )
    return tuple(scores)


def score_cuts(
    predicted: Scene, true: Scene, matches: Matches, switches: Sequence[Switch]
) -> tuple[CutScore, ...]:
    """Each true cut: found, linked, identities and the relative camera."""
    shot = true.shot_of(true.frame[matches.true_row])
    person = true.person[matches.true_row]
    scores = []
    for index, start in enumerate(true.shot_start[1:].tolist(), start=1):
        seen = [set(person[shot == side].tolist()) for side in (index - 1, index)]
        new = [s for s in switches if s.across_cut and _shot(true, s.frame) == index]
        rotation, translation = _relative_camera_error(predicted, true, start)
        scores.append(
            CutScore(
                frame=start,
                found=bool((np.abs(predicted.shot_start[1:] - start) <= CUT_TOLERANCE).any()),
                linkable=_same_space(true, start),
                linked=_same_space(predicted, start),
                seen_on_both_sides=len(seen[0] & seen[1]),
                identity_switches=len(new),
                rotation_deg=rotation,
                translation_m=translation,
            )
        )
    return tuple(scores)


def places_split(predicted: Scene, true: Scene) -> int:
    """Into how many worlds too many the true places fall, where somebody is in sight.

    A place that is left and returned to counts as one: a shot of another place, or of nobody,
    between two shots must not part them.
    """
    frame = np.intersect1d(true.frame[true.seen], predicted.camera_frame)
    place, world = (scene.space[scene.camera_of(frame)] for scene in (true, predicted))
    return np.unique(np.stack([place, world]), axis=1).shape[1] - len(np.unique(place))


def _shot(scene: Scene, frame: int) -> int:
    return int(scene.shot_of(np.array([frame]))[0])


def _boundary(scene: Scene, start: int) -> Int64[np.ndarray, "2"]:
    return scene.camera_of(np.array([start - 1, start]))


def _same_space(scene: Scene, start: int) -> bool:
    before, after = _boundary(scene, start)
    return bool(before >= 0 and after >= 0 and scene.space[before] == scene.space[after])


def _relative_camera_error(
    predicted: Scene, true: Scene, start: int
) -> tuple[float | None, float | None]:
    """Degrees and metres between the true and predicted ``before_from_after`` camera."""
    if not (_same_space(predicted, start) and _same_space(true, start)):
        return None, None
    relative: list[Float64[np.ndarray, "4 4"]] = []
    for scene in (predicted, true):
        before, after = scene.world_from_cam[_boundary(scene, start)]
        relative.append(np.linalg.inv(before) @ after)
    rotations = [torch.from_numpy(matrix[:3, :3]) for matrix in relative]
    degrees = float(np.degrees(angle_between(*rotations).item()))
    return degrees, float(np.linalg.norm(relative[0][:3, 3] - relative[1][:3, 3]))
