"""The page of results: suites from several folders, origins told, gaps refused."""

import pytest

from multithumbs.bench.results import write_results
from multithumbs.errors import ArtifactError
from multithumbs.evaluation.tables import save_tables, table_rows


def run(folder, method, value, *, suite="oracle", scene="zoom", seeds="seeds 1 to 1"):
    rows = table_rows(suite, {(scene, 1, method): {"ids": value}}, {}, {"ids": "count"})
    save_tables(rows, folder, header=f"{seeds}, made at {folder.name}\n\n")
    return folder


def test_methods_of_one_suite_that_were_run_apart_share_a_table(tmp_path):
    literal = run(tmp_path / "first", "literal", 4.0)
    ours = run(tmp_path / "second", "ours", 1.0)
    speed = run(tmp_path / "third", "lm", 2.0, suite="speed")
    page = write_results([literal, ours, speed], tmp_path / "results.md").read_text()
    assert page.count("## oracle\n") == page.count("## speed\n") == 1
    assert (
        "- `literal`: seeds 1 to 1, made at first\n- `ours`: seeds 1 to 1, made at second\n" in page
    )
    both = page.split("### oracle: zoom (1 clips)")[1].split("##")[0]
    assert [line.split(" |")[0] for line in both.splitlines() if line.startswith("| ")] == [
        "| method", "| ours", "| literal",
    ]  # fmt: skip
    assert "| ours | 1.00 |" in both
    assert "| literal | 4.00 |" in both


def test_a_method_that_was_run_again_replaces_its_earlier_rows(tmp_path):
    before = [run(tmp_path / "first", "ours", 4.0), run(tmp_path / "second", "literal", 5.0)]
    again = run(tmp_path / "third", "ours", 1.0)
    page = write_results([*before, again], tmp_path / "results.md").read_text()
    assert "made at first" not in page
    assert (
        "- `ours`: seeds 1 to 1, made at third\n- `literal`: seeds 1 to 1, made at second\n" in page
    )
    assert "| ours | 1.00 |" in page
    assert "4.00" not in page


@pytest.mark.parametrize("other", [{"scene": "crowd"}, {"seeds": "seeds 1 to 2"}])
def test_means_over_other_clips_are_not_put_side_by_side(tmp_path, other):
    ours = run(tmp_path / "first", "ours", 1.0)
    literal = run(tmp_path / "second", "literal", 4.0, **other)
    with pytest.raises(ArtifactError, match="different clips"):
        write_results([ours, literal], tmp_path / "results.md")
    whole = run(tmp_path / "third", "ours", 1.0, **other)
    assert write_results([ours, literal, whole], tmp_path / "results.md").is_file()


def test_a_folder_that_is_no_whole_table_is_refused(tmp_path):
    folder = run(tmp_path / "run", "ours", 1.0)
    (folder / "table.md").unlink()
    with pytest.raises(ArtifactError, match="run the suite again"):
        write_results([folder], tmp_path / "results.md")
    with pytest.raises(ArtifactError, match="no table"):
        write_results([tmp_path], tmp_path / "results.md")
    assert not (tmp_path / "results.md").exists()
