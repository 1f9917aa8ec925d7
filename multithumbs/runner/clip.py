"""The folder of one video, and the video opened through the index kept there."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from multithumbs.errors import ArtifactError, ConfigError
from multithumbs.io.artifacts import read_artifact, read_manifest, write_artifact
from multithumbs.io.video import Video
from multithumbs.io.video_index import VideoIndex, index_video
from multithumbs.types import VideoInfo

INDEX: Final = "index"
INDEX_VERSION: Final = 1
LONGEST_STEM: Final = 80
"""Characters of a video's name that are kept; file systems end at 255 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video and its output folder."""

    video: Video
    folder: Path
    index_cached: bool


def clip_folder(out: Path, path: Path, sha256: str) -> Path:
    """``out/<stem>-<8 hex>``: videos of one name but different content never share a folder."""
    return out / f"{path.stem[:LONGEST_STEM]}-{sha256[:8]}"


def open_clip(path: Path, folder: Path, sha256: str, progress: Callable[[int, int], None]) -> Clip:
    """Open ``path``, indexing it unless ``folder`` holds its index.

    Raises:
        VideoError: not a video, no video track, no frame.
        ArtifactError: the index cannot be written.
    """
    key = hashlib.sha256(f"{INDEX_VERSION} {sha256}".encode()).hexdigest()
    known = _known_index(folder / INDEX, key)
    index = known or index_video(path, sha256=sha256, progress=progress)
    if known is None:
        write_artifact(folder / INDEX, index, key=key, stage_version=INDEX_VERSION)
    return Clip(video=Video(path, index), folder=folder, index_cached=known is not None)


def _known_index(directory: Path, key: str) -> VideoIndex | None:
    """The stored index; None where there is none, or it is of other bytes or damaged."""
    try:
        manifest = read_manifest(directory)
        if manifest is None or manifest.key != key:
            return None
        return read_artifact(directory, VideoIndex)
    except ArtifactError:
        return None


def span_of(info: VideoInfo, start_s: float, end_s: float | None) -> tuple[int, int]:
    """Frames shown at or after ``start_s`` and before ``end_s`` (seconds; None: to the end).

    Raises:
        ConfigError: no frame lies there.
    """
    times = info.timestamps_s
    start = int(np.searchsorted(times, start_s, side="left"))
    end = info.num_frames if end_s is None else int(np.searchsorted(times, end_s, side="left"))
    if start >= end:
        asked = f"from {start_s:g} s" + ("" if end_s is None else f" to {end_s:g} s")
        raise ConfigError(
            f"no frame is shown {asked} (video.start, video.end); "
            f"the last frame is shown at {times[-1]:.3f} s"
        )
    return start, end
