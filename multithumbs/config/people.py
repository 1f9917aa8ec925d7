"""How everyone's rows of all shots become one motion each (paper section 3.5)."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig
from multithumbs.config.sizes import SizesConfig


class GatherConfig(StageConfig):
    """From per-shot bodies to one sequence per person."""

    use_alignment: bool = True
    """Whether the depth that the alignment found at a cut moves the person in that whole shot."""
    sizes: SizesConfig | None = SizesConfig()
    """Everybody's size from all shots and cuts; null: the weighted median of their fits."""
    max_depth_change: float = Field(default=0.3, ge=0, le=2)
    """Alignments that change a depth by more than this factor's logarithm are not believed."""
    min_confidence: float = Field(default=0.05, ge=0, le=1)
    """Rows with less are left out."""
    max_gap_s: float = Field(default=1.0, ge=0, le=30)
    """Longest absence that is bridged (seconds)."""
    gap_decay_s: float = Field(default=0.5, gt=0, le=30)
    """A bridged row's confidence falls by 1/e this far from the nearest observation (seconds)."""


class GroundConfig(StageConfig):
    """The floor of each island, from feet."""

    tilt_std_deg: float = Field(default=8.0, gt=0, le=60)
    """Uncertainty of "up" as people's trunks show it (degrees)."""
    floor_std_m: float = Field(default=0.03, gt=0, le=1)
    """Noise of a standing sole's height (metres)."""
    max_raise_m: float = Field(default=0.1, gt=0, le=2)
    """A sole higher above the floor than this hardly counts (metres)."""


class LayoutConfig(StageConfig):
    """Where the worlds of islands, which nothing relates, are put: people recognised in two of
    them stand and face as they did."""

    place_std_m: float = Field(default=0.3, gt=0, le=10)
    """How exactly they stay in their place from one to the next (metres)."""
    walk_m_s: float = Field(default=0.6, ge=0, le=10)
    """How much farther they may go per second out of sight (m/s)."""
    facing_std_deg: float = Field(default=57.3, gt=0, le=360)
    """How exactly they face as before (degrees)."""


class VPoserArchitecture(StageConfig):
    """Sizes of VPoser v2; the defaults are those of the released checkpoint."""

    neurons: int = Field(default=512, ge=1, le=8192)
    """Width of the hidden layers."""
    latent: int = Field(default=32, ge=1, le=1024)
    """Numbers that describe a pose."""


class RefinementConfig(StageConfig):
    """What every solver of post-processing has."""

    refine: bool = True
    """Whether it is done; if not, people move as they were gathered (Table 3, w/o post)."""
    pose_prior: Literal["limits", "vposer"] = "limits"
    """What says how likely a pose is. `vposer` is the paper's (a checkpoint for non-commercial
    research). `limits` needs none: `adamw` then charges what passes a joint's limits, and `lm`
    keeps to the monocular fits, which obey them already."""
    vposer: VPoserArchitecture = VPoserArchitecture()

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("vposer",) if self.refine and self.pose_prior == "vposer" else ()


class AdamWPeopleConfig(RefinementConfig):
    """The paper's Eq. 9-11 as printed. There is no data term away from the cuts."""

    name: Literal["adamw"] = "adamw"
    gather: GatherConfig = GatherConfig(sizes=None)
    ground: GroundConfig = GroundConfig()
    layout: LayoutConfig | None = None
    """Null: the origin of each island lies under its first camera."""
    smooth_weight: float = Field(default=10.0, ge=0)
    """Lambda_smooth of Eq. 9."""
    cross_weight: float = Field(default=1.0, ge=0)
    """Lambda_cross of Eq. 9."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """AdamW's; metres and radians per step. Not printed in the paper."""
    iterations: int = Field(default=500, ge=1, le=100000)
    """Not printed in the paper; its alignment takes 500 and 1500."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Of AdamW; 0 because a decay would pull people to the origin."""


class LmPeopleConfig(RefinementConfig):
    """Reprojection in every frame, acceleration, contact, one shape; sparse least squares."""

    name: Literal["lm"] = "lm"
    gather: GatherConfig = GatherConfig()
    ground: GroundConfig = GroundConfig()
    layout: LayoutConfig | None = LayoutConfig()
    """Null: the origin of each island lies under its first camera."""
    max_iterations: int = Field(default=12, ge=1, le=200)
    """Linearisations of each of the two rounds (without and with contact)."""
    relative_tolerance: float = Field(default=1e-2, gt=0, lt=1)
    """A person is done once a step gains less than this fraction of their cost."""
    rows_at_once: int = Field(default=300, ge=50, le=100000)
    """Rows solved together; bounds memory (about 0.1 MB a row)."""
    overlap_s: float = Field(default=1.0, gt=0, le=10)
    """Overlap of the pieces of a longer sequence, blended (seconds)."""
    keypoint_std_m: float = Field(default=0.03, gt=0, le=1)
    """Noise of a keypoint on the body (metres); with depth and focal length, in pixels."""
    keypoint_std_px: float = Field(default=1.0, gt=0, le=100)
    """Least noise of a keypoint (pixels)."""
    robust_scale: float = Field(default=3.0, gt=0, le=100)
    """Geman-McClure's scale, in standard deviations."""
    root_std_rad: float = Field(default=0.2, gt=0, le=10)
    """Of the monocular orientation."""
    pose_std_rad: float = Field(default=0.2, gt=0, le=10)
    """Of a monocular joint rotation."""
    latent_std: float = Field(default=1.0, gt=0, le=100)
    """With `pose_prior=vposer`: of each latent number, which VPoser makes standard normal."""
    betas_std: float = Field(default=0.25, gt=0, le=10)
    """How far a person's shape may move from the mean of its fits. A floor a little off, and the
    acceleration that nearer and smaller people save, outvote a wider prior."""
    depth_std: float = Field(default=0.3, gt=0, le=1)
    """Of the monocular depth, as a fraction."""
    lateral_std_m: float = Field(default=0.5, gt=0, le=10)
    """Of the monocular place across the ray (metres)."""
    transl_std_m_s2: float = Field(default=2.0, gt=0, le=100)
    """Usual acceleration of the pelvis (m/s^2)."""
    root_std_rad_s2: float = Field(default=8.0, gt=0, le=1000)
    """Usual angular acceleration of the pelvis (rad/s^2)."""
    pose_std_rad_s2: float = Field(default=15.0, gt=0, le=1000)
    """Usual angular acceleration of a joint (rad/s^2)."""
    transl_huber: float = Field(default=1.0, gt=0, le=100)
    """Accelerations beyond this many standard deviations count linearly."""
    usual_activity: float = Field(default=0.2, gt=0, le=10)
    """Mean angular acceleration after the first round, in `pose_std_rad_s2`, above which someone
    is livelier than usual, and allowed more acceleration in the second."""
    activity_power: float = Field(default=1.5, ge=0, le=4)
    """How much more: the power of the ratio. 0: the same for all."""
    activity_window_s: float = Field(default=1.0, gt=0, le=60)
    """Time over which that mean is taken (seconds)."""
    contact_speed_m_s: float = Field(default=0.35, gt=0, le=5)
    """A sole slower than this may stand (m/s)."""
    contact_height_m: float = Field(default=0.08, gt=0, le=1)
    """A sole lower above the floor than this may stand (metres)."""
    contact_still_m_s: float = Field(default=0.05, gt=0, le=5)
    """Noise of a standing sole's speed (m/s)."""
    contact_floor_m: float = Field(default=0.03, gt=0, le=1)
    """Noise of a standing sole's height (metres)."""


PeopleConfig = Annotated[AdamWPeopleConfig | LmPeopleConfig, Field(discriminator="name")]
