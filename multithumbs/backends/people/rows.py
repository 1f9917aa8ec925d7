"""Everyone's rows of all shots, sorted by person and time, in the world of their island."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """``N`` person-frames; a person has at most one row per frame."""

    person: Int64[np.ndarray, " N"]
    frame: Int64[np.ndarray, " N"]
    shot: Int64[np.ndarray, " N"]
    island: Int64[np.ndarray, " N"]
    time_s: Float64[np.ndarray, " N"]
    source: Int64[np.ndarray, " N"]
    """Detection row in the shot; -1 where the row bridges a gap."""
    pose: Float64[np.ndarray, "N 24 3"]
    """Axis-angle; row 0 in the world (from `ground` on: in ``ground``)."""
    betas: Float64[np.ndarray, "N 10"]
    """Equal in all rows of one person."""
    transl: Float64[np.ndarray, "N 3"]
    uv: Float64[np.ndarray, "N 23 2"]
    uv_confidence: Float64[np.ndarray, "N 23"]
    K: Float64[np.ndarray, "N 3 3"]
    cam_from_world: Float64[np.ndarray, "N 4 4"]
    confidence: Float64[np.ndarray, " N"]
    observed: Bool[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.person)

    def take(self, index: np.ndarray) -> "Rows":
        """Some rows, in a new order."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def linked(self) -> Bool[np.ndarray, " N"]:
        """Whether the next row is the same person in the next frame of the same island."""
        out = np.zeros(len(self), bool)
        out[:-1] = (
            (np.diff(self.person) == 0) & (np.diff(self.frame) == 1) & (np.diff(self.island) == 0)
        )
        return out


def concatenate(parts: list[Rows]) -> Rows:
    """All rows of several sets, sorted by person, then frame."""
    joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Rows)}
    rows = Rows(**joined)
    return rows.take(np.lexsort((rows.frame, rows.person)))
