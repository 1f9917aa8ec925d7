"""`overlay.mp4`: bodies where they project, in their colours, as a video that is whole."""

import dataclasses

import av
import numpy as np
import pytest

from multithumbs.config.outputs import OverlayConfig
from multithumbs.errors import ArtifactError
from multithumbs.render.overlay import identity_colour
from multithumbs.viz.overlay import FramePainter, write_overlay

HW = (180, 320)
GREY = 120


def grey():
    return np.full((*HW, 3), GREY, np.uint8)


def near(image, colour, tolerance=70):
    """Where the hue is that of ``colour``: brightness is the light's."""
    unit = image / np.maximum(np.linalg.norm(image.astype(float), axis=-1, keepdims=True), 1)
    target = np.array(colour) / np.linalg.norm(colour)
    return (unit @ target > np.cos(np.radians(8))) & (np.ptp(image, axis=-1) > tolerance)


def pelvis_uv(result, row):
    camera = np.searchsorted(result.camera_frame, result.frame[row])
    cam = np.linalg.inv(result.world_from_cam[camera]) @ [*result.joints_world[row, 0], 1]
    uv = result.K[camera] @ cam[:3]
    return uv[:2] / uv[2]


def test_each_person_is_painted_where_they_project(two_shots, body):
    painter = FramePainter(two_shots, body, HW, config=OverlayConfig(stride=1, opacity=1))
    for frame in (3, 15):
        image = painter.paint(frame, grey())
        assert image.shape == (*HW, 3)
        for row in np.flatnonzero(two_shots.frame == frame):
            u, v = pelvis_uv(two_shots, row)
            colour = identity_colour(int(two_shots.person[row]))
            window = image[int(v) - 3 : int(v) + 4, int(u) - 3 : int(u) + 4]
            assert near(window, colour).mean() > 0.8


def test_larger_videos_are_painted_small_and_in_the_same_place(two_shots, body):
    doubled = dataclasses.replace(two_shots, K=np.diag([2.0, 2.0, 1.0]) @ two_shots.K)
    config = OverlayConfig(stride=1, max_height=180)
    small = FramePainter(doubled, body, (360, 640), config=config)
    assert small.hw == HW
    picture = small.paint(3, np.full((360, 640, 3), GREY, np.uint8))
    expected = FramePainter(two_shots, body, HW, config=config).paint(3, grey())
    assert np.abs(picture.astype(int) - expected).mean() < 1


def test_bridged_bodies_are_fainter(two_shots, body):
    bridged = np.flatnonzero(~two_shots.observed)[0]
    frame = int(two_shots.frame[bridged])
    all_seen = dataclasses.replace(two_shots, observed=np.ones(len(two_shots.frame), bool))
    config = OverlayConfig(stride=1)
    u, v = pelvis_uv(two_shots, bridged).astype(int)
    faint, full = (
        FramePainter(result, body, HW, config=config).paint(frame, grey())[v, u].astype(int)
        for result in (two_shots, all_seen)
    )
    assert 0 < np.abs(faint - GREY).sum() < np.abs(full - GREY).sum()


def test_people_of_another_island_are_not_painted(two_islands, body):
    wrong = dataclasses.replace(two_islands, island=1 - two_islands.island)
    painter = FramePainter(wrong, body, HW, config=OverlayConfig(), captions=False)
    np.testing.assert_array_equal(painter.paint(3, grey()), grey())


def test_someone_behind_the_camera_does_not_appear(two_shots, body):
    turned = two_shots.world_from_cam @ np.diag([-1.0, 1, -1, 1])
    painter = FramePainter(
        dataclasses.replace(two_shots, world_from_cam=turned),
        body,
        HW,
        config=OverlayConfig(),
        captions=False,
    )
    np.testing.assert_array_equal(painter.paint(3, grey()), grey())


def test_video_is_h264_with_every_frame_and_read_as_a_stream(two_shots, body, video, tmp_path):
    path = tmp_path / "overlay.mp4"
    done = []
    write_overlay(
        two_shots, body, video, path, progress=lambda now, total: done.append((now, total))
    )
    assert video.served == list(range(24))
    assert done[-1] == (24, 24)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == two_shots.fps
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 24
    assert frames[0].shape == (*HW, 3)
    assert np.ptp(frames[3].astype(int), axis=-1).max() > 60  # there is colour on the grey


def test_nobody_at_all_gives_the_video_back(nobody, body, video, tmp_path):
    write_overlay(nobody, body, video, tmp_path / "overlay.mp4")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24


def test_a_failing_reader_leaves_no_half_video(two_shots, body, video, tmp_path):
    def broken(start, end, step=1):
        yield from list(type(video).frames(video, start, 3))
        raise ArtifactError("the file is gone")

    video.frames = broken
    with pytest.raises(ArtifactError, match="gone"):
        write_overlay(two_shots, body, video, tmp_path / "overlay.mp4")
    assert list(tmp_path.iterdir()) == []
