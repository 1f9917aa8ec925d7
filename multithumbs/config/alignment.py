"""Configuration of `alignment`: Algorithm 1 and its solvers."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class Eq1Config(StageConfig):
    """The paper's objective (Eq. 1-5), the same for every solver."""

    keypoints_stage2: float = Field(default=10.0, ge=0, le=1e6)
    """Weight of L_2D in stage 2 (section 3.2)."""
    keypoints_stage3: float = Field(default=50.0, ge=0, le=1e6)
    """Weight of L_2D in stage 3."""
    silhouette: float = Field(default=0.01, ge=0, le=1e6)
    """Weight of L_sil (a sum of distances in pixels)."""
    depth: float = Field(default=1.0, ge=0, le=1e6)
    """Weight of L_depth (a sum of squared distances in metres)."""
    keypoint_unit_px: float = Field(default=1.0, gt=0, le=1e4)
    """L_2D's residuals are measured in this many pixels. The paper does not say; 1 reads
    Eq. 3 as printed, in pixels."""
    vertices: int = Field(default=400, ge=16, le=100000)
    """Vertices of each body that L_sil and L_depth sum over, spread evenly over the mesh."""
    depth_vertices: Literal["all", "facing"] = "all"
    """Which vertices L_depth may pair with the scene: `all` whose projection falls into the
    mask (as printed; those on the far side of the body are then drawn to its near side), or
    only those `facing` the camera."""
    min_point_confidence: float = Field(default=0.25, ge=0, le=1)
    """Scene points below it are not paired with bodies: the floor seen past a body that its
    mask does not quite fit lies metres behind it."""
    mask_stride: int = Field(default=2, ge=1, le=64)
    """Masks and their distance transforms are kept at this fraction of the resolution."""


class AlignmentLimitsConfig(StageConfig):
    """When an aligned cut is believed."""

    min_keypoint_confidence: float = Field(default=0.3, ge=0, lt=1)
    """Keypoints below it, or outside the image, are left out of L_2D."""
    window_frames: int = Field(default=2, ge=0, le=30)
    """As in `boundaries`: how far from the cut a person may have been seen."""
    max_residual_of_height: float = Field(default=0.15, gt=0, le=2)
    """FAILED where the median body's keypoint residual exceeds this fraction of its height in
    the image."""


class TogetherConfig(StageConfig):
    """Ours, before Algorithm 1: the cameras of a scene that was not found from its people
    (`boundaries=vggt`) are adjusted until those who stand on both sides of the cut agree."""

    enabled: bool = True
    """Whether to do it."""
    rescue_failed: bool = False
    """Whether a cut whose reconstruction FAILED is tried by its people alone, under the limits of
    `boundaries=people` (which has tried that itself: this is for `boundaries=vggt`)."""
    verify: bool = False
    """Whether a reconstruction has to show that both frames are of one place, by people who agree
    once the cameras are adjusted or by common background; else the cut is FAILED."""
    max_prior_cost: float = Field(default=20.0, gt=0, le=1000)
    """For that: how far people may move the cameras (sum of 6 squared standard deviations)."""
    sure_prior_cost: float = Field(default=12.6, ge=0, le=1000)
    """Below this, which 95 % of right cameras reach, people seen from one side only are no
    objection."""
    min_overlap: float = Field(default=0.4, gt=0, le=1)
    """For that: share of either view's background that the other must see. Rooms of one size fit
    into each other to a third by chance."""
    max_depth_difference: float = Field(default=0.05, gt=0, lt=1)
    """For that: depths that agree differ by less than this fraction."""
    rotation_std_deg: float = Field(default=3.0, gt=0, le=90)
    """Error of the scene's relative rotation (degrees)."""
    translation_std_of_baseline: float = Field(default=0.1, gt=0, le=5)
    """Error of its relative translation, as a fraction of the cameras' distance."""
    translation_std_m: float = Field(default=0.15, gt=0, le=10)
    """Least error of it (metres)."""
    transform_rad: float = Field(default=0.15, gt=0, le=1.5)
    """The scene's rotation error when people are first paired, radians."""
    refined_transform_rad: float = Field(default=0.06, gt=0, le=1.5)
    """The same after a first adjustment, radians."""
    orientation_rad: float = Field(default=0.35, gt=0, le=3.2)
    """Error between the orientations of one person's two bodies, radians."""
    pose_m: float = Field(default=0.12, gt=0, le=1)
    """Root mean square distance of one person's two bodies once superimposed, metres."""
    log_size: float = Field(default=0.1, gt=0, le=1)
    """Error of a monocular body's size and depth (natural logarithm)."""
    gate: float = Field(default=16.0, gt=0, le=200)
    """Cost (squared standard deviations) above which a pair is no candidate."""
    max_hypotheses: int = Field(default=12, ge=1, le=1000)
    """Assignments that are adjusted side by side."""
    min_common_keypoints: int = Field(default=6, ge=4, le=23)
    """Keypoints that both views of a person must see."""
    max_pair_cost: float = Field(default=3.0, gt=0, le=50)
    """Largest robust cost per common keypoint of a pair (squared standard deviations)."""
    min_inliers: float = Field(default=0.6, ge=0, le=1)
    """Least share of a pair's common keypoints on which both images agree."""
    max_iterations: int = Field(default=30, ge=1, le=1000)
    """Levenberg-Marquardt iterations of one adjustment."""


class PointSizesConfig(StageConfig):
    """Ours, first of all: the depth of a reconstruction's points at people tells their size, which
    monocular fits guess and Algorithm 1 holds. Without points nothing changes."""

    enabled: bool = True
    """Whether to do it."""
    min_vertices: int = Field(default=10, ge=1, le=100000)
    """Vertices that face the camera and have a trusted point, at least."""
    max_log_change: float = Field(default=0.3, gt=0, le=2)
    """Points that change a size by more (natural logarithm) are not a person's."""


Stages = tuple[Literal[1, 2, 3], ...]
"""Which stages of Algorithm 1 are done. Without the first, bodies begin where their own cameras put
them; without any they stay there."""


class LmAlignmentConfig(StageConfig):
    """Eq. 1-5 by Levenberg-Marquardt, with two terms and one weight of ours.

    With pixels as its unit L_2D outweighs everything, and only L_depth ties the cameras to the
    scene: monocular depth errors then turn them by several degrees. All three at 0
    give the paper's objective.
    """

    name: Literal["lm"] = "lm"
    stages: Stages = (3,)
    """Of Algorithm 1. The first two prepare the last one's way, which Gauss-Newton steps find
    without: with them (`[1,2,3]`) the loss ends less than a per cent away."""
    objective: Eq1Config = Eq1Config()
    limits: AlignmentLimitsConfig = AlignmentLimitsConfig()
    points: PointSizesConfig = PointSizesConfig()
    together: TogetherConfig = TogetherConfig()
    pair_weight: float = Field(default=1e6, ge=0, le=1e9)
    """Ours: weight of the squared distance (metres) between the pelvises of a matched pair,
    so that each takes the depth that both views agree upon."""
    camera_weight: float = Field(default=1e10, ge=0, le=1e12)
    """Ours: weight of the squared motion (metres, radians) of the cameras away from where the
    boundary scene has them."""
    keypoint_outlier_of_height: float = Field(default=0.05, ge=0, le=10)
    """Ours: a keypoint that the monocular fit misses by this fraction of the person's height
    counts a quarter (Geman-McClure's weight; less beyond); 0 trusts all, as the paper does."""
    max_iterations: int = Field(default=30, ge=1, le=10000)
    """Iterations per stage at most."""
    relative_tolerance: float = Field(default=1e-5, gt=0, lt=1)
    """A stage ends once an iteration lowers the loss by less than this fraction."""


class AdamWAlignmentConfig(StageConfig):
    """Algorithm 1 literally. Its learning rates are not published; these are ours."""

    name: Literal["adamw"] = "adamw"
    stages: Stages = (1, 2, 3)
    """Of Algorithm 1; fewer are for ablations."""
    objective: Eq1Config = Eq1Config()
    limits: AlignmentLimitsConfig = AlignmentLimitsConfig()
    init_iterations: int = Field(default=500, ge=0, le=100000)
    """Stage 1. It assigns the same root position in each of them, so it is done once."""
    stage2_iterations: int = Field(default=500, ge=0, le=100000)
    """People on L_2D."""
    stage3_iterations: int = Field(default=1500, ge=0, le=100000)
    """People and cameras on all terms."""
    rotation_rate: float = Field(default=0.01, gt=0, le=10)
    """Learning rate of orientations, radians."""
    translation_rate: float = Field(default=0.01, gt=0, le=10)
    """Learning rate of root positions, metres."""
    camera_rotation_rate: float = Field(default=0.001, gt=0, le=10)
    """Learning rate of camera rotations, radians."""
    camera_translation_rate: float = Field(default=0.001, gt=0, le=10)
    """Learning rate of camera translations, metres."""
    weight_decay: float = Field(default=0.01, ge=0, le=10)
    """AdamW's; torch's default."""


AlignmentConfig = Annotated[LmAlignmentConfig | AdamWAlignmentConfig, Field(discriminator="name")]
