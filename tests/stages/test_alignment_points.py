"""Sizes of people by the points of a reconstruction, before Algorithm 1."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.backends.alignment.points import sized_by_points
from multithumbs.backends.boundaries.side import resized
from multithumbs.config.alignment import Eq1Config, PointSizesConfig
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig

from .reconstruction import exact_cut, scene_of, sides_of

GUESSED = [0.85, 1.1, 0.95]
"""How many times too large monocular fits have the three of one side."""


@pytest.fixture(scope="module")
def cut(body):
    return exact_cut(body)


def misjudged(body, cut):
    """Sides of wrong sizes, the scene of the right ones, and the true size over the guessed."""
    sides = sides_of(cut)
    scene = scene_of(body, cut, VggtBoundariesConfig(), sides=sides)
    wrong = [resized(side, np.array(GUESSED)[: len(side)]) for side in sides]
    return (wrong[0], wrong[1]), scene, [1 / np.array(GUESSED)[: len(side)] for side in sides]


def test_points_tell_the_size_of_people(body, cut):
    wrong, scene, right = misjudged(body, cut)
    found = sized_by_points(wrong, scene, body, Eq1Config(), PointSizesConfig())
    for side, before, factor in zip(found, wrong, right, strict=True):
        assert len(side) == 3
        np.testing.assert_allclose(side.size / before.size, factor, rtol=0.02)
        np.testing.assert_allclose(
            side.joints_cam, before.joints_cam * (side.size / before.size)[:, None, None]
        )


def test_sizes_are_left_alone_where_points_say_nothing(body, cut):
    wrong, scene, _ = misjudged(body, cut)

    def sizes(scene, **config):
        found = sized_by_points(wrong, scene, body, Eq1Config(), PointSizesConfig(**config))
        return np.concatenate([side.size for side in found])

    kept = np.concatenate([side.size for side in wrong])
    metric = replace(scene, metres_per_unit=1.0)
    unseen = replace(scene, points_scene=np.full_like(scene.points_scene, np.nan))
    for nothing in (sizes(metric), sizes(unseen), sizes(scene, min_vertices=100000)):
        np.testing.assert_array_equal(nothing, kept)
    careful = sizes(scene, max_log_change=0.12)
    assert (careful == kept).tolist() == [True, False, False] * 2, "0.85 is no guess of a person"
