"""A finished run, as exports, pictures and scores read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from multithumbs.types.bodies import Bodies, Tracks
from multithumbs.types.cameras import Cameras, Intrinsics, Odometry
from multithumbs.types.detections import Detections, Keypoints, Masks, Textures
from multithumbs.types.outputs import StageSummary
from multithumbs.types.people import Identities, People
from multithumbs.types.scene import Alignment, BoundaryScene
from multithumbs.types.video import FrameReader, Shots

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Parts(Sequence[T], Generic[T]):
    """The artifacts of one stage, one per shot or cut, each read when it is asked for.

    Nothing is kept, so that memory does not grow with the length of the video.
    """

    loaders: tuple[Callable[[], T], ...]

    def __len__(self) -> int:
        return len(self.loaders)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Parts(self.loaders[index])
        return self.loaders[index]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Licensed:
    """Something with a licence that a result rests on: a body model or a weight file."""

    name: str
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineResult:
    """Every artifact of one run over one video."""

    video: FrameReader
    video_path: Path
    span: tuple[int, int]
    """Half-open interval of the frames that were processed."""
    config: Mapping[str, Any]
    """The whole configuration as JSON values, defaults filled in."""
    profile: str
    body: Licensed
    body_npz: Path
    checkpoints: tuple[Licensed, ...]
    warnings: tuple[str, ...]
    """What the video file itself gave cause to; stages' own warnings are in their artifacts."""
    stages: Mapping[str, StageSummary]

    shots: Shots
    detections: Sequence[Detections]
    """Per shot, as are all sequences up to `odometry`, except for those that say per cut."""
    keypoints: Sequence[Keypoints]
    intrinsics: Sequence[Intrinsics]
    masks: Sequence[Masks]
    bodies: Sequence[Bodies]
    tracks: Sequence[Tracks]
    textures: Sequence[Textures]
    boundaries: Sequence[BoundaryScene]
    """Per cut."""
    alignment: Sequence[Alignment]
    """Per cut."""
    odometry: Sequence[Odometry]
    cameras: Cameras
    identities: Identities
    people: People

    @property
    def licences(self) -> tuple[str, ...]:
        """``name: licence`` of the body and of every weight file."""
        return tuple(f"{part.name}: {part.licence}" for part in (self.body, *self.checkpoints))
