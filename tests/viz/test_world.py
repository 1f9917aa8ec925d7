"""`world.mp4`, its view and the floor plan."""

import dataclasses

import av
import cv2
import numpy as np
import pytest

from multithumbs.config.outputs import WorldConfig
from multithumbs.render.overlay import identity_colour
from multithumbs.viz.plan import make_plans
from multithumbs.viz.showcase import fullest_frame, write_showcase
from multithumbs.viz.viewpoint import FIT, fit_view, look_from
from multithumbs.viz.world import WorldPainter, write_world

SMALL = WorldConfig(height=288, inset=0)


def test_the_view_is_a_rotation_that_looks_at_the_centre():
    centre = np.array([1.0, 0.5, -2.0])
    view = look_from(centre, 7.0, 0.8, 0.4, (288, 512))
    rotation = view.cam_from_world[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    pixels, depth = view.project(np.stack([centre, centre + np.array([0, 0.5, 0])]))
    np.testing.assert_allclose(pixels[0], [256, 144])
    assert depth[0] == pytest.approx(7)
    assert pixels[1, 1] < pixels[0, 1]  # up is up


@pytest.mark.parametrize("seed", range(3))
def test_everything_fits_and_fills_the_picture(seed):
    points = np.random.default_rng(seed).normal(0, [4, 0.8, 2], (60, 3))
    hw = (288, 512)
    azimuths = np.array([0.2, 0.5, 0.8])
    centre, distance = fit_view(points, azimuths, 0.45, hw)
    pixels, depth = look_from(centre, distance, 0.5, 0.45, hw).project(points)
    away = np.abs(pixels - [256, 144]) / [256, 144]
    assert (depth > 0).all()
    assert away.max() < FIT + 0.06
    assert away.max() > 0.6


def test_lines_are_cut_at_the_near_plane_not_mirrored():
    view = look_from(np.zeros(3), 5.0, 0.0, 0.0, (288, 512))
    start, end = np.array([[0.3, 0, 0], [0.0, 0, 9]]), np.array([[0.3, 0, 20], [0, 0, 12.0]])
    lines, visible = view.lines(start, end)
    np.testing.assert_array_equal(visible, [True, False])
    assert (lines[0, :, 0] > 256).all()


def test_people_stand_in_their_colours(two_shots, body):
    painter = WorldPainter(two_shots, body, config=SMALL, still=True)
    for frame in (2, 20):
        image = painter.paint(frame)
        assert image.shape == (288, 512, 3)
        for person in (0, 1):
            colour = np.array(identity_colour(person), float)
            unit = image / np.maximum(np.linalg.norm(image.astype(float), axis=-1)[..., None], 1)
            same = unit @ (colour / np.linalg.norm(colour)) > np.cos(np.radians(6))
            assert (same & (image.max(-1) > 90)).sum() > 150


def test_the_island_of_the_moment_is_shown(two_islands, nobody, body):
    painter = WorldPainter(two_islands, body, config=SMALL)
    assert not np.array_equal(painter.paint(0), painter.paint(13))
    empty = WorldPainter(nobody, body, config=SMALL).paint(3)
    assert np.ptp(empty.reshape(-1, 3), axis=0).max() > 0


def test_inset_shows_the_frame(two_shots, body):
    painter = WorldPainter(two_shots, body, config=WorldConfig(height=288, inset=0.3))
    frame = np.full((180, 320, 3), (200, 30, 30), np.uint8)
    image = painter.paint(3, frame)
    red = (np.abs(image.astype(int) - [200, 30, 30]).sum(-1) < 12).mean()
    assert red == pytest.approx(0.3 * 0.3, rel=0.1)
    portrait = painter.paint(3, np.full((320, 180, 3), 90, np.uint8))
    assert portrait.shape == image.shape


def test_world_video_is_whole(two_shots, body, video, tmp_path):
    write_world(two_shots, body, video, tmp_path / "world.mp4", config=WorldConfig(height=144))
    with av.open(str(tmp_path / "world.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 24
    assert (frames[0].height, frames[0].width) == (144, 256)


def test_plans_hold_everyone_and_do_not_let_a_far_camera_shrink_them(two_shots):
    (plan,) = make_plans(two_shots)
    pelvis = two_shots.joints_world[:, 0][:, [0, 2]]
    assert (pelvis > plan.low).all()
    assert (pelvis < plan.high).all()
    assert sum(path.observed for path in plan.paths) >= 2
    assert [view.shot for view in plan.views] == [0, 1]

    far = two_shots.world_from_cam.copy()
    far[12:, 0, 3] += 500
    (shrunk,) = make_plans(dataclasses.replace(two_shots, world_from_cam=far))
    assert (shrunk.high - shrunk.low).max() < 30


def test_a_bridge_joins_the_ways_it_lies_between(two_shots):
    (plan,) = make_plans(two_shots)
    ways = [path for path in plan.paths if path.person == 0]
    assert [path.observed for path in ways] == [True, False, True]
    np.testing.assert_array_equal(ways[0].xz[-1], ways[1].xz[0])
    np.testing.assert_array_equal(ways[1].xz[-1], ways[2].xz[0])
    assert {path.person for path in plan.paths} == {0, 1}


def test_islands_have_plans_of_their_own(two_islands):
    plans = make_plans(two_islands)
    assert [plan.island for plan in plans] == [0, 1]
    assert [[view.shot for view in plan.views] for plan in plans] == [[0], [1]]


@pytest.mark.parametrize(("extent", "tick"), [(3.0, 0.5), (9.0, 1.0), (40.0, 5.0)])
def test_grid_lines_are_round_metres(two_shots, extent, tick):
    (plan,) = make_plans(two_shots)
    plan = dataclasses.replace(plan, low=np.zeros(2), high=np.full(2, extent))
    assert plan.tick_m == pytest.approx(tick)
    assert plan.ticks(0)[0] == 0


def test_showcase_is_one_small_picture(two_shots, body, video, tmp_path):
    path = tmp_path / "readme.jpg"
    write_showcase(two_shots, body, video, path, max_bytes=300_000)
    assert path.stat().st_size < 300_000
    image = cv2.imread(str(path))
    assert image.shape[1] == 1440
    assert sorted(set(video.served)) == [fullest_frame(two_shots, 0), fullest_frame(two_shots, 1)]


def test_the_fullest_frame_is_where_most_are_seen(two_shots):
    assert fullest_frame(two_shots, 0) == 5
    alone = two_shots.observed & ((two_shots.person == 0) | (two_shots.frame == 14))
    assert fullest_frame(dataclasses.replace(two_shots, observed=alone), 1) == 14
