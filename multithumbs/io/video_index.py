"""One pass over a video file: which frames it has, when they are shown, how they are turned."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.video.stream import VideoStream
from jaxtyping import Bool, Int64

from multithumbs.errors import VideoError
from multithumbs.types.video import VideoInfo

SQUARE_PIXEL_TOLERANCE: Final = Fraction(1, 50)
"""Pixel aspect ratios this close to 1 are encoder noise, not anamorphic video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoIndex:
    """Every frame that can be decoded, in display order."""

    sha256: str
    pts: Int64[np.ndarray, " F"]
    """Presentation time in units of ``time_base``; strictly increasing."""
    key_frame: Bool[np.ndarray, " F"]
    time_base: Fraction
    """Seconds."""
    seekable: bool
    """False where the container's times are missing or disordered: ``pts`` then counts frames
    and a reader decodes from the start."""
    frame_rate: Fraction
    coded_hw: tuple[int, int]
    """Size to decode to, with square pixels, before turning."""
    turn: tuple[int, int, int, int]
    """``(xx, xy, yx, yy)`` of the display matrix, entries -1, 0, 1: the displayed direction of
    the coded +x and +y axes."""
    warning: str
    """Empty, or what could not be decoded."""

    @property
    def info(self) -> VideoInfo:
        height, width = self.coded_hw
        seconds = (self.pts - self.pts[0]).astype(np.float64) * float(self.time_base)
        return VideoInfo(
            sha256=self.sha256,
            hw=(height, width) if self.turn[0] else (width, height),
            frame_rate=self.frame_rate,
            timestamps_s=seconds,
        )


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, streamed.

    Raises:
        VideoError: the file is missing or unreadable.
    """
    if not path.exists():
        raise VideoError(f"{path}: no such file; give the path of a video")
    if path.is_dir():
        raise VideoError(f"{path} is a folder, expected a video; `multithumbs batch` takes folders")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video track, decoding with threads.

    Raises:
        VideoError: not a video, or a file without a video track.
    """
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise VideoError(
            f"{path} is not a video that can be read ({_reason(error)}); expected mp4, mkv, "
            "mov, webm, avi, ...; was its download or recording cut off?"
        ) from error
    with container:
        stream = _video_track(container, path)
        stream.thread_type = "AUTO"
        yield container, stream


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
    """Frames in display order; None for each packet that cannot be decoded.

    Frames that the decoder marks as damaged count as not decodable.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            # The last packet of an undamaged file flushes the decoder; a demuxer that failed
            # sends none, and the frames still inside must not be lost.
            frames = stream.decode(None) if packet is None else packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            yield None
            continue
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                yield None if frame.is_corrupt else frame
        if packet is None:
            return


def index_video(
    path: Path, *, sha256: str | None = None, progress: Callable[[int, int], None] | None = None
) -> VideoIndex:
    """Decode the whole file once and note each frame's time.

    Decoding, and not the container's header, says what can be decoded: headers of truncated
    or edited files lie.

    Args:
        path: the video file.
        sha256: its digest if already known.
        progress: called with (frames done, the header's estimate of their number).

    Raises:
        VideoError: no such file, not a video, no video track, or no frame at all.
    """
    sha256 = sha256 or file_sha256(path)
    pts: list[int | None] = []
    keys: list[bool] = []
    failures = 0
    first: av.VideoFrame | None = None
    with opened(path) as (container, stream):
        promised = stream.frames
        for frame in decoded(container, stream):
            if frame is None:
                failures += 1
                continue
            first = first or frame
            pts.append(frame.pts)
            keys.append(bool(frame.key_frame))
            if progress is not None and len(pts) % 32 == 0:
                progress(len(pts), max(promised, len(pts)))
        if first is None:
            raise VideoError(f"{path} holds no frame that can be decoded; expected at least one")
        times = np.array([-1 if p is None else p for p in pts], np.int64)
        seekable = None not in pts and bool(np.all(np.diff(times) > 0))
        rate = _frame_rate(stream, times if seekable else None)
        return VideoIndex(
            sha256=sha256,
            pts=times if seekable else np.arange(len(times)),
            key_frame=np.array(keys, bool),
            time_base=(stream.time_base or 1 / rate) if seekable else 1 / rate,
            seekable=seekable,
            frame_rate=rate,
            coded_hw=_square_pixel_size(stream, first),
            turn=_turn(first),
            warning=_warning(path, len(pts), promised, failures, _lost_s(container, stream, times)),
        )


def _video_track(container: InputContainer, path: Path) -> VideoStream:
    """The track a player would show: cover pictures are video tracks too, but not it."""
    tracks = list(container.streams.video)
    if not tracks:
        raise VideoError(f"{path} has no video track; expected a video; was its download cut off?")
    moving = [t for t in tracks if "attached_pic" not in str(t.disposition.name)] or tracks
    return moving[0]


def _frame_rate(stream: VideoStream, pts: np.ndarray | None) -> Fraction:
    """Average frames per second: the container's exact fraction where the times agree."""
    stated = [r for r in (stream.guessed_rate, stream.average_rate, stream.base_rate) if r]
    if pts is None or len(pts) < 2 or stream.time_base is None:
        return Fraction(stated[0]) if stated else Fraction(1)
    measured = Fraction(len(pts) - 1, int(pts[-1] - pts[0])) / stream.time_base
    for rate in itertools.chain(stated, (measured.limit_denominator(1001),)):
        if abs((len(pts) - 1) * (1 / rate - 1 / measured)) < 1 / measured:
            return Fraction(rate)
    return measured


def _square_pixel_size(stream: VideoStream, frame: av.VideoFrame) -> tuple[int, int]:
    """Size with square pixels: anamorphic video is widened, as players do."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if aspect <= 0 or abs(aspect - 1) < SQUARE_PIXEL_TOLERANCE:
        aspect = Fraction(1)
    return frame.height, round(frame.width * aspect)


def _turn(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Quarter turns and mirrors of the display matrix; identity for any other matrix."""
    side_data = frame.side_data.get(SideData.DISPLAYMATRIX)  # pyright: ignore
    if side_data is None:
        return 1, 0, 0, 1
    xx, xy, _, yx, yy, *_ = np.frombuffer(bytes(side_data), np.int32).tolist()
    scale = max(abs(entry) for entry in (xx, xy, yx, yy)) or 1
    xx, xy, yx, yy = (round(entry / scale) for entry in (xx, xy, yx, yy))
    quarter_turn = {abs(xx) + abs(xy), abs(yx) + abs(yy), abs(xx * yy - xy * yx)} == {1}
    return (xx, xy, yx, yy) if quarter_turn else (1, 0, 0, 1)


def _lost_s(container: InputContainer, stream: VideoStream, pts: np.ndarray) -> float:
    """Seconds of the stated duration after the last frame."""
    if stream.time_base is None or not len(pts):
        return 0.0
    if stream.duration:
        return float((stream.duration + (stream.start_time or 0) - int(pts[-1])) * stream.time_base)
    if container.duration:
        end = (container.duration + (container.start_time or 0)) / av.time_base
        return end - float(int(pts[-1]) * stream.time_base)
    return 0.0


def _warning(path: Path, frames: int, promised: int, failures: int, lost_s: float) -> str:
    if failures or promised > frames:
        of = f" of {promised}" if promised > frames else ""
        return f"{path.name}: {frames}{of} frames could be decoded; the file is damaged or cut off"
    if lost_s > 2.0 and not promised:
        return f"{path.name}: {lost_s:.1f} s of the stated duration are missing; is it cut off?"
    return ""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
