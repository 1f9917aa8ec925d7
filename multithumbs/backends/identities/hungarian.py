"""Recognition: Eq. 7-8 at every cut (or joints alone, `geometric`), and memory beyond it."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int64

from multithumbs.backends.identities.looks import Looks
from multithumbs.backends.identities.sightings import EndState, Sighting
from multithumbs.config.identities import RecognitionConfig
from multithumbs.solvers.identity_costs import Links, match, pose_difference
from multithumbs.types import Identities


@dataclass(slots=True)
class _Person:
    """Someone known so far; grows as tracks are added."""

    tracks: list[Sighting] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    by_appearance: list[bool] = field(default_factory=list)

    def add(self, sighting: Sighting, confidence: float, *, by_appearance: bool) -> None:
        self.tracks.append(sighting)
        self.confidence.append(confidence)
        self.by_appearance.append(by_appearance)

    def busy(self, sighting: Sighting) -> bool:
        """Whether this person is seen in a frame of that track: nobody is twice in a frame."""
        return any(track.beside(sighting) for track in self.tracks)

    def latest(self, island: int, before: int) -> tuple[Sighting, EndState] | None:
        """The last track in an island that ended before a frame."""
        known = [
            (t, t.last)
            for t in self.tracks
            if t.island == island and t.last is not None and t.last.frame < before
        ]
        return max(known, key=lambda item: item[1].frame) if known else None

    def texture(self) -> tuple[np.ndarray, np.ndarray]:
        """All tracks' textures merged, each texel from where it was seen best."""
        weight = np.stack([t.weight for t in self.tracks])
        best = weight.argmax(0)[None]
        rgb = np.stack([t.rgb for t in self.tracks])
        return (
            np.take_along_axis(rgb, best[..., None], axis=0)[0],
            np.take_along_axis(weight, best, axis=0)[0],
        )


@dataclass(frozen=True, slots=True)
class _Link:
    earlier: Sighting
    later: Sighting
    distance_m: float
    cost: float


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of known people (rows) against new tracks (columns)."""

    total: Float[np.ndarray, "A B"]
    distance_m: Float[np.ndarray, "A B"]
    allowed: Bool[np.ndarray, "A B"]
    """Pairs that may be assigned to one another ..."""
    near: Bool[np.ndarray, "A B"]
    """... and those that may then stay."""


def identify(
    sightings: list[Sighting],
    shot_starts: list[int],
    timestamps_s: Float[np.ndarray, " F"],
    config: RecognitionConfig,
    texel_part: Int64[np.ndarray, "T T"] | None = None,
) -> Identities:
    """Give every track a person.

    Args:
        sightings: sorted by shot, then first frame.
        shot_starts: first frame of each shot.
        timestamps_s: of each frame of the video.
        config: weights and limits.
        texel_part: part of the body that each texel shows (`identity_looks.PARTS`), -1 for none.
    """
    looks = Looks(texel_part, config)
    people: list[_Person] = []
    links: list[_Link] = []
    for group in _groups(sightings, shot_starts, config.boundary_frames):
        left = _link_in_world(group, people, links, timestamps_s, looks, config)
        if config.across_islands:
            left = _link_by_appearance(left, people, links, looks, config)
        for sighting in left:
            person = _Person()
            person.add(sighting, 1.0, by_appearance=False)
            people.append(person)
    return _artifact(people, links)


def _groups(
    sightings: list[Sighting], shot_starts: list[int], boundary_frames: int
) -> list[list[Sighting]]:
    """Tracks to be matched together, because they must be different people: those that open a
    shot (or else its first), and later ones that are seen beside all of these; then each later
    one by itself."""
    groups: list[list[Sighting]] = []
    opening: list[Sighting] = []
    shot = -1
    for sighting in sightings:
        if sighting.shot != shot:
            shot, opening = sighting.shot, []
            groups.append(opening)
        opens = sighting.frames[0] <= shot_starts[shot] + boundary_frames
        if opens or all(sighting.beside(other) for other in opening):
            opening.append(sighting)
        else:
            groups.append([sighting])
    return [group for group in groups if group]


def _link_in_world(
    group: list[Sighting],
    people: list[_Person],
    links: list[_Link],
    timestamps_s: Float[np.ndarray, " F"],
    looks: Looks,
    config: RecognitionConfig,
) -> list[Sighting]:
    """Match a group with people of the same island; returns whom it left alone."""
    if not people:
        return group
    costs = _world_costs(people, group, timestamps_s, looks, config)
    found = match(costs.total, costs.allowed, config.max_cost, config.confidence_scale)
    matched: set[int] = set()
    for row, column, cost, confidence in zip(*found, strict=True):
        if not costs.near[row, column]:
            continue
        person, sighting = people[row], group[column]
        latest = person.latest(sighting.island, int(sighting.frames[0]))
        if latest is not None:
            distance = float(costs.distance_m[row, column])
            links.append(_Link(latest[0], sighting, distance, float(cost)))
        person.add(sighting, float(confidence), by_appearance=False)
        matched.add(int(column))
    return [sighting for i, sighting in enumerate(group) if i not in matched]


def _world_costs(
    people: list[_Person],
    group: list[Sighting],
    timestamps_s: Float[np.ndarray, " F"],
    looks: Looks,
    config: RecognitionConfig,
) -> _Costs:
    shape = (len(people), len(group))
    distance, total = np.full(shape, np.inf), np.full(shape, np.inf)
    allowed, near = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    difference = _unlike(people, group, looks, config.min_shared_texels)
    for i, person in enumerate(people):
        for j, sighting in enumerate(group):
            latest = person.latest(sighting.island, int(sighting.frames[0]))
            if latest is None or sighting.first is None or person.busy(sighting):
                continue
            gap_frames = sighting.first.frame - latest[1].frame
            gap_s = float(timestamps_s[sighting.first.frame] - timestamps_s[latest[1].frame])
            distance[i, j] = _distance(latest[1], sighting.first, gap_s, config)
            absent = gap_frames > config.boundary_frames
            same_shot = latest[0].shot == sighting.shot
            absence_s = gap_s if absent else 0.0
            limit = _tolerance(latest[1], sighting.first, absence_s, same_shot, config)
            unknown = np.isnan(difference[i, j])
            unlike = config.unknown_difference if unknown else float(difference[i, j])
            posed = config.unknown_pose_rad
            looks_tell = config.appearance_weight > 0 and not unknown
            if not absent and (config.pose_beside_looks or not looks_tell):
                posed = _pose(latest[1], sighting.first, config)
            # A wider tolerance makes metres count less: tau stays tau.
            metres = distance[i, j] * config.max_distance_m / limit
            total[i, j] = (
                config.distance_weight * metres
                + config.appearance_weight * unlike
                + config.pose_weight * posed
            )
            near[i, j] = distance[i, j] <= limit * config.reach
            allowed[i, j] = near[i, j] or config.far_pairs == "dropped"
            if absent and not unknown:
                allowed[i, j] &= unlike <= config.max_absent_difference
    return _Costs(total, distance, allowed, near)


def _tolerance(
    last: EndState, first: EndState, absence_s: float, same_shot: bool, config: RecognitionConfig
) -> float:
    """The paper's tau, and more for those far from the camera and for those long unseen."""
    seen_at = max(config.max_distance_m, config.max_of_depth * max(last.depth_m, first.depth_m))
    if same_shot:  # one camera, one error of the body's size
        seen_at = min(seen_at, config.fragment_distance_m)
    speed = max(config.speed_m_s, min(float(np.linalg.norm(last.velocity)), config.run_m_s))
    return seen_at + min(speed * absence_s, config.max_walk_m)


def _distance(last: EndState, first: EndState, gap_s: float, config: RecognitionConfig) -> float:
    """Distance at the middle of the gap, each side carried on for a short while (Eq. 7)."""
    carried = min(gap_s / 2, config.velocity_memory_s)
    before = last.position + carried * last.velocity
    after = first.position - carried * first.velocity
    both = last.visible & first.visible
    if config.distance_of == "root" or not both.any():
        return float(np.linalg.norm(before - after))
    apart = (before + last.joints[both]) - (after + first.joints[both])
    return float(np.linalg.norm(apart, axis=1).mean())


def _pose(last: EndState, first: EndState, config: RecognitionConfig) -> float:
    angle = pose_difference(
        last.pose[None], last.visible[None], first.pose[None], first.visible[None]
    )[0, 0]
    return config.unknown_pose_rad if np.isnan(angle) else float(angle)


def _unlike(
    people: list[_Person], group: list[Sighting], looks: Looks, min_share: float
) -> Float[np.ndarray, "A B"]:
    known = [person.texture() for person in people]
    return looks.difference(known, [(s.rgb, s.weight) for s in group], min_share)


def _link_by_appearance(
    group: list[Sighting],
    people: list[_Person],
    links: list[_Link],
    looks: Looks,
    config: RecognitionConfig,
) -> list[Sighting]:
    """Match what is left with people of other islands, all together, by their looks.

    Of several who look much alike the most alike is taken, and the link's confidence says so:
    people without a place are far more often the same than newly met in the same clothes. Where
    somebody is recognised, whoever was in the same island with them may look less alike: people
    come in company.
    """
    if not people or not group:
        return group
    difference = _unlike(people, group, looks, config.min_island_texels)
    foreign = np.array(
        [[all(t.island != s.island for t in person.tracks) for s in group] for person in people]
    )
    sure = _match_looks(difference, foreign, config.max_island_difference, config)
    known = {t.island for row in sure.row.tolist() for t in people[row].tracks}
    company = np.array([any(t.island in known for t in person.tracks) for person in people])
    allowed = foreign & company[:, None]
    allowed[sure.row], allowed[:, sure.column] = False, False
    others = _match_looks(difference, allowed, config.max_company_difference, config)
    matched: set[int] = set()
    for found in (sure, others):
        for row, column, cost, confidence in zip(*found, strict=True):
            links.append(_Link(people[row].tracks[-1], group[column], float("nan"), float(cost)))
            people[row].add(group[column], float(confidence), by_appearance=True)
            matched.add(int(column))
    return [sighting for i, sighting in enumerate(group) if i not in matched]


def _match_looks(
    difference: Float[np.ndarray, "A B"],
    allowed: Bool[np.ndarray, "A B"],
    limit: float,
    config: RecognitionConfig,
) -> Links:
    near = allowed & (difference <= limit)
    return match(difference, near, limit, config.island_confidence_scale)


def _artifact(people: list[_Person], links: list[_Link]) -> Identities:
    rows = sorted(
        (sighting.shot, sighting.track, index, confidence, looks)
        for index, person in enumerate(people)
        for sighting, confidence, looks in zip(
            person.tracks, person.confidence, person.by_appearance, strict=True
        )
    )
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
    return Identities(
        shot=np.array(columns[0], dtype=np.int64),
        track=np.array(columns[1], dtype=np.int64),
        person=np.array(columns[2], dtype=np.int64),
        confidence=np.array(columns[3], dtype=np.float64),
        by_appearance=np.array(columns[4], dtype=bool),
        link_shot=_pairs([(link.earlier.shot, link.later.shot) for link in links]),
        link_track=_pairs([(link.earlier.track, link.later.track) for link in links]),
        link_distance_m=np.array([link.distance_m for link in links], dtype=np.float64),
        link_cost=np.array([link.cost for link in links], dtype=np.float64),
    )


def _pairs(values: list[tuple[int, int]]) -> np.ndarray:
    return np.array(values, dtype=np.int64).reshape(-1, 2)
