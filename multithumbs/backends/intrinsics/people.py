"""`Intrinsics` from the people in a shot."""

import numpy as np

from multithumbs.backends.intrinsics.assumed import assume, pinhole
from multithumbs.body import load_body
from multithumbs.config.intrinsics import AssumedIntrinsicsConfig, PeopleIntrinsicsConfig
from multithumbs.solvers.focal import estimate_focal
from multithumbs.types import Intrinsics, Keypoints
from multithumbs.types.work import Work


def estimate(
    work: Work[object], config: PeopleIntrinsicsConfig, keypoints: Keypoints
) -> Intrinsics:
    """The focal length of the shot; the prior alone where nobody is seen well enough."""
    hw = work.video.info.hw
    seen = (keypoints.confidence >= config.fit.min_confidence).sum(1) >= config.min_keypoints
    rows = np.flatnonzero(seen)
    if len(rows) > config.max_rows:
        rows = rows[np.linspace(0, len(rows) - 1, config.max_rows).astype(np.int64)]
    if len(rows) == 0:
        prior = AssumedIntrinsicsConfig(
            focal_over_diagonal=config.focal_over_diagonal, log_focal_std=config.log_focal_std
        )
        return assume(prior, hw)
    model = load_body(work.body_npz, device=work.runtime.device)
    uv, confidence, xyz, xyz_confidence = (
        model.tensor(values[rows])
        for values in (
            keypoints.uv, keypoints.confidence, keypoints.xyz, keypoints.xyz_confidence,
        )
    )  # fmt: skip
    found = estimate_focal(model, uv, confidence, xyz, xyz_confidence, hw, config)
    return Intrinsics(
        K=pinhole(found.focal_px, hw), source="estimated", log_focal_std=found.log_std
    )
