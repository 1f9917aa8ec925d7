"""What the runner hands to a stage besides its input artifacts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from multithumbs.types.video import FrameReader

Config = TypeVar("Config", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotItem:
    """One shot: the half-open interval of its frames.

    ``index`` is for messages only and no part of a cache key: a result must not depend on it,
    so that a cut found earlier in the video leaves this shot's artifacts valid.
    """

    index: int
    start: int
    end: int
    clean_start: int
    clean_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CutItem:
    """One cut between two shots; ``before``/``after`` are its boundary frames."""

    index: int
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Where and how fast, never what: nothing here may change a result's meaning."""

    device: str = "cpu"
    threads: int = 2


class Kept:
    """What the items of one stage have in common, made once and dropped when the stage ends.

    Meant for networks with their weights: gigabytes, seconds to load, the same for every shot.
    Nothing that is kept may depend on the item or remember it.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, or gave the first time."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[Config]):
    """One call of one stage.

    A stage is ``run(work, **artifacts) -> artifact``. What it reads arrives as keywords:
    a per-shot stage gets its own shot's part of a per-shot artifact; a per-cut stage gets the
    pair (before, after); a per-video stage gets the tuple of all parts; a per-video artifact
    arrives whole.
    """

    video: FrameReader
    config: Config
    runtime: Runtime
    shot: ShotItem | None
    cut: CutItem | None
    body_npz: Path
    """The body model's file; `multithumbs.body.load_body` reads it."""
    checkpoints: Mapping[str, Path]
    """Verified files of the checkpoints that this stage's configuration names."""
    progress: Callable[[int, int], None]
    """``progress(done, total)`` in frames or iterations."""
    span: tuple[int, int] | None = None
    """Half-open interval of frames to process; None means the whole video. Only `shots` needs
    it: every later stage sees nothing outside the shots."""
    kept: Kept = field(default_factory=Kept)
    """Shared by all items of the stage."""
