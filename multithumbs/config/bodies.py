"""Configuration of `bodies`: a posed body for each detection."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig


class FitConfig(StageConfig):
    """Levenberg-Marquardt fit of the body to 2D keypoints and metric 3D landmarks.

    Every residual is divided by its standard deviation, so the weights are exactly the noise
    that is assumed.
    """

    name: Literal["fit"] = "fit"

    keypoint_std: float = Field(default=0.018, gt=0, le=0.5)
    """Standard deviation of a keypoint, as a fraction of the person's size in the image."""
    keypoint_std_px: float = Field(default=1.5, gt=0, le=50)
    """The same, pixels; added in quadrature (small people are not seen more precisely)."""
    direction_std_rad: float = Field(default=0.25, gt=0, le=3)
    """Standard deviation of a 3D limb direction, radians."""
    robust_scale: float = Field(default=3.0, gt=0, le=100)
    """Geman-McClure's scale, in standard deviations."""
    min_confidence: float = Field(default=0.3, ge=0, le=1)
    """Keypoints below this confidence are left out."""
    landmarks_face_ray: bool = True
    """Whether 3D landmarks are given as if the person stood on the optical axis (networks that
    see a crop do so); they are then turned towards the viewing ray."""

    pose_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of the spread of each joint (1 is the prior as tabulated)."""
    limit_softness_rad: float = Field(default=0.05, gt=0, le=1)
    """Overshoot of a joint limit that counts as one standard deviation, radians."""
    betas_mean: tuple[float, ...] = Field(default=(0.0,) * 10, min_length=10, max_length=10)
    """Expected shape."""
    betas_std: tuple[float, ...] = Field(default=(1.0,) * 10, min_length=10, max_length=10)
    """Standard deviation of each shape component around the mean."""
    pose_std_rad_s2: float = Field(default=25.0, gt=0, le=1e4)
    """Expected angular acceleration of joints inside a tracklet, radians/s^2."""
    transl_std_m_s2: float = Field(default=6.0, gt=0, le=1e4)
    """Expected acceleration of the body inside a tracklet, m/s^2."""
    max_gap_s: float = Field(default=0.2, ge=0, le=5)
    """Longest gap that the temporal terms bridge, seconds."""
    link_similarity: float = Field(default=0.4, gt=0, le=1)
    """Keypoint similarity above which rows of neighbouring frames are one tracklet."""

    iterations: int = Field(default=15, ge=1, le=500)
    """Most iterations of the independent fit of each row."""
    smooth_iterations: int = Field(default=6, ge=0, le=100)
    """Most iterations of the joint fit of each tracklet; 0 leaves it out."""
    smooth_rows: int = Field(default=128, ge=16, le=65536)
    """Rows of one tracklet that are fitted together; bounds the memory."""
    chunk_rows: int = Field(default=128, ge=1, le=65536)
    """Rows fitted side by side; bounds the memory."""
    min_keypoints: int = Field(default=6, ge=3, le=23)
    """A row with fewer confident keypoints fails."""
    hidden_doubt: float = Field(default=0.7, ge=0, lt=1)
    """Confidence that a body loses when a nearer body's box covers its own: networks place the
    joints that they cannot see with the same assurance."""
    max_residual: float = Field(default=0.12, gt=0, le=1)
    """A row whose residual exceeds this fraction of its size fails."""


class Hmr2Architecture(StageConfig):
    """Sizes of HMR2's networks; the defaults are those of the released checkpoints."""

    width: int = Field(default=1280, ge=8, le=8192)
    """Channels of the image backbone."""
    depth: int = Field(default=32, ge=1, le=128)
    """Blocks of the image backbone."""
    heads: int = Field(default=16, ge=1, le=128)
    """Attention heads of the image backbone; they divide its width."""
    mlp_ratio: int = Field(default=4, ge=1, le=16)
    """Width of the backbone's hidden layers over its own."""
    head_width: int = Field(default=1024, ge=8, le=8192)
    """Channels of the SMPL head's one token."""
    head_depth: int = Field(default=6, ge=1, le=64)
    """Layers of the SMPL head."""
    head_heads: int = Field(default=8, ge=1, le=128)
    """Attention heads of the SMPL head."""
    head_dim: int = Field(default=64, ge=1, le=1024)
    """Channels of each attention head of the SMPL head."""
    head_mlp: int = Field(default=1024, ge=8, le=16384)
    """Width of the SMPL head's hidden layers."""

    @model_validator(mode="after")
    def _divisible(self) -> "Hmr2Architecture":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class Hmr2Config(StageConfig):
    """HMR2 (4DHumans): SMPL's parameters from each detection's crop, without keypoints."""

    name: Literal["hmr2"] = "hmr2"
    architecture: Hmr2Architecture = Hmr2Architecture()
    batch: int = Field(default=48, ge=1, le=4096)
    """Crops per forward pass; halved where a CUDA device runs out of memory."""
    compile: bool = False
    """Whether torch.compile prepares the network (minutes at first; needs a C++ compiler)."""
    blur: bool = True
    """Whether people larger than the crop are blurred before they are scaled down, as in the
    4DHumans demo; its tracker does not."""
    face_ray: bool = True
    """Whether people are turned towards their viewing ray: the network fits its crop as if seen
    through a very long lens from straight ahead. False leaves them as upstream does, which is
    right for its own default lens only."""
    min_box_px: float = Field(default=4.0, gt=0, le=1000)
    """Detections whose square is smaller than this (pixels) fail."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        return ("hmr2",)

    @property
    def reads(self) -> tuple[str, ...]:
        """Stages that come first: no keypoints, so that these may come from the meshes."""
        return ("detections", "intrinsics")


BodiesConfig = Annotated[FitConfig | Hmr2Config, Field(discriminator="name")]
