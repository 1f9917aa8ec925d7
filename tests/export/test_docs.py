"""The Python in `docs/result.md` runs as printed."""

import re
from pathlib import Path

import numpy as np

from multithumbs.export.result import save_result

PAGE = Path(__file__).parents[2] / "docs" / "result.md"


def test_every_block_runs_on_a_result(two_shots, tmp_path, monkeypatch, capsys):
    save_result(two_shots, tmp_path / "result.npz")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert "{0: 24, 1: 24}" in capsys.readouterr().out
    assert np.isfinite(names["uv"]).all()
    np.testing.assert_allclose(
        names["vertices"].mean(0), two_shots.joints_world[0].mean(0), atol=0.3
    )


def test_every_array_is_documented(two_shots, tmp_path):
    save_result(two_shots, tmp_path / "result.npz")
    page = PAGE.read_text()
    with np.load(tmp_path / "result.npz") as archive:
        missing = [name for name in archive.files if f"`{name}`" not in page]
    assert missing == []
