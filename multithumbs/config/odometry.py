"""How the camera's motion inside one shot is measured."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from multithumbs.config.base import StageConfig


class StaticOdometryConfig(StageConfig):
    """The user knows that the camera stands still in every shot: nothing is measured."""

    name: Literal["static"] = "static"


class FlowConfig(StageConfig):
    """Background points and how they are followed. Pixels are those of the reduced image."""

    width_px: int = Field(default=640, ge=160, le=1920)
    """Width to which frames are reduced before tracking (pixels); never enlarged."""
    corners: int = Field(default=300, ge=30, le=2000)
    """Points kept alive."""
    corner_quality: float = Field(default=0.005, gt=0, lt=1)
    """Least corner strength relative to the strongest one."""
    corner_distance_px: float = Field(default=12.0, ge=3, le=60)
    """Least distance between points (pixels)."""
    window_px: int = Field(default=21, ge=7, le=51)
    """Side of the matched window (pixels)."""
    levels: int = Field(default=3, ge=0, le=5)
    """Pyramid levels above the reduced image."""
    forward_backward_px: float = Field(default=0.7, gt=0, le=5)
    """A point is lost when tracking there and back misses it by more (pixels)."""
    person_margin: float = Field(default=0.12, ge=0, le=1)
    """Growth of person masks and boxes, as a fraction of the box's shorter side."""
    rekey_fraction: float = Field(default=0.6, gt=0, lt=1)
    """New corners are taken once fewer than this fraction of the last ones survive."""
    rekey_flow: float = Field(default=0.12, gt=0, lt=1)
    """... or once the median point has moved this fraction of the image's width."""
    min_points: int = Field(default=12, ge=6, le=200)
    """With fewer points a frame counts as not tracked."""
    patience_frames: int = Field(default=4, ge=0, le=60)
    """Frames in a row without tracking (flash, whip pan) before starting anew."""


class BackgroundMotionConfig(StageConfig):
    """How background points tell a camera that stands, turns, zooms or travels.

    Thresholds in pixels refer to the reduced image (`FlowConfig.width_px`).
    """

    flow: FlowConfig = FlowConfig()
    static_px: float = Field(default=0.6, gt=0, le=5)
    """A camera stands still if no frame's median background point moves further (pixels)."""
    rotation_px: float = Field(default=0.6, gt=0, le=5)
    """Above this median residual of a pure rotation other focal lengths are tried, and the
    user is warned if nothing else explains the background either (pixels)."""
    zoom_min: float = Field(default=0.04, gt=0, lt=1)
    """Zoom is reported once the focal length changes by this fraction within a shot."""
    free_gain: float = Field(default=0.6, gt=0, lt=1)
    """Translation is believed if it lowers the median residual below this fraction of the
    best rotation's."""
    free_gain_over_zoom: float = Field(default=0.45, gt=0, lt=1)
    """The same where that rotation zooms: a move straight ahead feigns a zoom, and the depth of
    each point follows the noise of its track."""
    min_parallax_deg: float = Field(default=0.2, gt=0, le=20)
    """... and if the median point's rays spread by this angle about their mean (degrees)."""
    huber_px: float = Field(default=1.0, gt=0, le=10)
    """Residual beyond which an observation counts linearly (pixels)."""
    outlier_px: float = Field(default=4.0, gt=0, le=30)
    """Residual beyond which an observation is dropped (pixels)."""


class VoOdometryConfig(BackgroundMotionConfig):
    """Visual odometry on the background: static, rotating, zooming or free camera."""

    name: Literal["vo"] = "vo"
    triangulation_deg: float = Field(default=0.7, gt=0, le=20)
    """Angle between a point's outer rays from which it is triangulated at once (degrees)."""
    keyframe_flow: float = Field(default=0.03, gt=0, lt=1)
    """Least median motion between key-frames, as a fraction of the image's width."""
    max_keyframes: int = Field(default=60, ge=4, le=400)
    """Key-frames of the final bundle adjustment."""
    seed: int = Field(default=0, ge=0)
    """Of RANSAC's samples."""


class DroidArchitectureConfig(StageConfig):
    """Sizes of the networks; the defaults are those of the released weights."""

    features: int = Field(default=128, ge=4, le=1024)
    """Channels of the matching features."""
    hidden: int = Field(default=128, ge=4, le=1024)
    """Channels of the recurrent state and of the context input."""


class ProximityConfig(StageConfig):
    """Which key frames DROID-SLAM compares."""

    threshold: float = Field(gt=0, le=100)
    """Largest mean flow between two key frames that are compared (cells of 8 pixels)."""
    radius: int = Field(default=2, ge=1, le=20)
    """Key frames back in time to which each one is always compared."""
    suppression: int = Field(ge=0, le=20)
    """How far, in key frames, a comparison keeps others like it away."""


class DroidOdometryConfig(BackgroundMotionConfig):
    """DROID-SLAM (Teed and Deng, NeurIPS 2021) with people masked out.

    Shots in which the background shows no parallax are settled as by `vo`. Values are the
    published ones for videos of unknown origin; a cell is 8 pixels of the resized frame.
    """

    name: Literal["droid"] = "droid"
    architecture: DroidArchitectureConfig = DroidArchitectureConfig()
    area_px: int = Field(default=384 * 512, ge=64 * 64, le=4096 * 4096)
    """Frames are resized to about this many pixels."""
    rules: Annotated[Literal["2022", "2025"], BeforeValidator(str)] = "2022"
    """Which published rules the local graph follows. The released weights came with, and are
    mostly used with, those of 2022."""
    beta: float = Field(default=0.3, ge=0, le=1)
    """Share of the whole flow in the distance of two key frames; the rest is that of the
    translation alone."""
    filter_threshold: float = Field(default=2.4, gt=0, le=50)
    """Mean flow from which on a frame becomes a key frame (cells)."""
    warmup: int = Field(default=8, ge=5, le=50)
    """Key frames with which the system starts."""
    keyframe_threshold: float = Field(default=4.0, ge=0, le=50)
    """Key frames closer than this are dropped again (cells)."""
    frontend: ProximityConfig = ProximityConfig(threshold=16, suppression=1)
    """Comparisons while frames come in."""
    window: int = Field(default=25, ge=6, le=200)
    """Key frames back to which a new one is compared."""
    max_edges: int = Field(default=48, ge=16, le=1000)
    """Comparisons that are kept up to date while frames come in."""
    motion_damping: float = Field(default=0.0, ge=0, le=1)
    """Share of the last velocity with which the next pose is predicted (rules of 2025)."""
    backend: ProximityConfig = ProximityConfig(threshold=22, suppression=3)
    """Comparisons once all frames are in."""
    backend_steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(7, 12), max_length=5
    )
    """Steps of each global pass."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("droid",)


OdometryConfig = Annotated[
    StaticOdometryConfig | VoOdometryConfig | DroidOdometryConfig, Field(discriminator="name")
]
