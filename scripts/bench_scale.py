"""The three rules for metres per unit, on the same synthetic reconstructions.

    python scripts/bench_scale.py --cuts 40

Each cut is a random scene (`multithumbs.synth.boundary_oracle`): bodies and keypoints with
calibrated perception noise, masks of the true bodies, depth maps of the true scene in a random
unit with a dense network's kind of errors (`multithumbs.synth.boundary_points`). Every rule sees
the same points. The error is the factor between the scale found and the true one.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch

from multithumbs.backends.boundaries.side import body_keypoints, gather_side
from multithumbs.backends.boundaries.vggt_input import fit_frame
from multithumbs.backends.boundaries.vggt_people import people_in_view
from multithumbs.backends.boundaries.vggt_views import views_of
from multithumbs.body import EMBEDDED_BODY, BodyModel, load_body
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.models.vggt import Prediction
from multithumbs.models.vggt.pose import encode
from multithumbs.solvers.boundary_scale import combine
from multithumbs.synth.boundary_oracle import CutSetup, OracleNoise, make_cut
from multithumbs.synth.boundary_points import DepthNoise, depth_maps

RULES = ("paper", "median", "head_pelvis")
EXACT = OracleNoise(
    keypoint_of_height=0.0,
    log_size=0.0,
    log_fit=0.0,
    orientation_rad=0.0,
    pose_rad=0.0,
    walk_m=0.0,
)
LEVELS = {
    "exact depths": DepthNoise(pixel_log=0.0, person_log=0.0, hanging_px=0, wall_share=0.0),
    "usual errors": DepthNoise(),
    "many outliers": DepthNoise(pixel_log=0.03, person_log=0.05, hanging_px=4, wall_share=0.1),
}


def scales(
    body: BodyModel, seed: int, noise: DepthNoise, config: VggtBoundariesConfig
) -> dict[str, float]:
    """Scale found over true scale of one cut, by each rule; NaN where a rule finds none."""
    rng = np.random.default_rng(seed)
    unit = float(np.exp(rng.uniform(np.log(0.1), np.log(10))))
    setup = CutSetup(
        people=int(rng.integers(1, 5)), view_rad=float(rng.uniform(0.5, np.pi)), mask_stride=2
    )
    cut = make_cut(body, setup, seed)
    # Noise is scaled, not drawn otherwise: the same seed gives the same scene without it. People
    # do move between the frames, so the second frame's truth is its own.
    truth = make_cut(body, replace(setup, noise=replace(EXACT, walk_m=setup.noise.walk_m)), seed)
    fit = fit_frame(setup.hw, config.fit, 518, 14)
    focal, (height, width) = setup.focal_px, setup.hw
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    net_K = np.stack([fit.net_from_full @ K] * 2)
    maps = depth_maps(body, truth, net_K, fit.hw, noise, seed)
    cams = np.stack([np.eye(4), truth.after_from_before])
    cams[:, :3, 3] /= unit
    encoding = encode(torch.tensor(cams), torch.tensor(net_K), fit.hw)
    prediction = Prediction(
        encoding[None, None],
        torch.tensor(maps.depth / unit)[None],
        torch.tensor(maps.confidence)[None],
        None,
        None,
    )
    views = views_of(prediction, fit, points="depth", min_confidence=config.min_confidence)
    ratios: dict[str, list[np.ndarray]] = {rule: [] for rule in RULES}
    for view, oracle in enumerate(cut.sides):
        side = gather_side(
            view,
            oracle.detections,
            oracle.keypoints,
            oracle.bodies,
            oracle.tracks,
            oracle.masks,
            window_frames=0,
            min_confidence=config.min_keypoint_confidence,
        )
        for rule in RULES:
            seen = people_in_view(
                side,
                body_keypoints(side, body),
                views,
                view,
                body,
                config.model_copy(update={"scale": rule}),
                "cpu",
            )
            ratios[rule].append(seen.ratio)
    return {rule: combine(np.concatenate(ratios[rule]), rule) / unit for rule in RULES}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cuts", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body(EMBEDDED_BODY)
    tried = {
        "points in the masks, as printed": VggtBoundariesConfig(
            min_confidence=1.0, person_quantile=0.0, mask_erosion_px=0
        ),
        "silhouettes and distrusted points left out (default)": VggtBoundariesConfig(),
    }
    print(f"{arguments.cuts} cuts; error of the scale: median, 90 %, worst; share within 10 %")
    for points, config in tried.items():
        print(f"\n{points}")
        for level, noise in LEVELS.items():
            rows = [scales(body, seed, noise, config) for seed in range(arguments.cuts)]
            for rule in RULES:
                found = np.array([row[rule] for row in rows])
                error = np.exp(np.abs(np.log(found[np.isfinite(found)]))) - 1
                none = len(found) - len(error)
                print(
                    f"  {level:14s} {rule:12s} {np.median(error):7.1%} "
                    f"{np.quantile(error, 0.9):7.1%} {error.max():8.1%}   "
                    f"{np.mean(error < 0.1):4.0%}" + (f"   none found: {none}" if none else "")
                )


if __name__ == "__main__":
    main()
