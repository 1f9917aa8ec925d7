"""People below the image's edge, with a network that reads whatever fits its region."""

import numpy as np
import pytest

from multithumbs.backends.detections.cut_off import beyond_the_edge
from multithumbs.backends.detections.sighting import sight
from multithumbs.config.detections import BlazePoseDetectionsConfig, CutOffConfig
from multithumbs.models.blazepose import LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.figure import stick_figure
from multithumbs.models.blazepose.landmarks import CENTRE, INPUT_SIDE, SCALE
from multithumbs.models.blazepose.region import (
    apply_affine,
    image_from_crop,
    region_from_points,
)

HEAD_UV = np.array([300.0, 60.0])
STATURE = 500.0
METRES = np.zeros((33, 2))
METRES[:11] = (0.0, -0.62)
METRES[[11, 12]] = (0.18, -0.45), (-0.18, -0.45)
METRES[[13, 14]] = (0.24, -0.2), (-0.24, -0.2)
METRES[15:23] = [(0.25, 0.02), (-0.25, 0.02)] * 4
METRES[[23, 24]] = (0.1, 0.0), (-0.1, 0.0)
METRES[[25, 26]] = (0.1, 0.45), (-0.1, 0.45)
METRES[27:33] = [(0.1, 0.9), (-0.1, 0.9)] * 3


class TwoMinds(LandmarkNetwork):
    """Reads somebody as whole and ``squeezed`` in regions that hold no more, else as they are; the
    silhouette is theirs in both, as far as the image shows it."""

    def __init__(self, *, squeezed: float, flag: float = 0.95, neighbour: bool = False) -> None:
        self.squeezed, self.flag, self.neighbour, self.calls = squeezed, flag, neighbour, 0

    def _read(self, roi, size: float, at: np.ndarray) -> Landmarks:
        scale = size * STATURE / 1.7
        uv = np.zeros((35, 2))
        uv[:33] = at + scale * (METRES - METRES[0])
        uv[CENTRE] = uv[[23, 24]].mean(0)
        uv[SCALE] = uv[CENTRE] - (0, scale * 0.95)
        return Landmarks(
            roi=np.asarray(roi),
            uv=uv,
            visibility=np.ones(35),
            presence=np.ones(35),
            xyz=np.hstack([METRES, np.zeros((33, 1))]),
            flag=self.flag,
            segmentation=np.full((INPUT_SIDE, INPUT_SIDE), -5.0, dtype=np.float32),
        )

    def __call__(self, rgb, roi, *, mirrored=False, others=()) -> Landmarks:
        self.calls += 1
        true = self._read(roi, 1.0, HEAD_UV)
        own = region_from_points(true.uv[CENTRE], true.uv[SCALE])
        wide = roi[2] > 0.8 * own[2]
        if wide and self.neighbour:
            true = self._read(roi, 1.0, HEAD_UV + np.array([250.0, 0.0]))
        shown = stick_figure(true)
        crop = np.stack(np.meshgrid(*[np.arange(INPUT_SIDE) + 0.5] * 2), -1).reshape(-1, 2)
        v = apply_affine(image_from_crop(roi, INPUT_SIDE), crop)[:, 1].reshape(shown.shape)
        read = true if wide else self._read(roi, self.squeezed, HEAD_UV)
        read.segmentation[shown & (v < rgb.shape[0])] = 5.0
        return read


def look(network, *, height: int, **settings):
    """Somebody as first read in the region around a squeezed body, and then looked into."""
    config = BlazePoseDetectionsConfig(cut_off=CutOffConfig(**settings))
    rgb = np.zeros((height, 600, 3), dtype=np.uint8)
    first = network._read(np.zeros(4), network.squeezed, HEAD_UV)
    known = sight(rgb, first.next_roi, network, config)
    assert known is not None
    network.calls = 0
    return known, beyond_the_edge(rgb, known, network, config)


@pytest.mark.parametrize("squeezed", [0.5, 0.6, 0.7])
def test_somebody_cut_off_at_the_thighs_is_as_tall_as_the_silhouette_says(squeezed):
    known, found = look(TwoMinds(squeezed=squeezed), height=330)
    assert found.roi[2] == pytest.approx(known.roi[2] / squeezed, rel=1e-6)
    np.testing.assert_allclose(found.joints_uv[5], HEAD_UV + STATURE / 1.7 * np.array([0.18, 0.17]))


def test_somebody_whole_is_not_looked_at_again():
    network = TwoMinds(squeezed=1.0)
    known, found = look(network, height=600)
    assert found is known
    assert network.calls == 0


def test_a_reading_that_fits_its_silhouette_is_kept():
    network = TwoMinds(squeezed=1.0)
    known, found = look(network, height=330)
    assert found is known
    assert network.calls == 0


def test_a_larger_region_may_not_slip_onto_a_neighbour():
    known, found = look(TwoMinds(squeezed=0.5, neighbour=True), height=330)
    assert found is known


def test_a_doubtful_look_changes_nothing():
    known, found = look(TwoMinds(squeezed=0.5, flag=0.65), height=330)
    assert found is known


def test_it_can_be_turned_off():
    network = TwoMinds(squeezed=0.5)
    known, found = look(network, height=330, regions=())
    assert found is known


def test_nobody_is_less_of_a_person_for_being_cut_off():
    """Joints below the image do not count against somebody's quality."""
    _, cut = look(TwoMinds(squeezed=0.5), height=330)
    _, whole = look(TwoMinds(squeezed=1.0), height=600)
    assert cut.quality == pytest.approx(whole.quality, rel=0.05)
    assert cut.shown < whole.shown == 17
