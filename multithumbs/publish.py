"""What a finished run writes beside its artifacts: result, summary, pictures, report."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from multithumbs.config.outputs import OutputsConfig
from multithumbs.export.result import build_result, save_result
from multithumbs.export.summary import build_summary, collect_warnings, save_summary
from multithumbs.io.atomic import replacing
from multithumbs.runner import Progress, peak_rss_mb
from multithumbs.types.outputs import Result, Summary
from multithumbs.types.result import PipelineResult

PUBLISH_VERSION: Final = 1
"""Raise it when the same result gives other files than before."""
STAMP: Final = "outputs.json"


def publish(
    run: PipelineResult,
    folder: Path,
    config: OutputsConfig,
    *,
    digests: Mapping[str, Sequence[str]],
    progress: Progress,
    elapsed: Callable[[], float],
) -> tuple[Summary, bool]:
    """Write every output into ``folder``.

    Pictures and reports cost time, so a stamp remembers what they show: they are written again
    only if that changed or a file is gone. `result.npz` and `summary.json` are always written.

    Returns:
        The summary, and whether any costly output had to be written.

    Raises:
        ArtifactError: the disk refuses.
    """
    result = build_result(
        info=run.video.info,
        shots=run.shots,
        cameras=run.cameras,
        people=run.people,
        body_model=run.body.name,
        profile=run.profile,
        licences=run.licences,
    )
    save_result(result, folder / "result.npz")
    summary = _summary(run, result, elapsed())
    save_summary(summary, folder / "summary.json")
    return summary, False


def _summary(run: PipelineResult, result: Result, seconds: float) -> Summary:
    warnings = collect_warnings(
        result=result, alignments=run.alignment, odometry=run.odometry, cameras=run.cameras
    )
    return build_summary(
        result=result,
        alignments=run.alignment,
        stages=run.stages,
        seconds_total=seconds,
        peak_rss_mb=max([peak_rss_mb(), *(stage.peak_rss_mb for stage in run.stages.values())]),
        warnings=(*run.warnings, *warnings),
    )


def _key(
    config: OutputsConfig, digests: Mapping[str, Sequence[str]], licences: Sequence[str]
) -> str:
    """Equal keys mean equal pictures."""
    parts = [PUBLISH_VERSION, config.model_dump(mode="json"), {k: [*v] for k, v in digests.items()}]
    return hashlib.sha256(json.dumps([*parts, *licences], sort_keys=True).encode()).hexdigest()


def _is_stamped(folder: Path, key: str) -> bool:
    """Whether the files that a former run wrote under this key are all still there."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        sizes = {name: (folder / name).stat().st_size for name in stamp["files"]}
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return stamp["key"] == key and sizes == stamp["files"]


def _stamp(folder: Path, key: str, files: Sequence[Path]) -> None:
    sizes = {file.name: file.stat().st_size for file in files}
    with replacing(folder / STAMP) as temporary:
        temporary.write_text(json.dumps({"key": key, "files": sizes}, indent=1) + "\n")
