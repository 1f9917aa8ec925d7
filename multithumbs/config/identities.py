"""Configuration of `identities`: which track of which shot is which person."""

from typing import Annotated, Literal

from pydantic import Field

from multithumbs.config.base import StageConfig


class RecognitionConfig(StageConfig):
    """Shots are visited in order; each track is given to a known person or founds one. People
    who were not seen just before keep the place where they were, with a tolerance that grows.
    """

    distance_of: Literal["root", "joints"] = "root"
    """What D is the distance of: the roots (Eq. 7), or the mean over joints visible in both,
    which says position, facing and pose in one number."""
    distance_weight: float = Field(default=1.0, ge=0, le=100)
    """Weight of D, metres (Eq. 8)."""
    appearance_weight: float = Field(default=8.0, ge=0, le=100)
    """Weight of A, the mean colour difference over texels seen in both textures, 0 to 1. The
    paper's 0.2 is of its own textures; with ours it would move a link by two centimetres."""
    pose_weight: float = Field(default=0.35, ge=0, le=100)
    """Weight of P, the mean rotation difference in radians over joints visible in both."""
    pose_beside_looks: bool = False
    """Whether P counts where A is known too, as in the paper. There it tells nobody apart whom
    looks do not; two people who stand about are posed alike."""
    max_distance_m: float = Field(default=1.0, gt=0, le=100)
    """The distance that counts as one in Eq. 8 (the paper's tau), metres."""
    reach: float = Field(default=1.5, ge=1, le=100)
    """Pairs so many times farther apart are dropped (the paper's 1); up to there, all cues
    decide together."""
    far_pairs: Literal["never", "dropped"] = "never"
    """Whether pairs beyond that are kept from the assignment, or take part in it and are dropped
    after it, as the paper has it: then somebody who has left takes a neighbour's partner along."""
    max_cost: float = Field(default=2.6, gt=0, le=1000)
    """Cost (Eq. 8) at which a link is as likely as none. One sure link is not given up for two
    poor ones, as it would be if as many people as possible had to be linked."""
    max_of_depth: float = Field(default=0.25, ge=0, le=1)
    """`max_distance_m` as a share of the distance from the camera, where that is more: a
    monocular body's place errs by a share of its depth. 0: the paper's tau everywhere."""

    speed_m_s: float = Field(default=0.6, ge=0, le=20)
    """How much farther apart a person may be per second unseen, metres per second."""
    run_m_s: float = Field(default=3.0, ge=0, le=20)
    """The same at most for someone who was moving faster when last seen."""
    max_walk_m: float = Field(default=2.0, ge=0, le=100)
    """How much farther at most, metres."""
    boundary_frames: int = Field(default=5, ge=0, le=1000)
    """A gap of up to this many frames is no absence: poses are compared, tau is not widened
    and tracks that begin this near to their shot's start are matched together."""
    end_window_s: float = Field(default=1.0, gt=0, le=60)
    """Time at a track's end in which its bodies are compared with one another, seconds."""
    end_rows: float = Field(default=7.0, gt=0, le=1000)
    """Bodies within it from which place and velocity are taken: the first ones whose confidences
    add up to this."""
    standing_s2: float = Field(default=0.1, gt=0, le=100)
    """How far that velocity is drawn to none: the variance of a body's place over that of
    people's velocities, square seconds."""
    max_depth_jump: float = Field(default=0.25, gt=0, le=3)
    """Largest logarithm of a body's depth over the usual one there; others are misfits of
    someone half hidden, and no end of a track."""
    velocity_memory_s: float = Field(default=0.3, ge=0, le=10)
    """Time over which the velocity of an unseen person is carried on, seconds."""
    max_absent_difference: float = Field(default=0.25, ge=0, le=1)
    """Largest A of a link over an absence."""
    fragment_distance_m: float = Field(default=0.6, gt=0, le=100)
    """`max_distance_m` at most for tracks of one shot, which the tracker itself did not join."""

    texture_cell: int = Field(default=4, ge=1, le=1024)
    """Colours are compared averaged over squares of so many texels of the UV map."""
    min_shared_texels: float = Field(default=0.03, gt=0, le=1)
    """Share of the UV map that both textures must have seen, or A counts as unknown."""
    part_factor: float = Field(default=2.0, ge=0, le=100)
    """What a difference between the mean colours of shirts, sleeves, trousers counts against one
    between texels: A is the mean of both. 0: the paper's A, of texels alone."""
    unknown_difference: float = Field(default=0.12, ge=0, le=1)
    """A where it is unknown."""
    unknown_pose_rad: float = Field(default=0.3, ge=0, le=3.2)
    """P where it is unknown, radians."""
    min_keypoint_confidence: float = Field(default=0.3, ge=0, lt=1)
    """A joint is visible where its keypoint's confidence reaches this."""

    across_islands: bool = True
    """Whether people may be recognised by appearance alone where worlds are not connected."""
    max_island_difference: float = Field(default=0.08, ge=0, le=1)
    """Largest A of such a link."""
    max_company_difference: float = Field(default=0.15, ge=0, le=1)
    """The same where one of those with whom somebody was seen has been recognised there. 0: no
    more than `max_island_difference` in any company."""
    min_island_texels: float = Field(default=0.03, gt=0, le=1)
    """`min_shared_texels` for such a link."""
    island_confidence_scale: float = Field(default=0.03, gt=0, le=10)
    """`confidence_scale` for such a link: a difference of A."""

    confidence_scale: float = Field(default=0.25, gt=0, le=10)
    """Difference in cost that makes a link e times as likely as its best alternative."""


class HungarianIdentitiesConfig(RecognitionConfig):
    """The paper's Re-ID (Eq. 7-8), carried on from adjacent shots to the whole video."""

    name: Literal["hungarian"] = "hungarian"


class GeometricIdentitiesConfig(RecognitionConfig):
    """Association by geometry alone, as CHROMM's: where the joints are, never how people look."""

    name: Literal["geometric"] = "geometric"
    distance_of: Literal["root", "joints"] = "joints"
    """The mean over joints visible in both, or the roots."""
    appearance_weight: float = Field(default=0.0, ge=0, le=0)
    """None: looks do not count."""
    reach: float = Field(default=1.0, ge=1, le=100)
    """As the paper's: nothing else decides beyond the tolerance."""
    max_absent_difference: float = Field(default=1.0, ge=0, le=1)
    """No limit."""
    pose_weight: float = Field(default=0.0, ge=0, le=100)
    """Weight of P; the joints' distance holds the pose already."""
    across_islands: Literal[False] = False
    """Without a common world there is no geometry to compare."""


IdentitiesConfig = Annotated[
    HungarianIdentitiesConfig | GeometricIdentitiesConfig, Field(discriminator="name")
]
