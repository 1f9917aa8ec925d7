"""`bench`: the cross-shot benchmark's suites and their tables."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from multithumbs.cli.console import answers

if TYPE_CHECKING:
    from multithumbs.evaluation.tables import TableRow


def bench(arguments: argparse.Namespace) -> int:
    """Run one suite, print its table and write it."""
    from multithumbs.bench import oracle, pixels, speed
    from multithumbs.bench.provenance import provenance
    from multithumbs.evaluation.tables import ALL, check_writable, save_tables
    from multithumbs.evaluation.tracking_scores import require_motmetrics

    console = answers()
    report: Callable[[str], None] = console.print
    if arguments.suite == "results":
        from multithumbs.bench.results import write_results

        path = write_results(arguments.tables, arguments.out)
        console.print(f"{path}")
        return 0
    check_writable(arguments.out)
    # The commit of now: the checkout may have moved on when a long run ends.
    if arguments.suite == "speed":
        header = provenance(arguments.suite)
        rows = speed.run_speed(
            cuts=arguments.cuts, most=arguments.rows, device=arguments.device, report=report
        )
    else:
        require_motmetrics()
        suites = {"oracle": oracle.run_oracle, "pixels": pixels.run_pixels}
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        header = provenance(arguments.suite, f"seeds {seeds[0]} to {seeds[-1]}")
        rows = suites[arguments.suite](
            arguments.out,
            scenes=arguments.scenes,
            methods=arguments.methods,
            seeds=seeds,
            report=report,
        )
    save_tables(rows, arguments.out, header=header + "\n\n")
    scenes = list(dict.fromkeys(row.scene for row in rows))
    for scene in [ALL] if ALL in scenes else scenes:
        console.print(_table(arguments.suite, scene, [row for row in rows if row.scene == scene]))
    for note in dict.fromkeys(f"{row.method}: {row.note}" for row in rows if row.note):
        console.print(f"failed: {note}")
    console.print(f"{arguments.out}: table.md, table.csv, table.json")
    return 0


def _table(suite: str, scene: str, rows: "Sequence[TableRow]") -> Table:
    methods = list(dict.fromkeys(row.method for row in rows))
    table = Table("metric", "unit", *methods, title=f"{suite}: {scene}")
    means = {(row.metric, row.method): row.mean for row in rows}
    for metric, unit in dict.fromkeys((row.metric, row.unit) for row in rows):
        found = [means.get((metric, method)) for method in methods]
        table.add_row(metric, unit, *("-" if mean is None else f"{mean:.4g}" for mean in found))
    return table
