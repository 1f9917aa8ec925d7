"""Configuration of `boundaries`: the two frames of a cut in one space."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig
from multithumbs.config.boundaries_vggt import VggtBoundariesConfig
from multithumbs.config.room import RoomViewConfig


class PeopleNoiseConfig(StageConfig):
    """What is believed about keypoints and monocular bodies (standard deviations)."""

    keypoint_of_height: float = Field(default=0.025, gt=0, le=0.2)
    """Keypoint noise, as a fraction of the standing person's height in pixels."""
    log_size: float = Field(default=0.08, gt=0, le=1)
    """Error of a monocular body's size, and so of its depth (natural logarithm)."""
    log_fit: float = Field(default=0.025, gt=0, le=1)
    """Error of its depth once the size is right: a person has one size in both views."""
    tilt_rad: float = Field(default=0.12, gt=0, le=1.5)
    """Error of a monocular body's orientation against the optical axis, radians."""
    relative_depth_m: float = Field(default=0.07, gt=0, le=1)
    """Error of one keypoint's depth inside its body once size and tilt are right, metres."""
    outlier_sigmas: float = Field(default=3.0, gt=0, le=20)
    """Where Geman-McClure's loss begins to forget a keypoint, standard deviations."""


class AgreementConfig(StageConfig):
    """When two monocular bodies may be one person, before anything is adjusted."""

    transform_rad: float = Field(default=0.2, gt=0, le=1.5)
    """Rotation error of a transform made from one or two monocular bodies, radians."""
    refined_transform_rad: float = Field(default=0.06, gt=0, le=1.5)
    """The same after adjustment, radians."""
    orientation_rad: float = Field(default=0.35, gt=0, le=3.2)
    """Error between the orientations of one person's two bodies, radians."""
    max_orientation_cost: float = Field(default=1000.0, gt=0, le=1000)
    """What orientations may cost a pair at most (squared standard deviations)."""
    pose_m: float = Field(default=0.09, gt=0, le=1)
    """Root mean square distance of one person's two bodies once superimposed, metres."""
    gate: float = Field(default=16.0, gt=0, le=200)
    """Cost (squared standard deviations) above which a pair is no candidate."""
    max_hypotheses: int = Field(default=12, ge=1, le=1000)
    """Assignments that are adjusted side by side."""


class AcceptanceConfig(StageConfig):
    """When a cut counts as aligned; anything else is FAILED, never a made-up number."""

    min_common_keypoints: int = Field(default=6, ge=4, le=23)
    """Keypoints that both views of a person must see."""
    max_pair_cost: float = Field(default=3.0, gt=0, le=50)
    """Largest robust cost per common keypoint of a pair (squared standard deviations)."""
    min_inliers: float = Field(default=0.6, ge=0, le=1)
    """Least share of a pair's common keypoints on which both images agree."""
    max_double_cost: float = Field(default=1.7, gt=0, le=50)
    """Largest mean of that cost where two pairs must carry the whole cut. Three that agree are
    no coincidence, and only `max_pair_cost` bounds them."""
    max_single_cost: float = Field(default=1.1, gt=0, le=50)
    """`max_pair_cost` where a single pair must carry the whole cut: one standing figure looks
    much like another, so it has to fit well."""
    min_single_inliers: float = Field(default=0.85, ge=0, le=1)
    """`min_inliers` where a single pair must carry the whole cut."""
    max_single_residual: float = Field(default=0.03, gt=0, le=1)
    """`max_residual_of_height` where a single pair must carry the whole cut."""
    max_single_runner_up: float = Field(default=0.95, gt=0, le=1)
    """Where a single pair must carry the whole cut: largest score of another assignment over its
    own. Above it nobody can tell which of two people is meant."""
    max_residual_of_height: float = Field(default=0.06, gt=0, le=1)
    """Largest root mean square reprojection error over all pairs, as a fraction of the person's
    height in pixels."""
    max_missing_per_pair: float = Field(default=1.0, ge=0, le=100)
    """People whom the other camera should see and does not, per matched pair beyond the first
    (so a single pair allows none): more say that these are others, or the camera is wrong."""
    alike_cost: float = Field(default=3.0, ge=0, le=100)
    """One more may be missing where two pairs or more look so much alike (mean cost of their
    appearance): these are no strangers, and a detector overlooks people."""
    max_alike_offset: float = Field(default=1.0, gt=0, le=100)
    """Two unmatched people, one of either side, who look this much alike (`alike_cost`) are one:
    seen further than this from where the camera has them (heights in the image), they count as
    missing."""
    missing_inside_share: float = Field(default=0.8, gt=0, le=1)
    """Someone should be seen if this share of the body's keypoints projects into the image."""
    missing_covered_share: float = Field(default=0.3, ge=0, le=1)
    """Unless more than this share of them falls onto people who are seen there."""


class BackgroundConfig(StageConfig):
    """Static points matched between the two frames (SIFT, people masked out)."""

    enabled: bool = True
    """Whether to look for them at all."""
    max_side_px: int = Field(default=960, ge=64, le=8192)
    """Frames are scaled down to this longer side first, pixels."""
    max_features: int = Field(default=3000, ge=16, le=100000)
    """Features per frame."""
    ratio: float = Field(default=0.75, gt=0, lt=1)
    """Lowe's ratio test."""
    margin_of_side: float = Field(default=0.01, ge=0, le=0.2)
    """People's masks grow by this fraction of the longer side."""
    min_matches: int = Field(default=25, ge=8, le=10000)
    """Matches that one epipolar geometry must explain before any of them is used."""
    min_match_share: float = Field(default=0.4, gt=0, le=1)
    """The same as a share of all matches."""
    sigma_px: float = Field(default=2.0, gt=0, le=50)
    """Standard deviation of a match, pixels of the full frame."""
    outlier_sigmas: float = Field(default=4.0, gt=0, le=50)
    """Where Geman-McClure's loss begins to forget a match, standard deviations."""
    weight: float = Field(default=0.5, ge=0, le=100)
    """Of one match against one keypoint."""
    min_depth_m: float = Field(default=0.7, gt=0, le=100)
    """Nothing static is nearer to the first camera, metres."""
    min_turn_share: float = Field(default=0.8, gt=0, le=1)
    """Where no people relate the frames: share of the matches that a camera which only turned
    must explain. A camera that also moved stays FAILED: nothing fixes the scale."""
    min_turn_spread: float = Field(default=0.15, ge=0, le=1)
    """The same: share of either frame that the matches must span (area of their hull)."""
    min_turn_px: float = Field(default=2.0, ge=0, le=1000)
    """The same: matches that move less than this may be a logo and do not count, pixels."""
    max_tension: float = Field(default=0.5, ge=0, le=50)
    """Where the matches raise the people's cost per keypoint by more than this they contradict
    the people (a logo, a repeated texture) and are dropped."""


class AppearanceConfig(StageConfig):
    """Clothes: a hint of who is who, and a veto against strangers. Two measures are added: colours
    of limbs and torso in the boundary frames, and the tracks' textures (twice the colours where
    two textures share too little)."""

    weight: float = Field(default=2.0, ge=0, le=100)
    """Cost of two people who differ by `difference` in one measure (squared standard deviations);
    0 leaves appearance out."""
    difference: float = Field(default=0.12, gt=0, le=1)
    """Colour difference at which `weight` is charged; colours are in [0, 1], gain removed."""
    texture_difference: float = Field(default=0.05, gt=0, le=1)
    """The same of textures (A of the paper's Eq. 8)."""
    texture_cell: int = Field(default=4, ge=1, le=1024)
    """Textures are compared averaged over squares of so many texels."""
    min_shared_texels: float = Field(default=0.01, gt=0, le=1)
    """Share of the UV map that both textures must have seen to count."""
    max_cost: float = Field(default=8.0, ge=0, le=100)
    """What one measure of one pair may cost at most, so that light that changes forbids none."""
    max_mean_cost: float = Field(default=9.0, ge=0, le=100)
    """FAILED where the matched pairs' looks cost more than this on average: these are other
    people. At or above twice `max_cost` there is no veto."""
    max_single_cost: float = Field(default=3.5, ge=0, le=100)
    """The same of textures alone, which see more than the boundary frames' colours, where a single
    pair must carry the whole cut: it may be somebody's double elsewhere."""


class PointMapConfig(StageConfig):
    """The point per pixel that `alignment` pairs bodies with."""

    stride: int = Field(default=8, ge=1, le=64)
    """Pixels per point in either direction."""
    ground_extent_m: float = Field(default=30.0, gt=0, le=1000)
    """Half of the side of the square of floor that is cast, metres."""
    ground_confidence: float = Field(default=0.2, ge=0, le=1)
    """Confidence of floor points; points on people have their body's confidence."""


class PeopleBoundariesConfig(StageConfig):
    """People-anchored two-view geometry: their bodies give hypotheses and the scale, their
    keypoints (and static background, where it matches) the relative camera."""

    name: Literal["people"] = "people"
    window_frames: int = Field(default=2, ge=0, le=30)
    """A person not found in a boundary frame itself is taken from the nearest of this many
    frames on the same side of the cut."""
    min_keypoint_confidence: float = Field(default=0.3, ge=0, lt=1)
    """Keypoints below it count as not seen."""
    noise: PeopleNoiseConfig = PeopleNoiseConfig()
    agreement: AgreementConfig = AgreementConfig()
    acceptance: AcceptanceConfig = AcceptanceConfig()
    background: BackgroundConfig = BackgroundConfig()
    appearance: AppearanceConfig = AppearanceConfig()
    room: RoomViewConfig = RoomViewConfig()
    """Where both frames show one, it leaves four rotations between the cameras."""
    turned_agreement: AgreementConfig = AgreementConfig(
        orientation_rad=0.6, max_orientation_cost=8.0, pose_m=0.13, gate=25.0
    )
    """`agreement` where a room tells the rotation: people then only have to stand right, and who
    is read from the wrong side may still be the same person."""
    turned_acceptance: AcceptanceConfig = AcceptanceConfig(
        max_pair_cost=4.5,
        min_inliers=0.5,
        max_double_cost=3.5,
        max_single_runner_up=0.9,
        max_residual_of_height=0.1,
    )
    """`acceptance` where a room tells the rotation."""
    point_map: PointMapConfig = PointMapConfig()
    max_iterations: int = Field(default=30, ge=1, le=1000)
    """Levenberg-Marquardt iterations of one adjustment."""


BoundariesConfig = Annotated[
    PeopleBoundariesConfig | VggtBoundariesConfig, Field(discriminator="name")
]
