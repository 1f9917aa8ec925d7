"""Frame by frame association of bodies: Kalman prediction, gated costs, Hungarian matching.

Coordinates are ``(x/z, y/z, log z)``: the image measures the first two precisely, and depth
is uncertain by a factor, not by a length. One pass over the frames; the work per frame is a
few small matrices whatever the length of the shot.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from multithumbs.config.tracks import Hungarian3DConfig

IMPOSSIBLE = 1e6
DOUBT = 0.5
"""Weight of `colour_unknown` among the parts that were seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What tracking knows of each row; rows are sorted by frame."""

    frame: Int64[np.ndarray, " N"]
    time_s: Float64[np.ndarray, " N"]
    place: Float64[np.ndarray, "N 3"]
    """``(x/z, y/z, log z)`` of the torso's middle in ``cam``."""
    place_std: Float64[np.ndarray, "N 3"]
    uv: Float64[np.ndarray, "N 23 2"]
    confidence: Float64[np.ndarray, "N 23"]
    focal: Float64[np.ndarray, " N"]
    """Pixels."""
    size_px: Float64[np.ndarray, " N"]
    """The person's extent in the image, pixels."""
    log_size: Float64[np.ndarray, " N"]
    """Logarithm of the body's metric size."""
    score: Float64[np.ndarray, " N"]
    colour: Float64[np.ndarray, "N P 3"]
    """CIELAB colours of parts of the body; 0 where `colour_weight` is 0."""
    colour_weight: Float64[np.ndarray, "N P"]
    """0 to 1; 0 everywhere where nothing is known of the appearance."""
    crowding: Float64[np.ndarray, " N"]
    """Largest overlap of the row's box with another row's of its frame, 0 to 1: colours seen
    in a crowd may be someone else's."""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(slots=True)
class Tracklet:
    """One person followed without a long gap; filled while the frames go by."""

    mean: Float64[np.ndarray, "6"]
    covariance: Float64[np.ndarray, "6 6"]
    time_s: float
    log_size: float
    colour: Float64[np.ndarray, "2 P 3"]
    """Clothes on average over the track, and of late: a turn shows another side of them."""
    colour_weight: Float64[np.ndarray, "2 P"]
    rows: list[int] = field(default_factory=list)
    misses: int = 0

    def wear(
        self,
        colour: Float64[np.ndarray, "P 3"],
        weight: Float64[np.ndarray, " P"],
        memory_rows: float,
    ) -> None:
        """Average another sight of the clothes in."""
        before = np.stack([self.colour_weight[0], np.minimum(self.colour_weight[1], memory_rows)])
        total = before + weight
        share = weight / np.maximum(total, 1e-9)
        self.colour = self.colour + share[..., None] * (colour - self.colour)
        self.colour_weight = total


def transition(
    dt: Float64[np.ndarray, " M"], log_depth: Float64[np.ndarray, " M"], config: Hungarian3DConfig
) -> tuple[Float64[np.ndarray, "M 6 6"], Float64[np.ndarray, "M 6 6"]]:
    """Motion over ``dt`` seconds and its noise.

    The velocity forgets itself (an Ornstein-Uhlenbeck process): a person who is unseen for
    long is expected to have stopped rather than to have left at full speed.
    """
    memory = config.velocity_memory_s
    decay = np.exp(-dt / memory)
    eye = np.eye(3)
    motion = np.zeros((len(dt), 6, 6))
    motion[:, :3, :3] = eye
    motion[:, :3, 3:] = (memory * (1 - decay))[:, None, None] * eye
    motion[:, 3:, 3:] = decay[:, None, None] * eye
    per_metre = np.exp(-log_depth)
    rate = np.repeat((config.velocity_wander_m_s * per_metre)[:, None] ** 2, 3, axis=1)
    rate[:, :2] += config.pan_wander_per_s**2
    # Between white acceleration (short gaps) and a walk that stays within reach (long gaps).
    span = np.minimum(dt, memory)
    position = rate * (span**3 / 3 + (dt - span) * memory**2 / 2)[:, None]
    reach = (config.max_walk_m * per_metre)[:, None] ** 2
    noise = np.zeros((len(dt), 6, 6))
    diagonal = np.arange(3)
    noise[:, diagonal, diagonal] = np.minimum(position, reach)
    cross = rate * (span**2 / 2)[:, None] * np.minimum(1, reach / np.maximum(position, 1e-12))
    noise[:, diagonal, diagonal + 3] = cross
    noise[:, diagonal + 3, diagonal] = cross
    noise[:, diagonal + 3, diagonal + 3] = rate * span[:, None]
    return motion, noise


def predict(
    tracks: list[Tracklet], time_s: float, config: Hungarian3DConfig
) -> tuple[Float64[np.ndarray, "M 6"], Float64[np.ndarray, "M 6 6"]]:
    """Every track's state at ``time_s``."""
    mean = np.array([t.mean for t in tracks]).reshape(-1, 6)
    covariance = np.array([t.covariance for t in tracks]).reshape(-1, 6, 6)
    dt = np.array([time_s - t.time_s for t in tracks], dtype=np.float64)
    motion, noise = transition(dt, mean[:, 2], config)
    mean = (motion @ mean[..., None])[..., 0]
    return mean, motion @ covariance @ motion.transpose(0, 2, 1) + noise


def squared_distance(
    mean: Float64[np.ndarray, "M 6"],
    covariance: Float64[np.ndarray, "M 6 6"],
    place: Float64[np.ndarray, "N 3"],
    place_std: Float64[np.ndarray, "N 3"],
) -> Float64[np.ndarray, "M N"]:
    """Mahalanobis distance of each measured place from each predicted one, squared."""
    spread = covariance[:, None, :3, :3] + (place_std**2)[None, :, :, None] * np.eye(3)
    gap = place[None] - mean[:, None, :3]
    return (gap * np.linalg.solve(spread, gap[..., None])[..., 0]).sum(-1)


def keypoint_similarity(
    uv_a: Float64[np.ndarray, "M 23 2"],
    confidence_a: Float64[np.ndarray, "M 23"],
    uv_b: Float64[np.ndarray, "N 23 2"],
    confidence_b: Float64[np.ndarray, "N 23"],
    size_px: Float64[np.ndarray, "M N"],
    tolerance: float,
) -> Float64[np.ndarray, "M N"]:
    """COCO's object keypoint similarity with one tolerance for all points, 0 to 1."""
    squared = ((uv_a[:, None] - uv_b[None]) ** 2).sum(-1)
    weight = confidence_a[:, None] * confidence_b[None]
    close = np.exp(-squared / (2 * (tolerance * size_px[..., None]) ** 2))
    return (weight * close).sum(-1) / np.maximum(weight.sum(-1), 1e-9)


def colour_distance(
    colour_a: Float64[np.ndarray, "M P 3"],
    weight_a: Float64[np.ndarray, "M P"],
    colour_b: Float64[np.ndarray, "N P 3"],
    weight_b: Float64[np.ndarray, "N P"],
    config: Hungarian3DConfig,
) -> Float64[np.ndarray, "M N"]:
    """Dissimilarity of clothes, 0 to 1; `colour_unknown` where nothing was seen."""
    squared = ((colour_a[:, None] - colour_b[None]) ** 2).sum(-1) / config.colour_noise**2
    weight = np.minimum(weight_a, 1)[:, None] * np.minimum(weight_b, 1)[None]
    unlike = (weight * (1 - np.exp(-squared / 2))).sum(-1)
    return (unlike + DOUBT * config.colour_unknown) / (weight.sum(-1) + DOUBT)


def update(
    mean: Float64[np.ndarray, "6"],
    covariance: Float64[np.ndarray, "6 6"],
    place: Float64[np.ndarray, "3"],
    place_std: Float64[np.ndarray, "3"],
) -> tuple[Float64[np.ndarray, "6"], Float64[np.ndarray, "6 6"]]:
    """Kalman's update by one measured place (Joseph's form)."""
    noise = np.diag(place_std**2)
    gain = np.linalg.solve(covariance[:3, :3] + noise, covariance[:3]).T
    keep = np.eye(6)
    keep[:, :3] -= gain
    mean = mean + gain @ (place - mean[:3])
    return mean, keep @ covariance @ keep.T + gain @ noise @ gain.T


def duplicates(seen: Observations, config: Hungarian3DConfig) -> Bool[np.ndarray, " N"]:
    """Rows that repeat a better scored row of the same frame."""
    repeated = np.zeros(len(seen), dtype=bool)
    for rows in _rows_by_frame(seen.frame):
        order = rows[np.argsort(-seen.score[rows], kind="stable")]
        size = np.minimum(seen.size_px[order][:, None], seen.size_px[order][None])
        similarity = keypoint_similarity(
            seen.uv[order], seen.confidence[order], seen.uv[order], seen.confidence[order],
            size, config.keypoint_tolerance / 2,
        )  # fmt: skip
        for i in range(1, len(order)):
            kept = ~repeated[order[:i]]
            repeated[order[i]] = np.any(similarity[i, :i][kept] > config.duplicate_similarity)
    return repeated


def follow(seen: Observations, config: Hungarian3DConfig) -> list[Tracklet]:
    """Tracklets of one shot in order of their first rows."""
    skip = duplicates(seen, config)
    active: list[Tracklet] = []
    finished: list[Tracklet] = []
    for rows in _rows_by_frame(seen.frame):
        rows = rows[~skip[rows]]
        if len(rows) == 0:
            continue
        now = float(seen.time_s[rows[0]])
        mean, covariance = predict(active, now, config)
        matches = _match(active, mean, covariance, rows, seen, config)
        matched_rows = set(matches.values())
        survivors: list[Tracklet] = []
        for index, track in enumerate(active):
            if index in matches:
                row = matches[index]
                track.mean, track.covariance = update(
                    mean[index], covariance[index], seen.place[row], seen.place_std[row]
                )
                track.time_s, track.misses = now, 0
                track.log_size += (seen.log_size[row] - track.log_size) / (len(track.rows) + 1)
                track.wear(seen.colour[row], _clear(seen, row), config.colour_memory_rows)
                track.rows.append(row)
                survivors.append(track)
                continue
            track.misses += 1
            confirmed = len(track.rows) >= config.confirm_hits
            alive = now - track.time_s <= config.coast_s if confirmed else track.misses < 2
            (survivors if alive else finished).append(track)
        active = survivors
        active += [
            born(seen, int(row), config)
            for row in rows
            if int(row) not in matched_rows and seen.score[row] >= config.min_score
        ]
    return sorted(finished + active, key=lambda track: track.rows[0])


def _match(
    tracks: list[Tracklet],
    mean: Float64[np.ndarray, "M 6"],
    covariance: Float64[np.ndarray, "M 6 6"],
    rows: Int64[np.ndarray, " R"],
    seen: Observations,
    config: Hungarian3DConfig,
) -> dict[int, int]:
    """Row of each matched track."""
    if not tracks:
        return {}
    distance = squared_distance(mean, covariance, seen.place[rows], seen.place_std[rows])
    last = np.array([track.rows[-1] for track in tracks])
    now = seen.time_s[rows[0]]
    trust = np.exp(-(now - seen.time_s[last]) / config.similarity_memory_s)
    # The last seen keypoints, moved to where the filter expects the person now.
    grow = np.exp(seen.place[last, 2] - mean[:, 2])
    anchor = seen.place[last, :2] * seen.focal[last, None]
    centre = mean[:, :2] * seen.focal[last, None]
    offset = seen.uv[last] - seen.uv[last].mean(1, keepdims=True)
    shift = (centre - anchor)[:, None] + seen.uv[last].mean(1, keepdims=True)
    moved = offset * grow[:, None, None] + shift
    size = np.maximum(seen.size_px[last][:, None] * grow[:, None], seen.size_px[rows][None])
    similarity = keypoint_similarity(
        moved, seen.confidence[last], seen.uv[rows], seen.confidence[rows],
        size, config.keypoint_tolerance,
    )  # fmt: skip
    log_size = np.array([track.log_size for track in tracks])
    shape = ((log_size[:, None] - seen.log_size[rows][None]) / config.size_noise) ** 2
    clear = seen.colour_weight[rows] * np.maximum(0.3, 1 - seen.crowding[rows])[:, None]
    clothes = np.minimum(
        *(
            colour_distance(
                np.array([track.colour[age] for track in tracks]),
                np.array([track.colour_weight[age] for track in tracks]),
                seen.colour[rows],
                clear,
                config,
            )
            for age in (0, 1)
        )
    )
    # Whoever stands there now as a moment ago is the same person in whatever light.
    strange = 1 - config.continuity * trust[:, None] * similarity
    cost = (
        distance / config.gate
        + config.similarity_weight * trust[:, None] * (1 - similarity)
        + config.shape_weight * np.minimum(shape, 4) / 4
        + config.colour_weight * strange * clothes
    )
    # A track that has proved itself has the first call on a row.
    tentative = np.array([len(track.rows) < config.confirm_hits for track in tracks])
    cost = cost + 0.2 * tentative[:, None]
    cost[(distance > config.gate) | (cost > config.max_cost)] = IMPOSSIBLE
    first, second = linear_sum_assignment(cost)
    return {
        int(i): int(rows[j]) for i, j in zip(first, second, strict=True) if cost[i, j] < IMPOSSIBLE
    }


def born(seen: Observations, row: int, config: Hungarian3DConfig) -> Tracklet:
    """A track whose only evidence is one row."""
    speed = config.initial_speed_m_s * np.exp(-seen.place[row, 2])
    variance = np.concatenate([seen.place_std[row] ** 2, np.full(3, speed**2)])
    variance[3:5] += config.pan_wander_per_s**2
    mean = np.concatenate([seen.place[row], np.zeros(3)])
    return Tracklet(
        mean=mean,
        covariance=np.diag(variance),
        time_s=float(seen.time_s[row]),
        log_size=float(seen.log_size[row]),
        colour=np.stack([seen.colour[row]] * 2),
        colour_weight=np.stack([_clear(seen, row)] * 2),
        rows=[row],
    )


def _clear(seen: Observations, row: int) -> Float64[np.ndarray, " P"]:
    """Weight of a row's colours: nearly nothing where somebody else may be in the way."""
    return seen.colour_weight[row] * max(0.02, 1 - 2 * float(seen.crowding[row]))


def _rows_by_frame(frame: Int64[np.ndarray, " N"]) -> list[Int64[np.ndarray, " R"]]:
    edges = np.flatnonzero(np.diff(frame)) + 1
    return [part for part in np.split(np.arange(len(frame)), edges) if len(part)]
