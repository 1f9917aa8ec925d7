"""When a relative camera found from people is believed, and why not."""

from multithumbs.backends.boundaries.colours import Looks
from multithumbs.config.boundaries import AcceptanceConfig, AppearanceConfig
from multithumbs.solvers.two_view_search import TwoView


def rejection(
    found: TwoView, missing: int, config: AcceptanceConfig, appearance_cost: float | None = None
) -> str:
    """Why a result is not to be believed; empty where it is.

    ``missing`` counts people whom the other camera should see and does not; ``appearance_cost`` is
    the mean of the pairs, where it is known.
    """
    single = len(found.pairs) == 1
    cost, inliers = float(found.pair_cost.mean()), float(found.inliers.min())
    residual = float(found.residual_of_height.square().mean().sqrt())
    limits = {1: config.max_single_cost, 2: config.max_double_cost}
    max_cost = limits.get(len(found.pairs), config.max_pair_cost)
    min_inliers = config.min_single_inliers if single else config.min_inliers
    max_residual = config.max_single_residual if single else config.max_residual_of_height
    if cost > max_cost or inliers < min_inliers or residual > max_residual:
        return (
            f"{len(found.pairs)} common people fit too loosely: cost {cost:.2f} (at most "
            f"{max_cost:.2f}), {inliers:.0%} of keypoints agree (at least {min_inliers:.0%}), off "
            f"by {residual:.1%} of a height (at most {max_residual:.1%})"
        )
    if single and found.runner_up > config.max_single_runner_up:
        return (
            "the only pair that fits could as well be another one (score "
            f"{found.runner_up:.0%} of its own, at most {config.max_single_runner_up:.0%})"
        )
    allowed = config.max_missing_per_pair * (len(found.pairs) - 1)
    if not single and appearance_cost is not None and appearance_cost < config.alike_cost:
        allowed += 1
    if missing > allowed:
        return (
            f"{missing} people should be seen from the other side of the cut and are not, "
            f"with {len(found.pairs)} matched"
        )
    return ""


def other_clothes(found: TwoView, looks: Looks, config: AppearanceConfig) -> str:
    """Why the pairs cannot be the same people for their looks; empty where they can."""
    cost, limit = looks.mean_cost(found.pairs.numpy()), config.max_mean_cost
    if len(found.pairs) == 1 and cost <= limit:
        cost, limit = float(looks.textures[*found.pairs[0].tolist()]), config.max_single_cost
    if cost <= limit:
        return ""
    return (
        f"the people who fit are dressed otherwise (appearance cost {cost:.1f} of at most "
        f"{limit:.1f})"
    )
