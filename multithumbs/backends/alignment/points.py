"""Everyone at the size that a reconstruction's points give them.

One image fixes size over depth, and a monocular fit guesses the size. A point map has the depth:
of one person against the next it errs by a few per cent. Eq. 5 cannot use that, since Algorithm 1
holds every body's size, and with it the depth that the keypoints allow. Here its pairs of vertices
and points tell the size first, and the body moves along its rays.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from multithumbs.backends.alignment.problem import METRIC, build_problem, pose_people, unmoved
from multithumbs.backends.boundaries.side import BoundarySide, resized
from multithumbs.body import BodyModel
from multithumbs.config.alignment import Eq1Config, PointSizesConfig
from multithumbs.solvers import alignment as eq1
from multithumbs.types import BoundaryScene, CutStatus

_NOBODY: Int64[np.ndarray, "0 2"] = np.zeros((0, 2), dtype=np.int64)


def sized_by_points(
    sides: tuple[BoundarySide, BoundarySide],
    scene: BoundaryScene,
    body: BodyModel,
    objective: Eq1Config,
    config: PointSizesConfig,
) -> tuple[BoundarySide, BoundarySide]:
    """Both sides, everyone resized who has points; as they were in a scene without any."""
    alone = scene.status is CutStatus.FAILED or scene.metres_per_unit == METRIC
    if alone or not sum(map(len, sides)):
        return sides
    people = pose_people(sides, _NOBODY, body, objective)
    problem = build_problem(people, sides, scene, objective)._replace(paired=people.facing)
    ratio = depth_ratios(unmoved(people, problem, scene), problem, config.min_vertices)
    size = ratio.cpu().numpy()
    believed = np.abs(np.log(size)) <= config.max_log_change  # NaN: not
    size = np.where(believed, size, 1.0)
    first = len(sides[0])
    return resized(sides[0], size[:first]), resized(sides[1], size[first:])


def depth_ratios(
    state: eq1.AlignmentState, problem: eq1.AlignmentProblem, min_vertices: int
) -> Float[Tensor, " P"]:
    """Median depth, in each person's camera, of scene points over that of the vertices that
    Eq. 5 pairs with them; NaN for those with fewer than ``min_vertices`` pairs."""
    placed = eq1.place(state, problem)
    at = eq1.look_up(placed, problem, points=True)
    axis = state.cam_from_scene[problem.view][:, None, 2]
    depth = (at.points * axis[..., :3]).sum(-1) + axis[..., 3]
    ratio = (depth / placed.vertices_cam[..., 2]).where(at.paired > 0, torch.nan)
    median = ratio.nanmedian(1).values
    return median.where(at.paired.sum(1) >= min_vertices, torch.nan)
