"""Who faces the camera and who turns the back on it, decided over time.

BlazePose often reads people seen from behind as if they faced the camera, for a while or in one
of its two readings, and hardly ever the reverse. Nobody turns round between two frames. So the
readings of one person are taken together: a few that see a back count for more than many that
see a front, and a change of side must lead through the view from the side. A reading of the
wrong side is left out; where both are, they are reflected: under a distant camera a person and
the mirror image in depth, left and right exchanged, look the same. Readings that are torn between
the sides (a torso that collapses for a frame) are left out too where there is a better one. Where
all readings of a shot are wrong only the head can tell: a face is seen or it is not.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from multithumbs.config.keypoints import FacingConfig
from multithumbs.models.blazepose import Landmarks
from multithumbs.models.blazepose.detector import sigmoid
from multithumbs.models.blazepose.face import torso, torso_length
from multithumbs.models.blazepose.landmarks import HIPS, MIRROR, NUM_LANDMARKS, SHOULDERS
from multithumbs.models.blazepose.skeleton import LANDMARK_OF_KEYPOINT, MIRRORED_KEYPOINT
from multithumbs.solvers.body_fit_chains import chains

LINK_TOLERANCE = 0.1
LINK_SIMILARITY = 0.4
LINK_GAP_S = 0.3


def signed_width(reading: Landmarks) -> float:
    """Width of shoulders and hips over the torso's length: near 1 for somebody who faces the
    camera, near -1 from behind, about 0 from the side."""
    left, right = (reading.uv[list(pair)].mean(0) for pair in zip(SHOULDERS, HIPS, strict=True))
    up = torso(reading)
    length = float(np.linalg.norm(up))
    if length == 0:
        return 0.0
    across = np.array([-up[1], up[0]]) / length
    return float(2 * (left - right) @ across / torso_length(reading))


def one_sided(
    readings: Sequence[Sequence[Landmarks]],
    frame: Int64[np.ndarray, " N"],
    time_s: Float64[np.ndarray, " N"],
    config: FacingConfig,
    face: Float64[np.ndarray, " N"] | None = None,
) -> tuple[list[list[Landmarks]], Bool[np.ndarray, " N"]]:
    """The readings of each row that see the person from the side that time confirms.

    Args:
        readings: one or two of each row; rows are sorted by frame.
        frame: of each row.
        time_s: of each row.
        config: see `FacingConfig`.
        face: logit of each row that the head shows a face; NaN where it is not known.

    Returns:
        readings, and where they are to be doubted: reflected, or unlike those around them.
    """
    if not readings:
        return [], np.zeros(0, dtype=bool)
    width = np.array([[signed_width(r) for r in row] for row in readings])
    sure = np.array([[_sureness(r) for r in row] for row in readings])
    seen = np.full(len(readings), np.nan) if face is None else face
    kept, doubtful = [list(row) for row in readings], np.zeros(len(readings), dtype=bool)
    for rows in _people(readings, frame, time_s):
        front = decide(width[rows], sure[rows], seen[rows], time_s[rows], config)
        side = np.where(front, 1, -1)[:, None]
        wrong = width[rows] * side < -config.side_width
        likely = np.where(wrong, -width[rows], width[rows])
        odd = np.abs(likely - _usual(likely, time_s[rows], config.window_s)) > config.max_deviation
        for t, row in enumerate(rows.tolist()):
            # The best there is: as read and as usual, reflected and as usual, as read.
            for good in (~wrong[t] & ~odd[t], ~odd[t], ~wrong[t], np.ones_like(odd[t])):
                if good.any():
                    break
            chosen = np.flatnonzero(good).tolist()
            kept[row] = [
                reflect(readings[row][i]) if wrong[t, i] else readings[row][i] for i in chosen
            ]
            doubtful[row] = bool((wrong[t] | odd[t])[good].any())
    return kept, doubtful


def decide(
    width: Float64[np.ndarray, "T R"],
    sure: Float64[np.ndarray, "T R"],
    face: Float64[np.ndarray, " T"],
    time_s: Float64[np.ndarray, " T"],
    config: FacingConfig,
) -> Bool[np.ndarray, " T"]:
    """Whether one person faces the camera, over time (Viterbi's most likely sequence).

    Args:
        width: `signed_width` of each reading.
        sure: 0 to 1 per reading.
        face: logit that the head shows a face; NaN where it is not known.
        time_s: ascending.
        config: see `FacingConfig`.
    """
    evidence = sure * _ramp(np.abs(width), config.side_width, config.full_width)
    # A head in profile shows no face either; who is seen wide rarely looks aside.
    wide = sure * _ramp(np.abs(width), config.narrow_width, config.wide_width)
    shown, hidden = _shown_and_hidden(face, config.face_logit)
    cost = np.stack(
        [
            # If seen from behind:
            config.front_read_cost * (evidence * (width > 0)).sum(1)
            + config.face_cost * evidence.mean(1) * shown,
            # If facing the camera:
            config.back_read_cost * (evidence * (width < 0)).sum(1)
            + config.no_face_cost * wide.mean(1) * hidden,
        ],
        axis=1,
    )
    size = np.abs(width).mean(1)
    leap = size[1:] + size[:-1] - config.turn_rate * np.diff(time_s)
    turn = config.turn_cost + config.leap_cost * leap.clip(0)
    best, came = cost[0], np.zeros((len(cost), 2), dtype=np.int64)
    for t in range(1, len(cost)):
        stay, switch = best, best[::-1] + turn[t - 1]
        came[t] = np.where(switch < stay, [1, 0], [0, 1])
        best = np.minimum(stay, switch) + cost[t]
    state = np.zeros(len(cost), dtype=np.int64)
    state[-1] = int(best[1] <= best[0])
    for t in range(len(cost) - 1, 0, -1):
        state[t - 1] = came[t, state[t]]
    return state == 1


def reflect(reading: Landmarks) -> Landmarks:
    """The same view of a person who shows the other side."""
    body = MIRROR[:NUM_LANDMARKS]
    return replace(
        reading,
        uv=reading.uv[MIRROR],
        visibility=reading.visibility[MIRROR],
        presence=reading.presence[MIRROR],
        xyz=reading.xyz[body] * (1, 1, -1),
    )


def _ramp(
    values: Float64[np.ndarray, "T R"], low: float, high: float
) -> Float64[np.ndarray, "T R"]:
    """0 up to ``low``, 1 from ``high`` on."""
    return ((values - low) / (high - low)).clip(0, 1)


def _shown_and_hidden(
    face: Float64[np.ndarray, " T"], threshold: float
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """How sure it is that a face is seen, and that none is; both 0 where it is not known."""
    shown = sigmoid(np.nan_to_num(face - threshold))
    known = ~np.isnan(face)
    return shown * known, (1 - shown) * known


def _usual(
    width: Float64[np.ndarray, "T R"], time_s: Float64[np.ndarray, " T"], window_s: float
) -> Float64[np.ndarray, "T 1"]:
    """Median of all readings within ``window_s`` before and after each time."""
    first = np.searchsorted(time_s, time_s - window_s, side="left")
    last = np.searchsorted(time_s, time_s + window_s, side="right")
    return np.array([[np.median(width[a:b])] for a, b in zip(first, last, strict=True)])


def _sureness(reading: Landmarks) -> float:
    torso = list(SHOULDERS + HIPS)
    return float((reading.visibility * reading.presence)[torso].mean())


def _people(
    readings: Sequence[Sequence[Landmarks]],
    frame: Int64[np.ndarray, " N"],
    time_s: Float64[np.ndarray, " N"],
) -> list[Int64[np.ndarray, " T"]]:
    """Rows of each person by the middles of left and right, which no misread side moves."""
    landmark = LANDMARK_OF_KEYPOINT
    uv = np.stack([row[0].uv[:NUM_LANDMARKS][landmark] for row in readings])
    seen = np.stack([(row[0].visibility * row[0].presence)[landmark] for row in readings])
    weight = (seen + seen[:, MIRRORED_KEYPOINT]) / 2 * (landmark >= 0)
    return chains(
        frame,
        time_s,
        (uv + uv[:, MIRRORED_KEYPOINT]) / 2,
        weight,
        np.array([row[0].roi[2] / 2 for row in readings]),
        tolerance=LINK_TOLERANCE,
        min_similarity=LINK_SIMILARITY,
        max_gap_s=LINK_GAP_S,
    )
