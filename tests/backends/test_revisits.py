"""Returns to an earlier camera: how many matches must follow one rotation."""

import numpy as np
import pytest

from multithumbs.backends.cameras import revisits
from multithumbs.config.cameras import RevisitConfig
from multithumbs.solvers.pose_graph_revisit import Revisit


@pytest.mark.parametrize(
    ("factor", "inliers", "believed"),
    [(1.0, 43, True), (1.0, 30, False), (1.19, 43, False), (1.19, 60, True)],
)
def test_a_return_through_another_lens_needs_more_matches(monkeypatch, factor, inliers, believed):
    """A step forward looks much like a zoom: half of the demo's matches follow one."""
    rng = np.random.default_rng(0)
    view = revisits._View(
        shot_from_cam=np.eye(4),
        plane=rng.uniform(-0.3, 0.3, (86, 2)),
        descriptors=rng.uniform(0, 255, (86, 128)).astype(np.float32),
        pixel=0.001,
    )
    found = Revisit(np.eye(3), factor, inliers)
    monkeypatch.setattr(revisits, "rotation_only", lambda *arguments: found)
    assert (revisits._compare(view, view, RevisitConfig()) is found) == believed
