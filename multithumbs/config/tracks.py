"""Configuration of `tracks`: who is who inside one shot."""

from typing import Literal

from pydantic import Field

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


TracksConfig = Hungarian3DConfig
