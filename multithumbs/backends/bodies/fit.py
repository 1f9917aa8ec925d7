"""`Bodies` by fitting the body model to keypoints."""

import numpy as np
import torch

from multithumbs.backends.threads import one_thread
from multithumbs.body import load_body
from multithumbs.config.bodies import FitConfig
from multithumbs.solvers.body_fit import fit_rows, gather_evidence, judge, pose_of
from multithumbs.solvers.body_fit_chains import chains
from multithumbs.solvers.body_fit_smooth import smooth
from multithumbs.solvers.body_fit_terms import FitState
from multithumbs.solvers.tracking_boxes import covered
from multithumbs.types import Bodies, Detections, Intrinsics, Keypoints
from multithumbs.types.work import Work

CHAIN_TOLERANCE = 0.08
"""Keypoint noise between neighbouring frames, of the person's size, in `chains`."""


@one_thread()
def estimate(
    work: Work[FitConfig], detections: Detections, keypoints: Keypoints, intrinsics: Intrinsics
) -> Bodies:
    """A body for each detection row."""
    config, count = work.config, len(detections)
    model = load_body(work.body_npz, device=work.runtime.device)

    tensor = model.tensor
    K = tensor(intrinsics.K).expand(count, 3, 3)
    evidence, xyz, xyz_weight = gather_evidence(
        tensor(keypoints.uv),
        tensor(keypoints.confidence),
        tensor(keypoints.xyz),
        tensor(keypoints.xyz_confidence),
        K,
        config,
    )
    if count == 0:
        return _empty()
    state = fit_rows(
        model, evidence, xyz, xyz_weight, config, lambda done: work.progress(done, 2 * count)
    )
    fit = judge(model, evidence, state, config)
    good = fit.confidence > 0
    time_s = work.video.info.timestamps_s[detections.frame]
    rows = np.flatnonzero(good.numpy(force=True))
    done = count
    for chain in chains(
        detections.frame[rows],
        time_s[rows],
        keypoints.uv[rows],
        evidence.weight.numpy(force=True)[rows],
        evidence.size_px.numpy(force=True)[rows],
        tolerance=CHAIN_TOLERANCE,
        min_similarity=config.link_similarity,
        max_gap_s=config.max_gap_s,
    ):
        done += len(chain)
        if len(chain) > 2 and config.smooth_iterations:
            index = torch.from_numpy(rows[chain]).to(model.device)
            part = smooth(model, evidence, state, index, tensor(time_s[rows[chain]]), config)
            state = FitState(*(x.index_copy(0, index, y) for x, y in zip(state, part, strict=True)))
        work.progress(done, 2 * count)
    fit = judge(model, evidence, state, config)
    joints = model.posed_by_matrices(state.rotmats(), state.betas, state.transl).joints
    joints = joints.numpy(force=True)
    depth = np.where(fit.confidence.numpy(force=True) > 0, joints[:, 0, 2], np.inf)
    hidden = covered(detections.frame, detections.box_xyxy, depth)
    return Bodies(
        pose=pose_of(state).numpy(force=True),
        betas=state.betas.numpy(force=True),
        transl=state.transl.numpy(force=True),
        joints_cam=joints,
        K=K.numpy(force=True).copy(),
        confidence=fit.confidence.numpy(force=True) * (1 - config.hidden_doubt * hidden),
        residual_px=fit.residual_px.numpy(force=True),
    )


def _empty() -> Bodies:
    return Bodies(
        pose=np.zeros((0, 24, 3)),
        betas=np.zeros((0, 10)),
        transl=np.zeros((0, 3)),
        joints_cam=np.zeros((0, 24, 3)),
        K=np.zeros((0, 3, 3)),
        confidence=np.zeros(0),
        residual_px=np.zeros(0),
    )
