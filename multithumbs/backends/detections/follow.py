"""People found on key frames and followed, forwards and backwards, between them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.detections.cut_off import beyond_the_edge
from multithumbs.backends.detections.sighting import (
    Sighting,
    hidden_fraction,
    is_continuous,
    jump,
    shared,
    sight,
)
from multithumbs.backends.detections.tiles import propose
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import DetectorNetwork, LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.erase import overlaps
from multithumbs.types import Frame


@dataclass(slots=True)
class Run:
    """One person, followed through consecutive frames."""

    sightings: dict[int, Sighting] = field(default_factory=dict)

    def near(self, frame: int, step: int, longest: int) -> Sighting | None:
        """The nearest sighting at most ``longest`` frames before (step -1) or after ``frame``."""
        for gap in range(1, longest + 1):
            if sighting := self.sightings.get(frame + step * gap):
                return sighting
        return None


class Follower:
    """Finds and follows everyone in a stream of frames; holds frames of one chunk only.

    In every frame people are looked at in order of quality, each with the better ones painted
    over, so that somebody half hidden is not read as the person in front.
    """

    def __init__(
        self,
        detector: DetectorNetwork,
        landmarker: LandmarkNetwork,
        windows: Float64[np.ndarray, "T 4"],
        config: BlazePoseDetectionsConfig,
    ) -> None:
        self._detector = detector
        self._landmarker = landmarker
        self._windows = windows
        self._config = config
        self.runs: list[Run] = []
        self._spans: list[tuple[int, int]] = []

    def follow(self, chunks: Iterable[Sequence[Frame]]) -> Iterator[int]:
        """Extend `runs` chunk by chunk; yields frames done. A chunk's last is a key frame."""
        done = 0
        for chunk in chunks:
            for frame in chunk:
                self._forward(frame)
            fresh = self._find(chunk[-1])
            for frame in reversed(chunk[:-1]):
                self._backward(frame, fresh)
            self.runs += fresh
            self._forget(chunk)
            self._spans.append((chunk[0].index, chunk[-1].index + 1))
            done += len(chunk)
            yield done

    def rewind(self, read: Callable[[int, int], Iterable[Frame]]) -> None:
        """Follow people who were found late back through earlier chunks, decoded once more.

        ``read`` gives the frames ``[start, end)``. Chunks into which nobody leads are skipped.
        """
        for start, end in reversed(self._spans):
            late = [run for run in self.runs if run.sightings and min(run.sightings) == end]
            if not late:
                continue
            chunk = list(read(start, end))
            for frame in reversed(chunk):
                self._look_again(frame, late)
                self._backward(frame, late)
            self._forget(chunk)

    def _look_again(self, frame: Frame, late: list[Run]) -> None:
        """Restore the silhouettes near which the late ones are followed."""
        for run in self.runs:
            seen = run.sightings.get(frame.index)
            nearest = [r.near(frame.index, 1, self._config.max_gap) for r in late]
            if seen is not None and any(n and overlaps(n.roi, seen.roi) for n in nearest):
                look = self._landmarker(frame.rgb, seen.roi)
                run.sightings[frame.index] = replace(seen, look=look)

    def _forward(self, frame: Frame) -> None:
        """Extend runs by one frame; where two meet, the better one keeps going."""
        before = [(run, run.near(frame.index, -1, self._config.max_gap)) for run in self.runs]
        self._extend(frame, [(run, last) for run, last in before if last is not None], [])

    def _backward(self, frame: Frame, fresh: list[Run]) -> None:
        """Extend new runs back in time, up to where somebody else already is."""
        after = [
            (run, run.near(frame.index, 1, self._config.max_gap))
            for run in fresh
            if frame.index not in run.sightings
        ]
        taken = [r.sightings[frame.index] for r in self.runs if frame.index in r.sightings]
        self._extend(frame, [(run, first) for run, first in after if first is not None], taken)

    def _extend(
        self, frame: Frame, known: list[tuple[Run, Sighting]], taken: list[Sighting]
    ) -> None:
        """Look for everybody in ``known``, the clearest first.

        Who is seen in somebody else's place waits until that one was found and painted over.
        """
        queue = sorted(known, key=lambda k: -k[1].quality)
        rivals = [nearest for _, nearest in queue]
        deferred: set[int] = set()
        while queue:
            run, nearest = queue.pop(0)
            sighting = self._again(frame, nearest, taken)
            if sighting is None:
                continue
            own = jump(nearest, sighting)
            waiting = [n for _, n in queue]
            others = rivals if id(run) in deferred else waiting
            if any(n is not nearest and jump(n, sighting) < own for n in others):
                if id(run) not in deferred:
                    deferred.add(id(run))
                    queue.append((run, nearest))
                continue
            taken.append(sighting)
            run.sightings[frame.index] = sighting

    def _find(self, key: Frame) -> list[Run]:
        """New runs on a key frame: first as it is, then with everyone known painted over.

        Followed people whose region went astray are put right.
        """
        known = [r for r in self.runs if key.index in r.sightings]
        fresh: list[Run] = []
        windows, others = self._windows, []
        for _ in range(self._config.passes):
            for roi in propose(key.rgb, windows, self._detector, self._config, others):
                everyone = [r for r in (*known, *fresh) if key.index in r.sightings]
                self._consider(key, roi, everyone, fresh)
            everyone = [r for r in (*known, *fresh) if key.index in r.sightings]
            others = _looks([r.sightings[key.index] for r in everyone])
            windows = np.array(
                [w for w in self._windows if any(overlaps(w, o.roi) for o in others)]
            ).reshape(-1, 4)
            if not others:
                break
        return [r for r in fresh if r.sightings]

    def _consider(
        self, key: Frame, roi: Float64[np.ndarray, "4"], everyone: list[Run], fresh: list[Run]
    ) -> None:
        """Examine one proposal; add a new run to ``fresh``, or put right an old one."""
        seen = [r.sightings[key.index] for r in everyone]
        good = [s for s in seen if s.quality >= self._config.good_quality]
        if any(self._is_near(roi, s) for s in good):
            return
        new = self._examine(key, roi, good)
        if new is None:
            return
        rivals = [r for r in everyone if self._is_same(new, r.sightings[key.index])]
        if not rivals:
            fresh.append(Run({key.index: new}))
            return
        old = rivals[0].sightings[key.index]
        if len(rivals) == 1 and new.quality > self._config.replace_gain * old.quality:
            if is_continuous(old, new, self._config):
                rivals[0].sightings[key.index] = new
            else:
                del rivals[0].sightings[key.index]
                fresh.append(Run({key.index: new}))

    def _examine(
        self, key: Frame, roi: Float64[np.ndarray, "4"], others: list[Sighting]
    ) -> Sighting | None:
        """Refine a proposal until its landmarks agree with its region; None if nobody is there."""
        config, looks = self._config, _looks(others)
        sighting = sight(key.rgb, roi, self._landmarker, config, looks)
        for _ in range(config.refinements):
            if sighting is None or sighting.flag < 0.5 * config.start_flag:
                return None
            sighting = sight(key.rgb, sighting.roi, self._landmarker, config, looks)
        if (
            sighting is None
            or sighting.flag < config.start_flag
            or sighting.doubt > config.start_disagreement
            or not self._is_new(sighting, others)
        ):
            return None
        return beyond_the_edge(key.rgb, sighting, self._landmarker, config, looks)

    def _again(self, frame: Frame, known: Sighting, others: list[Sighting]) -> Sighting | None:
        """The same person in a nearby frame, or None if lost.

        A wider region is tried too, but must be as sure as a new one.
        """
        config, looks = self._config, _looks(others)
        for widening, flag, doubt in (
            (1.0, config.follow_flag, config.follow_disagreement),
            (config.widening, config.start_flag, config.start_disagreement),
        ):
            roi = known.roi * (1, 1, widening, 1)
            sighting = sight(frame.rgb, roi, self._landmarker, config, looks)
            if (
                sighting is not None
                and sighting.flag >= flag
                and sighting.doubt <= doubt
                and sighting.quality >= config.min_quality
                and is_continuous(known, sighting, config)
                and self._is_new(sighting, others)
            ):
                return sighting
        return None

    def _is_new(self, sighting: Sighting, others: list[Sighting]) -> bool:
        """Whether somebody large enough is seen who is none of ``others``."""
        height = sighting.box_xyxy[3] - sighting.box_xyxy[1]
        return bool(height >= self._config.min_height_px) and not any(
            self._is_same(sighting, other) for other in others
        )

    def _is_same(self, new: Sighting, old: Sighting) -> bool:
        if hidden_fraction(new.joints_uv, _looks([old])) > self._config.max_hidden:
            return True
        weaker, stronger = (new, old) if new.quality <= old.quality else (old, new)
        return shared(weaker, stronger, self._config) > self._config.max_shared

    def _is_near(self, roi: Float64[np.ndarray, "4"], known: Sighting) -> bool:
        """Whether a proposal is so near a known person that it need not be examined."""
        reach = self._config.same_candidate_distance * known.roi[2]
        return bool(
            np.hypot(*(roi[:2] - known.roi[:2])) < reach and abs(roi[2] - known.roi[2]) < 2 * reach
        )

    def _forget(self, chunk: Sequence[Frame]) -> None:
        """Drop silhouettes: only regions and joints are kept for good."""
        for run in self.runs:
            for frame in chunk:
                if frame.index in run.sightings:
                    run.sightings[frame.index] = replace(run.sightings[frame.index], look=None)


def _looks(sightings: Iterable[Sighting]) -> list[Landmarks]:
    return [s.look for s in sightings if s.look is not None]
