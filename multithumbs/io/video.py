"""Exact, streaming access to the frames of a video file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from multithumbs.errors import VideoError
from multithumbs.io.video_index import VideoIndex, decoded, index_video, opened
from multithumbs.types.video import Frame, VideoInfo


class Video:
    """A `FrameReader` over one file. Holds an open decoder and a few frames, never more.

    Frames are known by their presentation time, which `VideoIndex` lists: a frame reached
    by seeking is the very frame that decoding from the start gives.
    """

    def __init__(self, path: Path, index: VideoIndex | None = None) -> None:
        """Use ``index`` if the file was indexed before, else index it now.

        Raises:
            VideoError: no such file, not a video, no video track, no frame.
        """
        self.path: Final = path
        self.index: Final = index or index_video(path)
        self._info: Final = self.index.info
        self._frame_of_pts: Final = {int(p): i for i, p in enumerate(self.index.pts)}
        self._keys: Final = np.flatnonzero(self.index.key_frame)
        self._cursor: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._cursor_at = -1

    @property
    def info(self) -> VideoInfo:
        return self._info

    def frames(self, start: int, end: int, step: int = 1) -> Iterator[Frame]:
        """Frames ``start, start + step, ...`` before ``end``, in order.

        Raises:
            VideoError: an index outside the video, or a file that changed since it was indexed.
        """
        if not 0 <= start <= end <= self._info.num_frames or step < 1:
            raise VideoError(
                f"{self.path}: frames [{start}, {end}) with step {step} were asked of a video "
                f"of {self._info.num_frames}"
            )
        wanted = start
        if start == end:
            return
        for index, frame in self._decode_from(start):
            if index == wanted:
                yield Frame(index, self._rgb(frame))
                wanted += step
            if wanted >= end:
                return
        raise VideoError(f"{self.path}: frame {wanted} is gone; did the file change meanwhile?")

    def frame(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One frame; cheap where it follows the one asked for before.

        Raises:
            VideoError: as `frames`.
        """
        if not 0 <= index < self._info.num_frames:
            raise VideoError(
                f"{self.path}: frame {index} was asked of a video of {self._info.num_frames}"
            )
        if not self._key_before(index) <= self._cursor_at < index:
            self._cursor = self._decode_from(index)
        for at, frame in self._cursor:
            self._cursor_at = at
            if at == index:
                return self._rgb(frame)
        self._cursor_at = -1
        raise VideoError(f"{self.path}: frame {index} is gone; did the file change meanwhile?")

    def _key_before(self, index: int) -> int:
        before = self._keys[self._keys <= index]
        return int(before[-1]) if len(before) else 0

    def _decode_from(self, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """(frame index, frame) of ``start`` and all after it."""
        if not self.index.seekable or not len(self._keys) or start <= self._keys[0]:
            yield from self._sequential(start)
            return
        candidates = self._keys[self._keys <= start][::-1]
        for key in candidates[:3].tolist():
            with opened(self.path) as (container, stream):
                try:
                    container.seek(int(self.index.pts[key]), stream=stream, backward=True)
                except av.error.FFmpegError:
                    break  # a container without an index: decode from the start
                found = False
                for frame in decoded(container, stream):
                    index = None if frame is None else self._frame_of_pts.get(frame.pts or 0)
                    if frame is None or index is None or index < key:
                        continue
                    if not found and index > key:
                        break  # the seek fell behind the key frame: try the one before
                    found = True
                    if index >= start:
                        yield index, frame
                if found:
                    return
        yield from self._sequential(start)

    def _sequential(self, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
        with opened(self.path) as (container, stream):
            frames = (f for f in decoded(container, stream) if f is not None)
            for index, frame in enumerate(frames):
                if index >= start:
                    yield index, frame

    def _rgb(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
        height, width = self.index.coded_hw
        rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
        return turned(rgb, self.index.turn)


def turned(
    image: UInt8[np.ndarray, "h w 3"], turn: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "H W 3"]:
    """Apply a display matrix of quarter turns and mirrors (`VideoIndex.turn`)."""
    xx, xy, yx, yy = turn
    if xx == 0:  # coded +x becomes displayed +-y
        image, along_x, along_y = image.transpose(1, 0, 2), yx, xy
    else:
        along_x, along_y = xx, yy
    return np.ascontiguousarray(image[::along_y, ::along_x])
