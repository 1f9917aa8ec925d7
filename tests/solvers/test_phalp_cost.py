"""PHALP's distance and location predictor against upstream's numbers (``tests/golden``)."""

import numpy as np
import pytest
import torch

from multithumbs.models.phalp import AppearanceEncoder
from multithumbs.models.phalp.encoder import TEXTURE_SCALE
from multithumbs.solvers import phalp_texture
from multithumbs.solvers.phalp_cost import (
    EQ_010,
    EQ_010_AFTER_CUT,
    EQ_019,
    Expected,
    assign,
    association_cost,
    coded_distance,
    stored_code_distance,
    terms,
)
from multithumbs.solvers.phalp_location import predict_places
from multithumbs.solvers.phalp_texture import ColourSettings, blend, colour_distance

from ..golden.filler import fill
from ..golden.fixture import load_fixture

SETTINGS = ColourSettings(cells=4, noise=0.1, unknown=0.3, doubt=0.5)


@pytest.fixture(scope="module")
def fixture():
    return load_fixture("phalp_cost")


def textures(kind: str, count: int) -> np.ndarray:
    rgb = 10 * fill(f"input/phalp/{kind}_rgb", (count, 3, 256, 256), "normal")
    shown = fill(f"input/phalp/{kind}_mask", (count, 1, 256, 256), "uniform") > 0.4
    return np.concatenate([rgb, np.where(shown, 1.0, -1.0)], axis=1)


def compared(fixture):
    tracks, seen = fixture.arrays["track_loca"], fixture.arrays["det_loca"]
    expected = Expected(xy=tracks[:, 88:90], depth=tracks[:, 92], spread=tracks[:, 93:96])
    place = (seen[:, 88:90], seen[:, 92])
    return terms(
        fixture.arrays["track_pose"], expected, fixture.arrays["det_pose"], *place
    )  # fmt: skip


@pytest.fixture(scope="module")
def appearance():
    weights = {k: torch.from_numpy(v) for k, v in load_fixture("phalp_encoder").weights().items()}
    encoder = AppearanceEncoder().double().eval()
    encoder.load_state_dict(weights, strict=True)
    tracks, seen = textures("track", 3), textures("det", 4)
    seen[0] = tracks[1] * np.reshape([1.05, 0.95, 1, 1], (4, 1, 1))
    seen[3] = tracks[2]

    def encode(uv: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return encoder(torch.from_numpy(uv)).numpy()

    return coded_distance(tracks, seen, encode)


def test_terms(fixture, appearance) -> None:
    found = compared(fixture)
    fixture.check("texture_term", appearance)
    fixture.check("pose_term", found.pose)
    fixture.check("location_l2", found.location)
    fixture.check("c_xy", np.broadcast_to(found.location_spread, (3, 4)))
    fixture.check("nearness_log", found.nearness)
    fixture.check("c_nearness", np.broadcast_to(found.nearness_spread, (3, 4)))


def test_costs(fixture, appearance) -> None:
    found = compared(fixture)
    cost = association_cost(appearance, found, EQ_019)
    fixture.check("eq019", cost)
    fixture.check("eq019_shot", cost)
    fixture.check("eq010", association_cost(appearance, found, EQ_010))
    rows, columns = fixture.arrays["assignment"]
    assert assign(cost, 100.0) == list(zip(rows.tolist(), columns.tolist(), strict=True))


def test_cost_after_a_cut(fixture) -> None:
    tracks = 3 * fill("input/phalp/track_appe", (3, 4096), "normal")
    seen = 3 * fill("input/phalp/det_appe", (4, 4096), "normal")
    seen[0], seen[3] = 1.1 * tracks[1], tracks[2]
    stored = stored_code_distance(tracks, seen)
    fixture.check("eq010_shot", association_cost(stored, compared(fixture), EQ_010_AFTER_CUT))


def test_dear_pairs_are_rejected() -> None:
    assert assign(np.array([[101.0, 5.0], [500.0, 4.0]]), 100.0) == [(1, 1)]
    assert assign(np.zeros((0, 3)), 100.0) == []


def test_places_are_predicted_as_upstream_does() -> None:
    fixture = load_fixture("phalp_track")
    config = fixture.sidecar["configuration"]["location"]
    xy = 0.5 + 0.1 * fill("input/phalp_loca/xy", (3, 7, 2), "normal")
    depth = 40 * np.exp(0.1 * fill("input/phalp_loca/depth", (3, 7), "normal"))
    found = predict_places(np.array(config["frame"]), xy, depth, np.array(config["elapsed"]))
    atol = fixture.sidecar["suggested_atol_float64"]
    camera = fixture.arrays["loca_camera"]
    np.testing.assert_allclose(found.xy, fixture.arrays["loca_xy"], rtol=0, atol=atol)
    np.testing.assert_allclose(found.depth, camera[:, 2], rtol=0, atol=1e2 * atol)
    np.testing.assert_allclose(found.spread, fixture.arrays["loca_spread"], rtol=0, atol=atol)
    across = (found.xy - 0.5) * found.depth[:, None] / 5000 * 256
    np.testing.assert_allclose(across, camera[:, :2], rtol=0, atol=atol)


def test_memory_of_textures() -> None:
    old, new = -np.ones((4, 2, 2)), -np.ones((4, 2, 2))
    old[:, 0, 0], new[:, 0, 0] = [1, 1, 1, 1], [3, 3, 3, 1]
    old[:, 0, 1], new[:, 1, 0] = [2, 2, 2, 1], [4, 4, 4, 1]
    new[:3, 1, 1] = 5
    found = blend(old, new, confidence=0.5, rate=0.4)
    np.testing.assert_allclose(found[0], [[0.9 * 1 + 0.1 * 3, 2], [4, 0]])
    np.testing.assert_allclose(found[3], [[1, 1], [1, -1]])


def painted(colour: tuple[float, float, float]) -> np.ndarray:
    texture = np.ones((4, 8, 8))
    shift = (np.array(colour) - phalp_texture.IMAGE_MEAN) / phalp_texture.IMAGE_STD
    texture[:3] = shift[:, None, None] / TEXTURE_SCALE
    return texture


def test_colours_are_compared_where_both_show() -> None:
    red, blue = painted((0.9, 0.1, 0.1)), painted((0.1, 0.1, 0.9))
    half = red.copy()
    half[:3, :, 4:], half[3, :, 4:] = blue[:3, :, 4:], -1
    distance = colour_distance(np.stack([red, blue]), np.stack([red, blue, half]), SETTINGS)
    doubt = SETTINGS.doubt * SETTINGS.unknown
    np.testing.assert_allclose(distance[0, 0], doubt / 16.5)
    np.testing.assert_allclose(distance[0, 2], doubt / 8.5)
    assert distance[1, 2] > 0.9
    nothing = np.concatenate([red[:3], -np.ones((1, 8, 8))])
    np.testing.assert_allclose(colour_distance(red[None], nothing[None], SETTINGS), 0.3)
    assert phalp_texture.TEXTURE_SCALE == TEXTURE_SCALE
