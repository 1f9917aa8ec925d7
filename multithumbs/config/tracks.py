"""Configuration of `tracks`: who is who inside one shot."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from multithumbs.config.base import StageConfig


class Hungarian3DConfig(StageConfig):
    """Kalman filters on each person's place in the camera, matched by Hungarian assignment.

    The filter's coordinates are (x/z, y/z, log z): the image pins the first two, the third is
    as uncertain in relative terms near the camera as far from it.
    """

    name: Literal["hungarian3d"] = "hungarian3d"

    min_score: float = Field(default=0.2, ge=0, le=1)
    """Detections below this score start no track (they may continue one)."""
    duplicate_similarity: float = Field(default=0.7, gt=0, le=1)
    """Two rows of one frame whose keypoint similarity exceeds this are one person."""
    keypoint_tolerance: float = Field(default=0.08, gt=0, le=1)
    """Standard deviation of a keypoint in the similarity, as a fraction of the person's size."""

    position_noise_m: float = Field(default=0.06, gt=0, le=1)
    """Standard deviation of a body's place across the viewing ray, metres."""
    pixel_noise: float = Field(default=2.0, ge=0, le=50)
    """The same in the image, pixels; added to it in quadrature."""
    depth_noise: float = Field(default=0.08, gt=0, le=1)
    """Relative standard deviation of a body's depth."""
    crowd_noise: float = Field(default=3.0, ge=0, le=20)
    """How much both grow (times one plus this) where another person's box covers the body's."""
    velocity_wander_m_s: float = Field(default=2.5, gt=0, le=20)
    """How far a person's velocity wanders within one second (standard deviation), m/s."""
    pan_wander_per_s: float = Field(default=0.3, ge=0, le=10)
    """How far the image's own velocity wanders within one second as the camera turns, in
    focal lengths per second."""
    initial_speed_m_s: float = Field(default=2.0, gt=0, le=20)
    """Standard deviation of a new track's velocity, m/s."""
    velocity_memory_s: float = Field(default=0.7, gt=0, le=10)
    """Time in which the velocity of an unseen person is forgotten, seconds."""

    gate: float = Field(default=18.0, gt=0, le=200)
    """Largest squared Mahalanobis distance of a match (three degrees of freedom)."""
    max_cost: float = Field(default=1.7, gt=0, le=50)
    """Largest cost of a match; above it a row begins a track of its own."""
    similarity_weight: float = Field(default=1.0, ge=0, le=10)
    """Weight of keypoint dissimilarity against the distance (which counts 1 at the gate)."""
    shape_weight: float = Field(default=0.25, ge=0, le=10)
    """Weight of the difference in body size, per standard deviation squared."""
    size_noise: float = Field(default=0.06, gt=0, le=1)
    """Standard deviation of a measured body size, relative."""
    similarity_memory_s: float = Field(default=0.4, gt=0, le=10)
    """Time in which the last seen pose loses its say in a match, seconds."""

    colour_weight: float = Field(default=2.0, ge=0, le=10)
    """Weight of the dissimilarity of clothes; 0 reads no frame at all."""
    colour_noise: float = Field(default=18.0, gt=0, le=200)
    """Standard deviation of one part's colour from frame to frame, CIELAB units."""
    colour_memory_rows: float = Field(default=10.0, gt=0, le=1000)
    """Rows over which recent clothes are averaged."""
    continuity: float = Field(default=0.6, ge=0, le=1)
    """How far an unbroken pose outweighs a change of colours."""
    colour_unknown: float = Field(default=0.4, ge=0, le=1)
    """Dissimilarity of clothes that were not seen."""

    confirm_hits: int = Field(default=4, ge=1, le=100)
    """Rows after which a track may coast; shorter ones end at their second miss."""
    coast_s: float = Field(default=0.7, ge=0, le=30)
    """How long a confirmed track goes on unseen before it ends, seconds."""
    relink_s: float = Field(default=4.0, ge=0, le=60)
    """Longest absence after which a track that ended may go on as one that began, seconds."""
    relink_cost: float = Field(default=2.0, gt=0, le=10)
    """Largest cost of such a link (distance counts 1 at `relink_gate`)."""
    relink_gate: float = Field(default=9.0, gt=0, le=200)
    """Largest squared Mahalanobis distance of such a link."""
    max_walk_m: float = Field(default=1.2, gt=0, le=50)
    """Largest standard deviation of a person's place after an absence, metres: keeps long
    absences from linking anyone with anyone."""
    merge_gate: float = Field(default=6.0, gt=0, le=200)
    """Largest median squared distance between the rows of two tracks that are never seen in one
    frame, for them to be one person's."""
    merge_colour: float = Field(default=0.5, ge=0, le=1)
    """Largest dissimilarity of clothes of such tracks."""
    min_rows: int = Field(default=4, ge=1, le=1000)
    """Tracks with fewer rows are dropped, unless the shot itself is shorter."""
    sparse_rows: int = Field(default=12, ge=0, le=1000)
    """Tracks with fewer rows than this must be seen in `min_density` of their span's frames:
    a few scattered misfits of someone half hidden are no person more."""
    min_density: float = Field(default=0.3, ge=0, le=1)
    """See `sparse_rows`."""


class PhalpConfig(StageConfig):
    """4DHumans' association (PHALP): appearance on the body's UV map, 3D place, and pose.

    Distance, thresholds and life cycle are the published ones (frames, not seconds).
    """

    name: Literal["phalp"] = "phalp"

    distance: Literal["EQ_019", "EQ_010"] = "EQ_019"
    """Which of the published distances; 4DHumans uses the first."""
    max_cost: float = Field(default=100.0, gt=0)
    """Pairs of a track and a detection that cost more are not matched."""
    history: int = Field(default=7, ge=3, le=100)
    """Sights of a track from which its next place and pose are predicted."""
    max_age: int = Field(default=50, ge=0, le=10000)
    """Frames unseen after which a track ends."""
    confirm_hits: int = Field(default=5, ge=1, le=100)
    """Consecutive sights that make a track; shorter ones are dropped (a shot with fewer frames
    needs as many as it has)."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Detections below it are left out. 4DHumans uses 0.8 of its own detector's scores; other
    detectors' scores mean something else, and their own thresholds have been applied already."""
    min_box_wh_px: tuple[float, float] = (50.0, 100.0)
    """Narrower or lower boxes are left out, pixels."""

    appearance: Literal["encoder", "colour", "none"] = "encoder"
    """Who looks like whom: PHALP's network on UV textures (trained on SMPL's map, so it needs
    `body_model=smpl` to mean much), mean colours on any UV map, or nothing (no frame is read)."""
    atlas: Literal["auto", "body", "phalp"] = "auto"
    """Whose UV map: the body file's own, or PHALP's texel tables for SMPL's faces, on which its
    network was trained (256 texels; downloaded as `phalp-texel-faces`, `phalp-texel-weights`).
    ``auto``: the tables with `body_model=smpl`, whose pickle has no map; else the body's."""
    texture_size: int = Field(default=256, ge=16, le=1024)
    """Side of the UV map, texels; the encoder was trained on 256."""
    texture_memory: float = Field(default=0.1, gt=0, le=1)
    """Share of a new texture in a track's, times its squared score."""
    min_cosine: float = Field(default=0.0, ge=0, lt=1)
    """Texels seen at a flatter angle are left out (cosine between normal and view)."""
    occlusion_tolerance_m: float = Field(default=0.01, gt=0, le=0.5)
    """A surface nearer than this before a texel does not hide it, metres."""
    colour_cells: int = Field(default=16, ge=1, le=256)
    """Side of the grid on the UV map in which `appearance=colour` averages."""
    colour_noise: float = Field(default=0.15, gt=0, le=2)
    """Standard deviation of one cell's colour from sight to sight; white is 1."""
    colour_unknown: float = Field(default=0.3, ge=0, le=1)
    """Dissimilarity of cells that were not both seen."""
    colour_doubt: float = Field(default=4.0, gt=0, le=10000)
    """Weight of that, in cells."""

    pose: Literal["last", "predictor"] = "last"
    """What a track's next pose is taken to be: its last one, or what PHALP's transformer says."""
    head_width: int = Field(default=64, ge=1, le=1024)
    """Width of that transformer's attention heads, which its file does not tell."""
    batch: int = Field(default=16, ge=1, le=4096)
    """Textures that the encoder sees at once."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names in the checkpoint registry."""
        names: tuple[str, ...] = ("phalp-hmar",) if self.appearance == "encoder" else ()
        if self.atlas == "phalp" and self.appearance != "none":
            names += ("phalp-texel-faces", "phalp-texel-weights")
        if self.pose == "predictor":
            names += ("phalp-pose-predictor", "phalp-pose-statistics")
        return names

    @model_validator(mode="after")
    def _grid_fits(self) -> "PhalpConfig":
        if self.colour_cells > self.texture_size:
            raise ValueError("colour_cells is finer than texture_size")
        if self.appearance == "encoder" and self.texture_size % 16:
            raise ValueError("the encoder needs a texture_size that 16 divides")
        if self.atlas == "phalp" and self.texture_size != 256:
            raise ValueError("atlas=phalp has a texture_size of 256")
        return self


class SegFollowConfig(StageConfig):
    """SegFollow of RAM over the masks of this run: motion-guided selection, gated updates."""

    name: Literal["segfollow"] = "segfollow"

    min_score: float = Field(default=0.2, ge=0, le=1)
    """Detections below this score start no track (they may continue one)."""
    duplicate_iou: float = Field(default=0.7, gt=0, le=1)
    """Two masks of one frame that overlap by more are one person's."""

    motion_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of motion consistency in the score by which a mask is selected; affinity has the
    rest."""
    motion_memory_s: float = Field(default=0.5, gt=0, le=10)
    """Time in which the motion of an unseen person loses its say, seconds."""
    iou_gate: float = Field(default=0.2, ge=0, le=1)
    """Least IoU of a mask's box with the predicted one..."""
    min_affinity: float = Field(default=0.4, ge=0, le=1)
    """...with this likeness to the memory, at least (it is 0.5 where nothing is known)."""
    containment: float = Field(default=0.7, gt=0, le=1)
    """Or: least share of the mask's box inside the predicted one, grown by `reach_per_s`..."""
    return_affinity: float = Field(default=0.8, ge=0, le=1)
    """...with this likeness."""
    shape_weight: float = Field(default=1.0, ge=0, le=10)
    """Weight of the overlap with the track's last mask in its affinity, against colours' 1..."""
    shape_memory_s: float = Field(default=0.2, gt=0, le=10)
    """...and the time in which it is lost, seconds."""
    min_total: float = Field(default=0.4, ge=0, le=1)
    """Least score of a selected mask."""
    max_growth: float = Field(default=0.5, gt=0, le=3)
    """Largest growth (natural logarithm of the box's area) of somebody taken up again so."""
    reach_per_s: float = Field(default=0.7, ge=0, le=10)
    """How far an unseen person may go astray, in heights per second."""
    max_reach: float = Field(default=1.5, ge=0, le=20)
    """...and at most, in heights."""

    min_confidence: float = Field(default=0.6, ge=0, le=1)
    """Confidence (seen share of the expected area, times score over usual score) from which a
    sight is reliable."""
    sure_frames: int = Field(default=2, ge=1, le=100)
    """Reliable sights in a row before the motion is corrected by them."""
    patience: int = Field(default=12, ge=1, le=1000)
    """Unreliable sights in a row after which the motion begins anew."""
    box_noise: float = Field(default=0.03, gt=0, le=1)
    """Standard deviation of a mask's box, in heights."""
    part_noise: float = Field(default=0.1, gt=0, le=1)
    """The same of a box that was moved to contain an unreliable sight, in heights."""
    acceleration: float = Field(default=1.5, gt=0, le=100)
    """Standard deviation of the acceleration, in heights per square second."""
    initial_speed: float = Field(default=1.0, gt=0, le=100)
    """Standard deviation of a new track's velocity, in heights per second."""

    memory_rate: float = Field(default=0.15, gt=0, le=1)
    """Share of a perfectly consistent and confident sight in the memory of the appearance."""
    colour_bins: int = Field(default=12, ge=0, le=32)
    """Steps per axis of the colour histograms (CIELAB) that are compared; 0 reads no frame."""

    confirm_hits: int = Field(default=4, ge=1, le=100)
    """Rows after which a track may go on unseen."""
    max_unseen_s: float = Field(default=4.0, ge=0, le=60)
    """How long it may, seconds."""
    min_rows: int = Field(default=4, ge=1, le=1000)
    """Tracks with fewer rows are dropped, unless the shot itself is shorter."""


TracksConfig = Annotated[
    Hungarian3DConfig | PhalpConfig | SegFollowConfig, Field(discriminator="name")
]
