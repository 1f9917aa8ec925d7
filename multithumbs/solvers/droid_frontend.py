"""DROID-SLAM's streaming half: motion filter, initialisation, local graph (facts sections 9, 11).

Two published sets of rules exist; they differ in ages, steps, and in which key frame is dropped.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from multithumbs.geometry.rigid import inverse
from multithumbs.geometry.se3 import exponential
from multithumbs.solvers.droid_edges import neighbour_pairs
from multithumbs.solvers.droid_frames import Features, KeyFrames, UpdateOperator
from multithumbs.solvers.droid_graph import FlowGraph
from multithumbs.solvers.droid_screw import screw

Rules = Literal["2022", "2025"]
MAX_AGE = {"2022": 25, "2025": 20}
FIRST_STEPS = {"2022": 4, "2025": 3}
MORE_STEPS = 2
START_RADIUS = 3
START_STEPS = 8
START_MARGIN = 4
"""Edges from key frames this far before the end of the start stay active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proximity:
    """Choice of edges by distance."""

    threshold: float
    """Largest mean flow of an edge, grid cells."""
    radius: int
    suppression: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendSettings:
    """Published values of the demo (facts section 10)."""

    rules: Rules = "2022"
    beta: float = 0.3
    """Share of the whole flow in a distance; the rest is that of the translation alone."""
    filter_threshold: float = 2.4
    """Mean flow (grid cells) from which on a frame becomes a key frame."""
    warmup: int = 8
    keyframe_threshold: float = 4.0
    """A key frame closer than this to its neighbour (grid cells) is dropped again."""
    proximity: Proximity = field(
        default_factory=lambda: Proximity(threshold=16.0, radius=2, suppression=1)
    )
    window: int = 25
    max_edges: int = 48
    motion_damping: float = 0.0
    """2025: share of the last velocity with which the next pose is predicted."""


class Frontend:
    """Feed frames in order; what it finds lies in ``frames``."""

    def __init__(
        self, frames: KeyFrames, operator: UpdateOperator, settings: FrontendSettings
    ) -> None:
        self.frames, self.operator, self.settings = frames, operator, settings
        self.graph = FlowGraph(frames, operator.memory(low_memory=False), settings.max_edges)
        self.initialised = False
        self._last: tuple[Features, Features] | None = None

    def add(self, time: int, image: Tensor, background: Bool[Tensor, "h w"]) -> bool:
        """One more frame; whether it became a key frame (which may be dropped again)."""
        features = self.operator.features(image)
        if self._last is not None:
            moved = self.operator.motion(*self._last, features)
            if not moved > self.settings.filter_threshold:
                return False
        context = self.operator.context(image)
        self._last = features, context
        self.frames.append(time, features, context, background)
        if self.initialised:
            self._track()
        elif len(self.frames) == self.settings.warmup:
            self.initialise()
        return True

    def keep(self, time: int, image: Tensor, background: Bool[Tensor, "h w"]) -> None:
        """A key frame whatever its motion, before `initialise`."""
        self.frames.append(
            time, self.operator.features(image), self.operator.context(image), background
        )

    def initialise(self) -> None:
        """Poses and depths of all key frames so far from nothing."""
        count, settings = len(self.frames), self.settings
        self.initialised = True
        if count < 2:
            return
        self.graph.add(neighbour_pairs(0, count, START_RADIUS))
        for _ in range(START_STEPS):
            self.graph.update(1, with_resting=True)
        self.graph.add_near(
            0, 0, radius=2, suppression=2,
            threshold=settings.proximity.threshold, beta=settings.beta,
        )  # fmt: skip
        for _ in range(START_STEPS):
            self.graph.update(1, with_resting=True)
        self.frames.next_pose = self.frames.cam_from_shot[-1].clone()
        self.frames.next_depth = float(self.frames.inverse_depth[-4:].mean())
        self.graph.rest(self.graph.ii < count - START_MARGIN)

    def _track(self) -> None:
        """Tie the newest key frame to the graph; drop one that is close to its neighbours."""
        settings, graph = self.settings, self.graph
        rules, count = settings.rules, len(self.frames)
        graph.rest(graph.age > MAX_AGE[rules])
        graph.add_near(
            max(count - 5, 0), max(count - settings.window, 0),
            radius=settings.proximity.radius, suppression=settings.proximity.suppression,
            threshold=settings.proximity.threshold, beta=settings.beta, make_room=True,
        )  # fmt: skip
        for _ in range(FIRST_STEPS[rules]):
            graph.update(with_resting=True)
        if rules == "2022":
            near, dropped, limit = count - 3, count - 2, settings.keyframe_threshold
        else:
            near, dropped, limit = count - 4, count - 3, 2 * settings.keyframe_threshold
        ends = np.array([near]), np.array([count - 2])
        if self.frames.distance(*ends, settings.beta)[0] < limit:
            graph.remove_frame(dropped)
        else:
            for _ in range(MORE_STEPS):
                graph.update(with_resting=True)
        self._predict()

    def _predict(self) -> None:
        """Where the next key frame will start from."""
        frames = self.frames
        last = frames.cam_from_shot[-1]
        frames.next_pose = last.clone()
        if self.settings.rules == "2022":
            frames.next_depth = float(frames.inverse_depth[-1].mean())
            return
        frames.next_depth = float(frames.inverse_depth[-3:-1].median())
        if self.settings.motion_damping > 0:
            velocity = screw(last @ inverse(frames.cam_from_shot[-2]))
            frames.next_pose = exponential(self.settings.motion_damping * velocity) @ last
