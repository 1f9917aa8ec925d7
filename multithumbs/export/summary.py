"""`summary.json`: what happened, for people and for machines."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import replacing
from multithumbs.types import Alignment, Cameras, CutStatus, Odometry
from multithumbs.types.outputs import CutSummary, Result, StageSummary, Summary


def build_summary(
    *,
    result: Result,
    alignments: Sequence[Alignment],
    stages: Mapping[str, StageSummary],
    seconds_total: float,
    peak_rss_mb: float,
    warnings: Sequence[str],
) -> Summary:
    """Count what `Result` holds and describe each cut (`alignments`, in order of the cuts)."""
    return Summary(
        num_frames=len(result.camera_frame),
        num_shots=len(result.shot_start),
        num_people=len(result.people),
        num_islands=result.num_islands,
        cuts=tuple(
            _cut(alignment, int(start))
            for alignment, start in zip(alignments, result.shot_start[1:], strict=True)
        ),
        stages=stages,
        seconds_total=seconds_total,
        peak_rss_mb=peak_rss_mb,
        warnings=tuple(warnings),
    )


def _cut(alignment: Alignment, frame: int) -> CutSummary:
    aligned = alignment.status == CutStatus.ALIGNED
    squared = alignment.residual_px[alignment.pair.reshape(-1)] ** 2
    return CutSummary(
        frame=frame,
        status=alignment.status,
        reason=alignment.reason,
        matched=len(alignment.pair) if aligned else 0,
        residual_px=float(np.sqrt(squared.mean())) if aligned and len(squared) else None,
    )


def collect_warnings(
    *,
    result: Result,
    alignments: Sequence[Alignment],
    odometry: Sequence[Odometry],
    cameras: Cameras,
) -> tuple[str, ...]:
    """One line for each thing a user must know before trusting the numbers."""
    lines = [
        f"cut at frame {start}: the shots share no space ({alignment.reason})"
        for alignment, start in zip(alignments, result.shot_start[1:].tolist(), strict=True)
        if alignment.status == CutStatus.FAILED
    ]
    lines += [f"shot {shot}: {part.warning}" for shot, part in enumerate(odometry) if part.warning]
    lines += [
        f"shot {shot}: the scale of the camera's motion is assumed, not measured"
        for shot, source in enumerate(cameras.scale_source)
        if source == "assumed"
    ]
    empty = sorted(set(range(len(result.shot_start))) - set(result.shot[result.observed].tolist()))
    lines += [f"shot {shot}: nobody was found" for shot in empty]
    return tuple(lines)


def save_summary(summary: Summary, path: Path) -> None:
    """Write `summary.json` atomically. Raises ArtifactError where it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(summary.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_summary(path: Path) -> Summary:
    """Read `summary.json`. Raises ArtifactError where it is missing or not such a file."""
    try:
        return Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"no summary at {path}: expected a file that `multithumbs run` wrote"
        ) from error
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is not a summary ({error.error_count()} wrong fields): run again"
        ) from error
