"""Tables of a benchmark: rows of means with bootstrap intervals, as JSON, CSV and Markdown."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from multithumbs.errors import ArtifactError
from multithumbs.io.atomic import replacing, temporary_sibling, writing

RESAMPLES: Final = 2000
ALL: Final = "all"
"""In place of a scene: the mean over all clips of the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One number of a table. ``lo`` and ``hi`` bound the mean with 95 % (bootstrap over clips)."""

    suite: str
    scene: str
    method: str
    metric: str
    unit: str
    mean: float | None
    lo: float | None
    hi: float | None
    n: int
    """Clips behind it: those that failed, or have nothing to measure, are not among them."""
    note: str = ""
    """Which clips failed, and why; left out of the JSON where none did."""


Case = tuple[str, int, str]
"""Scene, seed and method."""


def table_rows(
    suite: str,
    scores: Mapping[Case, Mapping[str, float | None]],
    failures: Mapping[Case, str],
    units: Mapping[str, str],
) -> list[TableRow]:
    """Means over the seeds of each scene, and over all clips as scene ``all``.

    Args:
        suite: name of the suite.
        scores: every finished case's metrics.
        failures: why the others have none.
        units: of the metrics, in the table's order.
    """
    cases = [*scores, *failures]
    scenes = list(dict.fromkeys(scene for scene, _, _ in cases))
    methods = list(dict.fromkeys(method for _, _, method in cases))
    rows = []
    for scene in [*scenes, ALL]:
        for method in methods:
            mine = [c for c in cases if c[2] == method and scene in (c[0], ALL)]
            if not mine:
                continue
            failed = [f"{c[0]}/{c[1]}: {failures[c]}" for c in mine if c in failures]
            for metric, unit in units.items():
                found = [scores[c].get(metric) for c in mine if c in scores]
                values = np.array([v for v in found if v is not None], np.float64)
                mean, lo, hi = bootstrap_mean(values)
                rows.append(
                    TableRow(
                        suite=suite, scene=scene, method=method, metric=metric, unit=unit,
                        mean=mean, lo=lo, hi=hi, n=len(values), note="; ".join(failed),
                    )
                )  # fmt: skip
    return rows


def bootstrap_mean(
    values: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float | None, float | None, float | None]:
    """Mean and the 2.5 % and 97.5 % points of resampled means; None where there is no value."""
    if not len(values):
        return None, None, None
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (resamples, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def check_writable(folder: Path) -> None:
    """Make the folder that a long run will write to, before it begins.

    Raises ArtifactError where nothing can be written there.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = temporary_sibling(folder / "table.json")
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)


def save_tables(rows: Sequence[TableRow], folder: Path, header: str = "") -> None:
    """Write ``table.json``, ``table.csv`` and ``table.md``; ArtifactError where it cannot be."""
    records = [asdict(row) for row in rows]
    told = [{k: v for k, v in record.items() if k != "note" or v} for record in records]
    with replacing(folder / "table.json") as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    with (
        replacing(folder / "table.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(TableRow.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(records)
    with replacing(folder / "table.md") as temporary:
        temporary.write_text(header + markdown(rows), encoding="utf-8")


def load_rows(path: Path) -> list[TableRow]:
    """Rows of a ``table.json``. Raises ArtifactError where it is missing or something else."""
    try:
        return [TableRow(**record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} is no table: expected one that `multithumbs bench` wrote; run it again"
        ) from error


def markdown(rows: Sequence[TableRow], metrics: Sequence[str] | None = None) -> str:
    """One table per suite and scene, ``all`` first; methods down, metrics across."""
    parts = []
    suites = list(dict.fromkeys(row.suite for row in rows))
    for suite in suites:
        scenes = list(dict.fromkeys(row.scene for row in rows if row.suite == suite))
        for scene in sorted(scenes, key=lambda name: name != ALL):
            mine = [row for row in rows if (row.suite, row.scene) == (suite, scene)]
            names = [
                n for n in dict.fromkeys(row.metric for row in mine)
                if metrics is None or n in metrics
            ]  # fmt: skip
            units = {row.metric: row.unit for row in mine}
            clips = max(row.n for row in mine)
            parts.append(f"### {suite}: {scene} ({clips} clips)\n\n")
            parts.append("| method | " + " | ".join(f"{n} [{units[n]}]" for n in names) + " |\n")
            parts.append("|---|" + "---:|" * len(names) + "\n")
            cells = {(row.method, row.metric): row for row in mine}
            for method in dict.fromkeys(row.method for row in mine):
                values = [_cell(cells.get((method, name)), clips) for name in names]
                parts.append(f"| {method} | " + " | ".join(values) + " |\n")
            notes = list(dict.fromkeys(f"{r.method}: {r.note}" for r in mine if r.note))
            parts.append("\n" + "".join(f"- failed: {note}\n" for note in notes))
    return "".join(parts)


def _cell(row: TableRow | None, clips: int) -> str:
    if row is None or row.mean is None or row.lo is None or row.hi is None:
        return "–"
    few = f" (n={row.n})" if row.n < clips else ""
    if row.hi == row.lo:
        return f"{_short(row.mean)}{few}"
    return f"{_short(row.mean)} [{_short(row.lo)}, {_short(row.hi)}]{few}"


def _short(value: float) -> str:
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
