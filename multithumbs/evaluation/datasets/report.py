"""Scores of one dataset's sequences as tables, ours beside the paper's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.clip_scores import MORE_IS_BETTER, UNITS
from multithumbs.evaluation.datasets.published import TABLES, PublishedTable
from multithumbs.evaluation.tables import ALL, TableRow, table_rows
from multithumbs.io.atomic import replacing

UNLIKE: Final = (
    "The paper publishes neither its sequences, views and cuts nor the units of Accel, Jitter and "
    "FS: the columns are not measured on equal data."
)


class MethodScores(BaseModel):
    """``scores/<method>.json``: every sequence's metrics of one method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    method: str
    protocol: dict[str, str]
    """What has to be equal for two methods to stand in one table."""
    scores: dict[str, dict[str, float | None]]
    failures: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tables of all methods that were scored alike."""

    rows: list[TableRow]
    text: str
    """Markdown: the paper's tables with a column for each method, and notes."""


def save_scores(scores: MethodScores, folder: Path) -> None:
    """Write ``<method>.json``. Raises ArtifactError where it cannot be written."""
    with replacing(folder / f"{scores.method}.json") as temporary:
        temporary.write_text(scores.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_scores(folder: Path) -> list[MethodScores]:
    """Every method's scores, in the order of their names.

    Raises:
        ArtifactError: a file is damaged or something else.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(MethodScores.model_validate_json(path.read_text(encoding="utf-8")))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} holds no scores; delete it and score again") from error
    return found


def report(mine: MethodScores, others: Sequence[MethodScores]) -> Report:
    """Tables of ``mine`` and of all others of the same dataset and protocol."""
    alike = [
        other for other in others
        if other.method != mine.method
        and (other.dataset, other.protocol) == (mine.dataset, mine.protocol)
    ]  # fmt: skip
    methods = [mine, *alike]
    metrics = [
        metric for metric in UNITS
        if any(m.get(metric) is not None for part in methods for m in part.scores.values())
    ]  # fmt: skip
    rows = table_rows(
        mine.dataset,
        {(s, 0, part.method): part.scores[s] for part in methods for s in part.scores},
        {(s, 0, part.method): why for part in methods for s, why in part.failures.items()},
        {metric: UNITS[metric] for metric in metrics},
    )
    parts = [
        _beside(table, rows, [part.method for part in methods])
        for table in TABLES
        if table.dataset == mine.dataset
    ]
    if parts:
        parts.append(UNLIKE + "\n")
    else:
        parts.append(f"The paper has no numbers of {mine.dataset}; Tables 1 to 4 do not apply.\n")
    unlike = [o.method for o in others if o.method != mine.method and o not in alike]
    notes = [f"{part.method}: {note}" for part in methods for note in part.notes]
    notes += [f"{method} was scored otherwise and is left out" for method in unlike]
    notes += [
        f"{part.method} failed on {name}: {why}"
        for part in methods
        for name, why in part.failures.items()
    ]
    parts.append("".join(f"- {note}\n" for note in notes))
    return Report(rows=rows, text="\n".join(part for part in parts if part))


def _beside(table: PublishedTable, rows: Sequence[TableRow], methods: Sequence[str]) -> str:
    """Metrics down, published methods across, ours last."""
    ours = {(r.method, r.metric): r for r in rows if r.scene == ALL}
    names = [*table.methods, *(_named(method) for method in methods)]
    lines = [f"### Table {table.number} ({table.title}): {table.dataset}\n"]
    lines.append("| metric [our unit] | " + " | ".join(names) + " |")
    lines.append("|---|" + "---:|" * len(names))
    for at, metric in enumerate(table.metrics):
        arrow = "up" if metric in MORE_IS_BETTER else "down"
        cells = [_number(values[at]) for values in table.methods.values()]
        cells += [_own(ours.get((method, metric))) for method in methods]
        lines.append(f"| {metric} [{UNITS[metric]}], {arrow} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _named(method: str) -> str:
    return "**ours**" if method == "ours" else f"**{method}, by us**"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _own(row: TableRow | None) -> str:
    if row is None or row.mean is None:
        return "–"
    return f"{row.mean:.2f} (n={row.n})"


def protocol_lines(protocol: Mapping[str, str]) -> str:
    """One line of Markdown that says how a dataset was read."""
    return ", ".join(f"{name} {value}" for name, value in protocol.items() if value)
