"""H.264 video that every browser plays."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import replacing

LARGEST_TERM: Final = 65535
"""MPEG-4 stores time scales as integers; encoders refuse larger terms of the frame rate."""

BT709: Final = 1
"""The colour space that browsers assume; written down so that every reader agrees."""


class VideoWriter:
    """Frames of one size in, one mp4 out; made by `writing_video`."""

    def __init__(self, container: OutputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._time_base = 1 / Fraction(stream.codec_context.framerate)
        self._count = 0

    def write(self, rgb: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append one frame. An odd last row or column is doubled: yuv420p needs even sizes.

        Raises:
            ValueError: the frame has another size than the video.
        """
        height, width = rgb.shape[:2]
        size = (height + height % 2, width + width % 2)
        if size != (self._stream.height, self._stream.width):
            raise ValueError(
                f"frame of {height}x{width} in a video of "
                f"{self._stream.height}x{self._stream.width}"
            )
        padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709"
        )
        frame.pts, frame.time_base = self._count, self._time_base
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def flush(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


@contextmanager
def writing_video(
    path: Path,
    *,
    frame_rate: Fraction,
    hw: tuple[int, int],
    crf: int = 20,
    preset: str = "veryfast",
) -> Iterator[VideoWriter]:
    """Write an mp4 (H.264, yuv420p, index first) that appears whole or not at all.

    Args:
        path: where the video goes.
        frame_rate: frames per second, exact.
        hw: size of the frames in pixels.
        crf: x264's constant quality, 0 (lossless) to 51.
        preset: x264's speed.

    Raises:
        ArtifactError: no space or no permission; ``path`` is untouched.
    """
    height, width = hw
    rate = frame_rate.limit_denominator(1001) if _too_fine(frame_rate) else frame_rate
    with replacing(path) as temporary:
        try:
            with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream(
                    "libx264", rate=rate, options={"crf": str(crf), "preset": preset}
                )
                stream.width, stream.height = width + width % 2, height + height % 2
                stream.pix_fmt = "yuv420p"
                stream.codec_context.colorspace = BT709
                stream.codec_context.color_primaries = BT709
                stream.codec_context.color_trc = BT709
                stream.codec_context.framerate = rate
                stream.codec_context.time_base = 1 / rate
                writer = VideoWriter(container, stream)
                yield writer
                writer.flush()
        except av.error.FFmpegError as error:
            raise ArtifactError(
                f"cannot write {path}: {error.strerror}; free or unlock that disk, or choose "
                "another --out"
            ) from error


def _too_fine(rate: Fraction) -> bool:
    return max(rate.numerator, rate.denominator) > LARGEST_TERM
