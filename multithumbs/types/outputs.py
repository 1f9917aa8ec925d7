"""What a finished run publishes: `Result` (result.npz), `Summary` (summary.json), `Score`."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import BaseModel, ConfigDict

from multithumbs.types.scene import CutStatus

ISLAND_GAP_M = 2.0
"""Free floor between islands that are shown side by side, metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everyone's motion and every camera, as `result.npz` holds them.

    ``world`` here is the `ground` frame of each island: metres, +y up, floor at y = 0. How
    different islands lie to each other is a guess. Rows are sorted by person, then frame.
    """

    person: Int64[np.ndarray, " N"]
    frame: Int64[np.ndarray, " N"]
    shot: Int64[np.ndarray, " N"]
    island: Int64[np.ndarray, " N"]
    global_orient: Float64[np.ndarray, "N 3"]
    """Axis-angle in ``world``."""
    body_pose: Float64[np.ndarray, "N 69"]
    """Axis-angle of joints 1 to 23."""
    betas: Float64[np.ndarray, "N 10"]
    transl: Float64[np.ndarray, "N 3"]
    """smplx's: ``smplx.SMPL(global_orient, body_pose, betas, transl)`` gives world vertices."""
    joints_world: Float64[np.ndarray, "N 24 3"]
    observed: Bool[np.ndarray, " N"]
    confidence: Float64[np.ndarray, " N"]
    camera_frame: Int64[np.ndarray, " T"]
    K: Float64[np.ndarray, "T 3 3"]
    world_from_cam: Float64[np.ndarray, "T 4 4"]
    camera_island: Int64[np.ndarray, " T"]
    shot_start: Int64[np.ndarray, " S"]
    shot_end: Int64[np.ndarray, " S"]
    fps: Fraction
    body_model: str
    profile: str
    licences: tuple[str, ...]

    @property
    def pose(self) -> Float64[np.ndarray, "N 24 3"]:
        """Global orientation and body pose as one array of axis-angles."""
        return np.concatenate([self.global_orient, self.body_pose], axis=1).reshape(-1, 24, 3)

    @property
    def people(self) -> Int64[np.ndarray, " P"]:
        """Identities, ascending."""
        return np.unique(self.person)

    @property
    def num_islands(self) -> int:
        """Number of worlds that share no space."""
        return int(self.camera_island.max(initial=-1)) + 1

    def rows_of_frames(self) -> dict[int, Int64[np.ndarray, " M"]]:
        """Rows of each frame that has any."""
        order = np.argsort(self.frame, kind="stable")
        frames, first = np.unique(self.frame[order], return_index=True)
        ends = np.append(first, len(order))[1:]
        return {f: order[a:b] for f, a, b in zip(frames.tolist(), first, ends, strict=True)}

    def island_offsets(self) -> Float64[np.ndarray, "I 3"]:
        """Where to shift each island so that all can be shown side by side along +x, metres.

        The first island stays where it is.
        """
        offsets = np.zeros((self.num_islands, 3))
        edge = None
        for island in range(self.num_islands):
            people = self.joints_world[self.island == island][..., 0].reshape(-1)
            cameras = self.world_from_cam[self.camera_island == island][:, 0, 3]
            x = np.concatenate([people, cameras])
            if len(x) == 0:
                continue
            if edge is not None:
                offsets[island, 0] = edge + ISLAND_GAP_M - x.min()
            edge = x.max() + offsets[island, 0]
        return offsets


class _Document(BaseModel):
    """A JSON file that we write and read back; refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CutSummary(_Document):
    """What became of one cut."""

    frame: int
    """First frame of the shot after the cut."""
    status: CutStatus
    reason: str = ""
    """Why it failed; empty where it did not."""
    matched: int
    """People who were aligned as seen on both sides."""
    residual_px: float | None
    """Root mean square reprojection residual of the aligned bodies; null at failed cuts."""


class StageSummary(_Document):
    """What one stage cost: in this run, or in the earlier one that computed it."""

    seconds: float
    peak_rss_mb: float
    cached: bool
    """True where every item was taken from an earlier run."""


class Summary(_Document):
    """`summary.json`."""

    num_frames: int
    num_shots: int
    num_people: int
    num_islands: int
    cuts: tuple[CutSummary, ...]
    stages: Mapping[str, StageSummary]
    seconds_total: float
    peak_rss_mb: float
    warnings: tuple[str, ...]


class PersonScore(_Document):
    """One true person's errors, averaged over the matched frames."""

    true_person: int
    predicted_persons: tuple[int, ...]
    """Identities that this person was given, in order of appearance."""
    switches: int
    frames_visible: int
    frames_matched: int
    w_mpjpe_mm: float | None
    wa_mpjpe_mm: float | None
    mpjpe_mm: float | None
    pa_mpjpe_mm: float | None
    mpvpe_mm: float | None
    accel: float | None


class CutScore(_Document):
    """One true cut."""

    frame: int
    """First frame after the cut."""
    found: bool
    """Whether the result begins a shot there."""
    linkable: bool
    """Whether both sides are one place in truth."""
    linked: bool
    """Whether the result puts both sides into one island."""
    seen_on_both_sides: int
    """True people who are matched in the shot before and in the shot after."""
    identity_switches: int
    rotation_deg: float | None
    """Error of the camera's relative rotation across the cut; null where not linked."""
    translation_m: float | None
    """Error of the camera's relative translation across the cut; null where not linked."""


class IslandScore(_Document):
    """One island's cameras against the truth."""

    island: int
    frames: int
    ate_m: float
    """After one rigid alignment."""
    ate_sim3_m: float
    """After one similarity alignment."""


class Score(_Document):
    """`score.json`: a result against exact truth; `multithumbs.evaluation.score` defines it.

    Null where nothing was there to measure.
    """

    ids: int
    """Identity switches across cuts."""
    w_mpjpe_mm: float | None
    wa_mpjpe_mm: float | None
    mpjpe_mm: float | None
    mpvpe_mm: float | None
    accel: float | None
    """m/s^2."""
    ate_m: float | None
    cut_rotation_deg: float | None
    """The worst linked cut."""
    precision: float | None
    recall: float | None
    pa_mpjpe_mm: float | None
    w_mpjpe_unchunked_mm: float | None
    """W-MPJPE with one chunk: aligned by the sequence's first two frames only."""
    scene_mpjpe_mm: float | None
    """Everyone of a place under one rigid alignment: whether people stand right to each other."""
    jitter: float | None
    """10 m/s^3, of the prediction alone."""
    cut_rotation_mean_deg: float | None
    ids_in_shot: int
    """Identity switches inside a shot."""
    ids_shared: int
    """True people too many that the identities stand for."""
    cuts_missed: int
    cuts_false: int
    cuts_unlinked: int
    """Cuts inside one place whose sides were not put into one island."""
    cuts_wrongly_linked: int
    """Cuts between two places whose sides were put into one island."""
    persons: tuple[PersonScore, ...]
    cuts: tuple[CutScore, ...]
    islands: tuple[IslandScore, ...]
