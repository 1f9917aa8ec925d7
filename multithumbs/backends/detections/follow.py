"""People found on key frames and followed, forwards and backwards, between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.backends.detections.sighting import Sighting, jump, shared, sight
from multithumbs.backends.detections.tiles import propose
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import DetectorNetwork, LandmarkNetwork
from multithumbs.types import Frame

GOOD_QUALITY = 0.7


@dataclass(slots=True)
class Run:
    """One person, followed through consecutive frames."""

    sightings: dict[int, Sighting] = field(default_factory=dict)

    @property
    def first(self) -> int:
        return min(self.sightings)

    @property
    def last(self) -> int:
        return max(self.sightings)


class Follower:
    """Finds and follows everyone in a stream of frames; holds frames of one chunk only."""

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

    def follow(self, chunks: Iterable[Sequence[Frame]]) -> Iterator[int]:
        """Extend `runs` chunk by chunk; yields frames done. A chunk's last is a key frame."""
        runs = self.runs
        done = 0
        for chunk in chunks:
            for frame in chunk:
                self._forward(frame, [r for r in runs if frame.index - 1 in r.sightings])
            key = chunk[-1]
            fresh = self._find(key, [r for r in runs if key.index in r.sightings])
            for frame in reversed(chunk[:-1]):
                self._backward(frame, fresh, runs)
            runs += fresh
            done += len(chunk)
            yield done

    def _forward(self, frame: Frame, active: list[Run]) -> None:
        """Extend runs by one frame; where two meet, the one that moved less keeps going."""
        seen = []
        for run in active:
            before = run.sightings[frame.index - 1]
            after = self._again(frame.rgb, before)
            if after is not None:
                seen.append((after.quality - jump(before, after), run, after))
        kept: list[Sighting] = []
        for _, run, after in sorted(seen, key=lambda s: -s[0]):
            if not self._is_known(after, kept):
                kept.append(after)
                run.sightings[frame.index] = after

    def _backward(self, frame: Frame, fresh: list[Run], known: list[Run]) -> None:
        """Extend new runs back in time, up to where somebody else already is."""
        taken = [r.sightings[frame.index] for r in known if frame.index in r.sightings]
        for run in fresh:
            after = run.sightings.get(frame.index + 1)
            before = self._again(frame.rgb, after) if after is not None else None
            if before is not None and not self._is_known(before, taken):
                taken.append(before)
                run.sightings[frame.index] = before

    def _find(self, key: Frame, active: list[Run]) -> list[Run]:
        """New runs on a key frame; followed people whose region went astray are put right."""
        rois, _ = propose(key.rgb, self._windows, self._detector, self._config)
        candidates = []
        for roi in rois:
            if any(self._is_covered(roi, r.sightings[key.index]) for r in active):
                continue
            sighting = self._examine(key.rgb, roi)
            if sighting is not None:
                candidates.append(sighting)
        fresh: list[Run] = []
        for new in sorted(candidates, key=lambda s: -s.quality):
            rivals = [r for r in (*active, *fresh) if self._is_same(new, r.sightings[key.index])]
            if not rivals:
                fresh.append(Run({key.index: new}))
            elif len(rivals) == 1:
                old = rivals[0].sightings[key.index]
                if new.quality > self._config.replace_gain * old.quality:
                    rivals[0].sightings[key.index] = new
        return fresh

    def _examine(
        self, rgb: UInt8[np.ndarray, "H W 3"], roi: Float64[np.ndarray, "4"]
    ) -> Sighting | None:
        """Refine a proposal until its landmarks agree with its region; None if nobody is there."""
        config = self._config
        sighting = sight(rgb, roi, self._landmarker, config)
        for _ in range(config.refinements):
            if sighting is None or sighting.flag < 0.5 * config.start_flag:
                return None
            sighting = sight(rgb, sighting.roi, self._landmarker, config)
        if (
            sighting is None
            or sighting.flag < config.start_flag
            or sighting.disagreement > config.start_disagreement
            or not self._is_large(sighting)
        ):
            return None
        return sighting

    def _again(self, rgb: UInt8[np.ndarray, "H W 3"], known: Sighting) -> Sighting | None:
        """The same person in a neighbouring frame, or None if lost."""
        config = self._config
        sighting = sight(rgb, known.roi, self._landmarker, config)
        if (
            sighting is None
            or sighting.flag < config.follow_flag
            or sighting.disagreement > config.follow_disagreement
            or jump(known, sighting) > config.max_jump
            or not self._is_large(sighting)
        ):
            return None
        return sighting

    def _is_large(self, sighting: Sighting) -> bool:
        height = sighting.box_xyxy[3] - sighting.box_xyxy[1]
        return bool(height >= self._config.min_height_px)

    def _is_same(self, a: Sighting, b: Sighting) -> bool:
        weaker, stronger = (a, b) if a.quality <= b.quality else (b, a)
        return shared(weaker, stronger, self._config) > self._config.max_shared

    def _is_known(self, sighting: Sighting, others: list[Sighting]) -> bool:
        return any(self._is_same(sighting, other) for other in others)

    def _is_covered(self, roi: Float64[np.ndarray, "4"], known: Sighting) -> bool:
        """Whether a proposal is so near a well-followed person that it need not be examined."""
        reach = self._config.same_candidate_distance * known.roi[2]
        return bool(
            known.quality > GOOD_QUALITY
            and np.hypot(*(roi[:2] - known.roi[:2])) < reach
            and abs(roi[2] - known.roi[2]) < 2 * reach
        )
