"""Decoding is exact: every way to a frame gives the same frame, at the container's time."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from multithumbs.errors import ArtifactError, VideoError
from multithumbs.io.video import Video, turned
from multithumbs.io.video_writer import writing_video

RATE = 25


def picture(index: int, height: int = 96, width: int = 128) -> np.ndarray:
    """A gradient with a moving bar and the index in binary blocks along the top."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 200, width)[None]
    image[..., 1] = np.linspace(0, 200, height)[:, None]
    image[..., 2] = 60
    image[height // 2 :, (3 * index) % width :][:, :12] = 255
    block = width // 8
    for bit in range(8):
        image[: height // 4, bit * block : (bit + 1) * block] = 255 * (index >> bit & 1)
    return image


def number(image: np.ndarray) -> int:
    """The index that `picture` wrote."""
    height, width = image.shape[:2]
    block = width // 8
    return sum(
        (int(image[height // 8, bit * block + block // 2].mean()) > 127) << bit for bit in range(8)
    )


def encode(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    hw: tuple[int, int] = (96, 128),
    pts: Callable[[int], int] = lambda i: i,
    time_base: Fraction = Fraction(1, RATE),
    options: dict[str, str] | None = None,
    setup: Callable[[av.VideoStream], None] = lambda stream: None,
) -> Path:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width = hw
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        setup(stream)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, *hw), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = pts(index), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


LONG_GOP = {"bf": "3", "g": "30", "preset": "medium", "b-pyramid": "normal"}


@pytest.fixture(scope="module")
def long_gop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "long_gop.mp4"
    return encode(path, 100, options=LONG_GOP)


@pytest.fixture(scope="module")
def sequential(long_gop: Path) -> list[np.ndarray]:
    return [frame.rgb for frame in Video(long_gop).frames(0, 100)]


def test_sequential_decode_numbers_every_frame(sequential: list[np.ndarray]) -> None:
    assert [number(image) for image in sequential] == list(range(100))


@pytest.mark.parametrize("start", [0, 1, 29, 30, 31, 58, 64, 99])
def test_seeking_gives_the_same_pixels(
    long_gop: Path, sequential: list[np.ndarray], start: int
) -> None:
    frames = list(Video(long_gop).frames(start, min(start + 5, 100), 2))
    assert [f.index for f in frames] == list(range(start, min(start + 5, 100), 2))
    for frame in frames:
        np.testing.assert_array_equal(frame.rgb, sequential[frame.index])


def test_random_access_gives_the_same_pixels(long_gop: Path, sequential: list[np.ndarray]) -> None:
    video = Video(long_gop)
    for index in [50, 51, 51, 55, 3, 99, 0, 98, 31, 29, 30]:
        np.testing.assert_array_equal(video.frame(index), sequential[index])


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mkv", "libx264", {**LONG_GOP, "x264-params": "open-gop=1:keyint=20"}),
        ("mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20"}),
        ("ts", "libx264", LONG_GOP),
        ("webm", "libvpx-vp9", {"g": "15", "cpu-used": "8", "deadline": "realtime"}),
        ("avi", "mpeg4", {"g": "12", "bf": "2"}),
        ("mkv", "ffv1", {}),
        ("h264", "libx264", LONG_GOP),
    ],
)
def test_other_containers_and_codecs(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = encode(tmp_path / f"x.{suffix}", 60, codec=codec, options=options)
    video = Video(path)
    whole = [frame.rgb for frame in video.frames(0, video.info.num_frames)]
    assert [number(image) for image in whole] == list(range(60))
    assert abs(video.info.frame_rate - RATE) < 0.01
    for index in (45, 7, 59, 21):
        np.testing.assert_array_equal(video.frame(index), whole[index])


def test_nothing_is_held(long_gop: Path) -> None:
    stream = Video(long_gop).frames(0, 100)
    first = next(stream).rgb
    before = first.copy()
    for _ in stream:
        pass
    np.testing.assert_array_equal(first, before)


def test_timestamps_of_a_variable_frame_rate(tmp_path: Path) -> None:
    times = np.cumsum([0, 40, 40, 120, 33, 7, 500, 40])
    path = encode(tmp_path / "vfr.mkv", 8, pts=lambda i: int(times[i]), time_base=Fraction(1, 1000))
    info = Video(path).info
    np.testing.assert_allclose(info.timestamps_s, times / 1000, atol=1e-9)
    assert info.frame_rate == pytest.approx(7 / 0.78, rel=1e-3)


def test_a_constant_rate_is_exact_despite_millisecond_times(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mkv"
    rate = Fraction(30000, 1001)
    with writing_video(path, frame_rate=rate, hw=(64, 64)) as writer:
        for index in range(40):
            writer.write(picture(index, 64, 64))
    assert Video(path).info.frame_rate == rate


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_metadata_is_applied(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    plain = Video(encode(tmp_path / "plain.mp4", 2)).frame(1)
    path = encode(
        tmp_path / "turned.mp4",
        2,
        setup=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored),
    )
    video = Video(path)
    expected = np.rot90(plain, degrees // 90)
    shown = video.frame(1)
    assert video.info.hw == shown.shape[:2] == expected.shape[:2]
    if mirrored:  # mirrored before or after the turn: both conventions mirror exactly once
        assert np.linalg.det(np.array(video.index.turn).reshape(2, 2)) == pytest.approx(-1)
        assert any(np.array_equal(shown, flip) for flip in (expected[:, ::-1], expected[::-1]))
    else:
        np.testing.assert_array_equal(shown, expected)


def test_turned_covers_the_eight_orientations() -> None:
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    straight = [(a, 0, 0, b) for a in (1, -1) for b in (1, -1)]
    quarter = [(0, a, b, 0) for a in (1, -1) for b in (1, -1)]
    seen = {(turned(image, t).tobytes(), turned(image, t).shape) for t in straight + quarter}
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "hw"),
    [
        ("odd.mkv", "ffv1", "yuv420p", (97, 131)),
        ("444.mp4", "libx264", "yuv444p", (97, 131)),
        ("10bit.mp4", "libx264", "yuv420p10le", (96, 128)),
        ("grey.mkv", "ffv1", "gray", (96, 128)),
        ("alpha.mkv", "ffv1", "bgra", (96, 128)),
        ("portrait.mp4", "libx264", "yuv420p", (160, 90)),
    ],
)
def test_pixel_formats_and_sizes(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, hw: tuple[int, int]
) -> None:
    video = Video(encode(tmp_path / name, 12, codec=codec, pix_fmt=pix_fmt, hw=hw))
    assert video.info.hw == hw
    frames = list(video.frames(0, 12))
    assert [number(f.rgb) for f in frames] == list(range(12))
    error = np.abs(frames[5].rgb.astype(int) - picture(5, *hw)).mean()
    assert error < (70 if pix_fmt == "gray" else 6)
    if pix_fmt == "gray":
        np.testing.assert_array_equal(frames[5].rgb[..., 0], frames[5].rgb[..., 2])


def test_anamorphic_pixels_are_made_square(tmp_path: Path) -> None:
    def setup(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    video = Video(encode(tmp_path / "x.mp4", 3, setup=setup))
    assert video.info.hw == video.frame(0).shape[:2] == (96, 171)


def test_one_frame(tmp_path: Path) -> None:
    video = Video(encode(tmp_path / "one.mp4", 1))
    assert video.info.num_frames == 1
    assert video.info.timestamps_s.tolist() == [0.0]
    assert video.info.frame_rate > 0


def test_a_truncated_file_gives_its_whole_frames_and_a_warning(
    tmp_path: Path, long_gop: Path, sequential: list[np.ndarray]
) -> None:
    whole = long_gop.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    video = Video(path)
    count = video.info.num_frames
    assert 10 < count < 90
    assert "cut off" in video.index.warning
    assert "\n" not in video.index.warning
    frames = list(video.frames(0, count))
    for frame in frames[:-4]:  # the last ones may have lost what they refer to
        np.testing.assert_array_equal(frame.rgb, sequential[frame.index])
    np.testing.assert_array_equal(video.frame(count - 5), frames[count - 5].rgb)


def test_a_damaged_middle_keeps_frame_times(tmp_path: Path, long_gop: Path) -> None:
    whole = bytearray(long_gop.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 400] = bytes(400)
    path = tmp_path / "holed.mp4"
    path.write_bytes(bytes(whole))
    video = Video(path)
    frames = list(video.frames(0, video.info.num_frames))
    assert number(frames[-1].rgb) == 99
    np.testing.assert_allclose(video.info.timestamps_s[-1], 99 / RATE, atol=1e-6)


def no_file(path: Path) -> None:
    """Leave nothing."""


def folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("this is no video\n" * 50)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_index(path: Path) -> None:
    encode(path, 20)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])


def no_frames(path: Path) -> None:
    encode(path, 3)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, "no such file"),
        (folder, "is a folder, expected a video"),
        (text, "not a video"),
        (nothing, "not a video"),
        (sound, "no video track"),
        (no_index, "not a video"),
        (no_frames, "no frame that can be decoded"),
    ],
)
def test_what_is_no_video_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "x.mp4"
    make(path)
    with pytest.raises(VideoError, match=message) as caught:
        Video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frames_outside_the_video_are_refused(long_gop: Path) -> None:
    video = Video(long_gop)
    for start, end, step in [(-1, 5, 1), (0, 101, 1), (5, 4, 1), (0, 5, 0)]:
        with pytest.raises(VideoError, match="were asked of a video of 100"):
            next(video.frames(start, end, step))
    assert list(video.frames(7, 7)) == []
    with pytest.raises(VideoError, match="frame 100 was asked"):
        video.frame(100)


def test_writing_keeps_count_size_rate_and_colour(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    rate = Fraction(24000, 1001)
    with writing_video(path, frame_rate=rate, hw=(97, 131)) as writer:
        for index in range(30):
            writer.write(picture(index, 97, 131))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    video = Video(path)
    assert video.info.hw == (98, 132)
    assert video.info.frame_rate == rate
    frames = list(video.frames(0, video.info.num_frames))
    assert [number(f.rgb) for f in frames] == list(range(30))
    error = np.abs(frames[9].rgb[:97, :131].astype(int) - picture(9, 97, 131)).mean()
    assert error < 6


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with (
        pytest.raises(ValueError, match="frame of 4x4"),
        writing_video(path, frame_rate=Fraction(25), hw=(8, 8)) as writer,
    ):
        writer.write(np.zeros((4, 4, 3), np.uint8))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    with (
        pytest.raises(ArtifactError, match="cannot write"),
        writing_video(path / "x.mp4", frame_rate=Fraction(25), hw=(8, 8)),
    ):
        pass
