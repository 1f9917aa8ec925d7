"""Tables: means, intervals, failures that stay visible."""

import csv
import json

import numpy as np
import pytest

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.tables import (
    bootstrap_mean,
    load_rows,
    markdown,
    save_tables,
    table_rows,
)

SCORES = {
    ("a", 0, "ours"): {"ate": 0.1, "idf1": None},
    ("a", 1, "ours"): {"ate": 0.3, "idf1": 50.0},
    ("b", 0, "ours"): {"ate": 0.8, "idf1": 70.0},
    ("a", 0, "literal"): {"ate": 1.0, "idf1": 60.0},
}
FAILURES = {("a", 1, "literal"): "ValueError: no", ("b", 0, "literal"): "ValueError: no"}


@pytest.fixture
def rows():
    return table_rows("oracle", SCORES, FAILURES, {"ate": "m", "idf1": "%"})


def find(rows, scene, method, metric):
    return next(r for r in rows if (r.scene, r.method, r.metric) == (scene, method, metric))


def test_means_over_seeds_and_over_clips(rows):
    assert find(rows, "a", "ours", "ate").mean == pytest.approx(0.2)
    assert find(rows, "all", "ours", "ate").mean == pytest.approx(0.4)
    assert find(rows, "all", "ours", "idf1").n == 2


def test_a_failed_clip_is_a_smaller_n_and_a_note(rows):
    row = find(rows, "all", "literal", "ate")
    assert (row.n, row.mean) == (1, 1.0)
    assert row.note == "a/1: ValueError: no; b/0: ValueError: no"
    none = find(rows, "b", "literal", "ate")
    assert (none.n, none.mean, none.lo, none.hi) == (0, None, None, None)


def test_the_interval_holds_the_mean_and_is_the_same_every_time():
    values = np.random.default_rng(0).normal(5, 1, 40)
    mean, lo, hi = bootstrap_mean(values)
    assert lo < mean < hi
    # The central limit: 1.96 standard errors to either side.
    assert hi - lo == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.05)
    assert bootstrap_mean(values) == (mean, lo, hi)


def test_files_hold_the_same_rows(rows, tmp_path):
    save_tables(rows, tmp_path, header="where from\n\n")
    assert load_rows(tmp_path / "table.json") == rows
    keys = {"suite", "scene", "method", "metric", "unit", "mean", "lo", "hi", "n"}
    told = {r["method"]: set(r) for r in json.loads((tmp_path / "table.json").read_text())}
    assert told == {"ours": keys, "literal": keys | {"note"}}
    with (tmp_path / "table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    page = (tmp_path / "table.md").read_text()
    assert page.startswith("where from")
    assert "| literal | 1.00 (n=1) |" in page
    assert "failed: literal: a/1: ValueError: no" in page


def test_only_the_metrics_asked_for(rows):
    assert "idf1" not in markdown(rows, ["ate"])


def test_another_file_is_no_table(tmp_path):
    (tmp_path / "table.json").write_text("{}x")
    with pytest.raises(ArtifactError, match="multithumbs bench"):
        load_rows(tmp_path / "table.json")
