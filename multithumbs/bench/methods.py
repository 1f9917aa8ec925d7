"""The methods that are compared: which solver each of them takes, and what each leaves out."""

from dataclasses import dataclass, field, replace
from typing import Final

from multithumbs.config.alignment import (
    AdamWAlignmentConfig,
    AlignmentConfig,
    LmAlignmentConfig,
    PointSizesConfig,
    TogetherConfig,
)
from multithumbs.config.boundaries_vggt import CommonPlaceConfig, VggtBoundariesConfig
from multithumbs.config.cameras import (
    CamerasConfig,
    LiteralCamerasConfig,
    PoseGraphCamerasConfig,
    RevisitConfig,
    RoomConfig,
)
from multithumbs.config.identities import HungarianIdentitiesConfig, IdentitiesConfig
from multithumbs.config.people import (
    AdamWPeopleConfig,
    GatherConfig,
    LmPeopleConfig,
    PeopleConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One column of choices; everything not named is the same for all."""

    name: str
    title: str
    """One line for the reader of a table."""
    related: bool = True
    """Whether any cut is."""
    alignment: AlignmentConfig = field(default_factory=LmAlignmentConfig)
    boundaries: VggtBoundariesConfig = field(default_factory=VggtBoundariesConfig)
    """What is made of a reconstruction; its network is what an oracle replaces."""
    cameras: CamerasConfig = field(default_factory=PoseGraphCamerasConfig)
    identities: IdentitiesConfig = field(default_factory=HungarianIdentitiesConfig)
    people: PeopleConfig = field(default_factory=LmPeopleConfig)
    canonical: bool = False
    """Whether the gathered motion is smoothed by Pavlakos et al., not by `people`."""


_UNRELATED: Final = PoseGraphCamerasConfig(
    revisits=RevisitConfig(enabled=False), room=RoomConfig(enabled=False), sizes=None
)
_FITTED_SIZES: Final = GatherConfig(sizes=None)
_SHOT_BY_SHOT: Final = LmPeopleConfig(gather=_FITTED_SIZES, layout=None)
BY_LOOKS: Final = HungarianIdentitiesConfig(max_island_difference=0.25)
"""Re-ID where no cut is related."""
AS_PRINTED: Final = HungarianIdentitiesConfig(
    appearance_weight=0.2,
    pose_beside_looks=True,
    texture_cell=1,
    part_factor=0.0,
    reach=1.0,
    far_pairs="dropped",
    max_cost=1000.0,
    max_of_depth=0.0,
    speed_m_s=0.0,
    run_m_s=0.0,
    max_walk_m=0.0,
    end_window_s=1e-3,
    end_rows=1e-3,
    velocity_memory_s=0.0,
    across_islands=False,
)
"""Re-ID of the paper: Eq. 7-8 of the bodies at the boundary, then pairs beyond tau dropped."""
BLIND: Final = HungarianIdentitiesConfig(
    appearance_weight=0.0, max_absent_difference=1.0, across_islands=False
)
"""Re-ID by distance and pose."""
DISTANCE: Final = BLIND.model_copy(update={"pose_weight": 0.0})
"""Re-ID by distance alone."""

_PAPER_SCALE: Final = VggtBoundariesConfig(
    scale="paper", max_log_spread=5.0, common_place=CommonPlaceConfig(required=False)
)

_NO_POINTS: Final = PointSizesConfig(enabled=False)
_NOT_TOGETHER: Final = TogetherConfig(enabled=False)
_OURS: Final = Method(
    name="ours",
    title="this project's solvers on VGGT's scenes",
    boundaries=VggtBoundariesConfig(common_place=CommonPlaceConfig(required=False)),
    alignment=LmAlignmentConfig(together=TogetherConfig(rescue_failed=True, verify=True)),
)

METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        _OURS,
        Method(
            name="literal",
            title="Algorithm 1 and Eq. 6-11 of Multi-THuMBS as printed",
            alignment=AdamWAlignmentConfig(),
            boundaries=_PAPER_SCALE,
            cameras=LiteralCamerasConfig(),
            identities=AS_PRINTED,
            people=AdamWPeopleConfig(),
        ),
        Method(
            name="single-shot",
            title="no cross-shot step; people joined by appearance alone",
            related=False,
            cameras=_UNRELATED,
            identities=BY_LOOKS,
            people=_SHOT_BY_SHOT,
        ),
        Method(
            name="multishot",
            title="Pavlakos et al. 2022, Eq. 1-3: smooth canonical bodies, person by person",
            related=False,
            cameras=_UNRELATED,
            identities=BY_LOOKS,
            people=_SHOT_BY_SHOT,
            canonical=True,
        ),
        replace(
            _OURS,
            name="ours-without-cameras",
            title="cameras as the boundary scenes give them (Eq. 6)",
            cameras=LiteralCamerasConfig(),
        ),
        replace(
            _OURS,
            name="ours-without-post",
            title="no post-processing",
            people=LmPeopleConfig(refine=False),
        ),
        replace(
            _OURS,
            name="ours-without-sizes",
            title="sizes as each shot's fits have them",
            cameras=PoseGraphCamerasConfig(sizes=None),
            people=LmPeopleConfig(gather=_FITTED_SIZES),
        ),
        replace(
            _OURS,
            name="ours-without-points",
            title="sizes are not taken from the scene's points",
            alignment=_OURS.alignment.model_copy(update={"points": _NO_POINTS}),
        ),
        replace(
            _OURS,
            name="ours-without-together",
            title="cameras as they were reconstructed, no cut checked or rescued",
            alignment=LmAlignmentConfig(together=_NOT_TOGETHER),
        ),
        replace(
            _OURS,
            name="ours-without-stages",
            title="no stage of Algorithm 1 (`ours` has its last alone)",
            alignment=_OURS.alignment.model_copy(update={"stages": ()}),
        ),
        replace(
            _OURS,
            name="ours-without-alignment",
            title="none of these three: bodies where the scene's cameras put them",
            alignment=LmAlignmentConfig(points=_NO_POINTS, together=_NOT_TOGETHER, stages=()),
        ),
        replace(_OURS, name="reid-distance", title="ours, Re-ID by distance", identities=DISTANCE),
        replace(
            _OURS,
            name="reid-distance-appearance",
            title="ours, Re-ID by distance and appearance",
            identities=HungarianIdentitiesConfig(pose_weight=0.0),
        ),
        replace(
            _OURS,
            name="reid-distance-pose",
            title="ours, Re-ID by distance and pose",
            identities=BLIND,
        ),
        replace(
            _OURS,
            name="reid-distance-appearance-pose",
            title="ours, Re-ID by distance, appearance and always by pose",
            identities=HungarianIdentitiesConfig(pose_beside_looks=True),
        ),
    )
}
"""By name, in the order of the tables. ``ours`` is Re-ID by distance and appearance, and by pose
where looks are unknown."""
