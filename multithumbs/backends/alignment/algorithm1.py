"""Algorithm 1 of the paper, by either solver."""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from multithumbs.backends.alignment.points import sized_by_points
from multithumbs.backends.alignment.problem import (
    PosedPeople,
    build_problem,
    metric_cameras,
    pose_people,
    unmoved,
)
from multithumbs.backends.alignment.together import stand_together
from multithumbs.backends.boundaries.side import BoundarySide, through_lens
from multithumbs.body import BodyModel
from multithumbs.config.alignment import AdamWAlignmentConfig, Eq1Config, LmAlignmentConfig
from multithumbs.geometry import projection, rigid, robust, rotations
from multithumbs.solvers import alignment as eq1
from multithumbs.solvers import alignment_adamw, alignment_lm
from multithumbs.types import Alignment, BoundaryScene, CutStatus

SolverConfig = LmAlignmentConfig | AdamWAlignmentConfig
Sides = tuple[BoundarySide, BoundarySide]


def align(
    sides: Sides,
    scene: BoundaryScene,
    body: BodyModel,
    config: SolverConfig,
) -> Alignment:
    """Bodies and cameras of both boundary frames in one metric space, or FAILED and why."""
    # A reconstruction has a lens of its own; bodies must project where the fits had them.
    sides = (through_lens(sides[0], scene.K[0]), through_lens(sides[1], scene.K[1]))
    if isinstance(config, LmAlignmentConfig):
        if config.points.enabled:
            sides = sized_by_points(sides, scene, body, config.objective, config.points)
        if config.together.enabled:
            scene, sides = stand_together(sides, scene, body, config.together)
    if scene.status is CutStatus.FAILED:
        return failed(scene, scene.reason)
    if max(len(side) for side in sides) == 0:
        return failed(scene, "nobody is seen on either side of the cut")
    people = pose_people(sides, scene.pair, body, config.objective)
    problem = build_problem(people, sides, scene, config.objective)
    trusted = without_outliers(problem, people, config)
    begin = start if 1 in config.stages else unmoved
    state = solve(trusted, begin(people, problem, scene), config, stages=config.stages)
    weights = stage3_weights(config)
    anchor = rigid.inverse(metric_cameras(scene, people.uv))
    with torch.no_grad():
        loss = float(eq1.loss(state, problem, weights, anchor).paper(weights))
        residual = eq1.residual_px(state, trusted)
    relative = (residual / _height_px(people, problem)).cpu().numpy()
    seen = people.confidence.sum(-1).cpu().numpy() > 0
    worst = float(np.median(relative[seen])) if seen.any() else np.inf
    if not worst <= config.limits.max_residual_of_height:
        return failed(
            scene,
            f"aligned bodies miss their keypoints by {worst:.1%} of their height, at most "
            f"{config.limits.max_residual_of_height:.1%} is accepted",
        )
    return _artifact(scene, people, eq1.first_camera_as_scene(state), residual, loss)


def solve(
    problem: eq1.AlignmentProblem,
    state: eq1.AlignmentState,
    config: SolverConfig,
    *,
    stages: Collection[int] = (2, 3),
) -> eq1.AlignmentState:
    """Stages 2 and 3 from the end of stage 1, or those of them that ``stages`` names."""
    objective = config.objective
    stage2 = eq1.AlignmentWeights(objective.keypoints_stage2, 0.0, 0.0, objective.keypoint_unit_px)
    stage3 = stage3_weights(config)
    if isinstance(config, LmAlignmentConfig):
        limits = {
            "max_iterations": config.max_iterations,
            "relative_tolerance": config.relative_tolerance,
        }
        if 2 in stages:
            state = alignment_lm.minimise(state, problem, stage2, cameras=False, **limits)
        if 3 in stages:
            state = alignment_lm.minimise(state, problem, stage3, cameras=True, **limits)
        return state
    settings = alignment_adamw.AdamWSettings(
        config.rotation_rate,
        config.translation_rate,
        config.camera_rotation_rate,
        config.camera_translation_rate,
        config.weight_decay,
    )
    if 2 in stages:
        state = alignment_adamw.minimise(
            state, problem, stage2, settings, iterations=config.stage2_iterations, cameras=False
        )
    if 3 in stages:
        state = alignment_adamw.minimise(
            state, problem, stage3, settings, iterations=config.stage3_iterations, cameras=True
        )
    return state


def without_outliers(
    problem: eq1.AlignmentProblem, people: PosedPeople, config: SolverConfig
) -> eq1.AlignmentProblem:
    """The problem with less confidence in keypoints that the monocular fits rejected.

    `bodies` fits robustly and Eq. 3 does not: one wrist found on someone else would turn a body.
    """
    if isinstance(config, AdamWAlignmentConfig) or config.keypoint_outlier_of_height == 0:
        return problem
    turned = people.keypoints @ people.rotation_cam.transpose(-1, -2)
    uv = projection.project(turned + people.pelvis_cam[:, None], problem.K[problem.view])
    relative = (uv - problem.uv) / _height_px(people, problem)[:, None, None]
    weight = robust.geman_mcclure((relative**2).sum(-1), config.keypoint_outlier_of_height)[1]
    return problem._replace(confidence=problem.confidence * weight)


def start(
    people: PosedPeople, problem: eq1.AlignmentProblem, scene: BoundaryScene
) -> eq1.AlignmentState:
    """Stage 1."""
    return eq1.initial_state(
        problem,
        people.rotation_cam,
        people.pelvis_cam,
        people.root_uv,
        people.root_seen,
        metric_cameras(scene, people.uv),
    )


def stage3_weights(config: SolverConfig) -> eq1.AlignmentWeights:
    """Eq. 1's lambdas, and ours where the solver has them."""
    objective: Eq1Config = config.objective
    own = isinstance(config, LmAlignmentConfig)
    return eq1.AlignmentWeights(
        objective.keypoints_stage3,
        objective.silhouette,
        objective.depth,
        objective.keypoint_unit_px,
        pair=config.pair_weight if own else 0.0,
        camera=config.camera_weight if own else 0.0,
    )


def failed(scene: BoundaryScene, reason: str) -> Alignment:
    """An alignment that holds nothing but its reason."""
    return Alignment(
        status=CutStatus.FAILED,
        reason=reason,
        frame=scene.frame,
        K=scene.K,
        scene_from_cam=np.stack([np.eye(4), np.eye(4)]),
        side=np.zeros(0, dtype=np.int64),
        row=np.zeros(0, dtype=np.int64),
        global_orient=np.zeros((0, 3)),
        transl=np.zeros((0, 3)),
        joints_scene=np.zeros((0, 24, 3)),
        residual_px=np.zeros(0),
        pair=np.zeros((0, 2), dtype=np.int64),
        loss=float("nan"),
    )


def _height_px(people: PosedPeople, problem: eq1.AlignmentProblem) -> Tensor:
    """Largest extent of the detected keypoints, or of the body where few were detected."""
    used = people.confidence > 0
    low = people.uv.where(used[..., None], people.uv.new_tensor(torch.inf)).amin(1)
    high = people.uv.where(used[..., None], people.uv.new_tensor(-torch.inf)).amax(1)
    seen = (high - low).amax(-1).nan_to_num(0, 0, 0)
    extent = (people.keypoints.amax(1) - people.keypoints.amin(1)).amax(-1)
    focal = problem.K[problem.view, 0, 0]
    return torch.maximum(seen, focal * extent / people.pelvis_cam[:, 2].clamp_min(0.1))


def _artifact(
    scene: BoundaryScene,
    people: PosedPeople,
    state: eq1.AlignmentState,
    residual: Tensor,
    loss: float,
) -> Alignment:
    joints = people.joints @ state.rotation.transpose(-1, -2) + state.pelvis[:, None]

    def array(values: Tensor) -> np.ndarray:
        return values.detach().cpu().numpy()

    return Alignment(
        status=CutStatus.ALIGNED,
        reason="",
        frame=scene.frame,
        K=scene.K,
        scene_from_cam=array(rigid.inverse(state.cam_from_scene)),
        side=array(people.side),
        row=people.row,
        global_orient=array(rotations.axis_angle_from_matrix(state.rotation)),
        transl=array(state.pelvis - people.rest_pelvis),
        joints_scene=array(joints),
        residual_px=array(residual),
        pair=array(people.pair),
        loss=loss,
    )
