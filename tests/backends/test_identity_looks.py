"""Clothes, part by part."""

import numpy as np
import pytest

from multithumbs.backends.identities.looks import Looks, texel_parts
from multithumbs.body import EMBEDDED_BODY, PART_NAMES, load_body
from multithumbs.config.identities import HungarianIdentitiesConfig
from multithumbs.solvers.identity_looks import (
    PARTS,
    part_colours,
    part_difference,
    part_of_joint,
)
from multithumbs.types import JOINT_NAMES

SIZE = 64
RED, GREEN, BLUE = (200, 40, 40), (40, 180, 60), (40, 40, 200)
SHIRT, THIGHS, SHINS = 0, 4, 5


@pytest.fixture(scope="module")
def parts():
    return texel_parts(load_body(EMBEDDED_BODY), SIZE)


def wearing(parts, shirt, trousers, seen=None, brightness=1.0):
    """A texture: everything but trousers has the shirt's colour."""
    rgb = np.zeros((SIZE, SIZE, 3))
    rgb[:] = shirt
    rgb[np.isin(parts, (THIGHS, SHINS))] = trousers
    weight = np.ones((SIZE, SIZE)) if seen is None else seen.astype(np.float64)
    return (rgb * brightness).astype(np.uint8), weight


def difference(a, b, parts):
    first, second = (part_colours(t[0][None], t[1][None], parts) for t in (a, b))
    return part_difference(*first, *second)[0, 0]


def test_every_part_is_on_the_map_and_the_head_is_in_none(parts):
    assert set(np.unique(parts)) == {-1, *range(len(PARTS))}
    assert part_of_joint()[JOINT_NAMES.index("head")] == -1
    assert part_of_joint()[JOINT_NAMES.index("left_knee")] == SHINS


def test_parts_agree_with_the_body_s_own(parts):
    """Most texels of shins by the skinning are shanks by the body's own table."""
    body = load_body(EMBEDDED_BODY)
    joint = body.lbs_weights.argmax(1).numpy()
    shins = part_of_joint()[joint] == SHINS
    named = body.vertex_part.numpy()[shins]
    assert (named == PART_NAMES.index("shank")).mean() > 0.6


def test_front_and_back_of_one_person_look_alike_and_strangers_do_not(parts):
    rows = np.random.default_rng(0).random((SIZE, SIZE)) < 0.5
    front = wearing(parts, RED, BLUE, rows)
    back = wearing(parts, RED, BLUE, ~rows)  # no texel in common
    stranger = wearing(parts, RED, GREEN, ~rows)
    assert difference(front, back, parts) == pytest.approx(0, abs=1e-3)
    assert difference(front, stranger, parts) > 0.05
    looks = Looks(parts, HungarianIdentitiesConfig())
    texels = Looks(None, HungarianIdentitiesConfig())
    group = [back, stranger]
    assert np.isnan(texels.difference([front], group, 0.03)).all()
    known = looks.difference([front], group, 0.03)[0]
    assert known[0] < 0.01 < known[1]


def test_exposure_is_no_difference(parts):
    day, dusk = wearing(parts, RED, BLUE), wearing(parts, RED, BLUE, brightness=0.7)
    assert difference(day, dusk, parts) < 0.01
    assert difference(day, dusk, parts) == pytest.approx(difference(dusk, day, parts), abs=1e-9)


def test_with_too_little_in_common_nothing_is_known(parts):
    shirt = wearing(parts, RED, BLUE, parts == SHIRT)
    trousers = wearing(parts, RED, BLUE, np.isin(parts, (THIGHS, SHINS)))
    whole = wearing(parts, RED, BLUE)
    assert np.isnan(difference(shirt, trousers, parts))
    assert np.isnan(difference(shirt, whole, parts)), "one part is not enough"
    assert difference(trousers, whole, parts) == pytest.approx(0, abs=1e-3)


def test_the_papers_measure_is_of_texels_alone(parts):
    half = wearing(parts, RED, BLUE), wearing(parts, RED, GREEN)
    group = [half[1]]
    paper = Looks(parts, HungarianIdentitiesConfig(part_factor=0.0))
    alone = Looks(None, HungarianIdentitiesConfig())
    np.testing.assert_array_equal(
        paper.difference([half[0]], group, 0.03), alone.difference([half[0]], group, 0.03)
    )
