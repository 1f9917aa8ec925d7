"""The pixel suite: what the methods share, what is kept, what fails visibly."""

import pytest

from multithumbs.bench import pixels
from multithumbs.config.compose import load_config
from multithumbs.errors import ConfigError, VideoError
from multithumbs.export.result import save_result
from multithumbs.pipeline import Run
from multithumbs.synth.truth import Truth
from multithumbs.types.outputs import StageSummary, Summary

FOUR = ["ours", "single-shot", "ours-without-cameras", "literal"]


def summary():
    stage = StageSummary(seconds=1.5, peak_rss_mb=1.0, cached=False)
    return Summary(
        num_frames=1, num_shots=1, num_people=1, num_islands=1, cuts=(),
        stages={"shots": stage, "people": stage}, seconds_total=9.0, peak_rss_mb=1.0, warnings=(),
    )  # fmt: skip


class Pipeline:
    """Stands in for `run_video`: notes its calls, answers with a small result."""

    def __init__(self, result):
        self.result, self.calls, self.fails = result, [], set()

    def __call__(self, video, config, *, out, redo=()):
        self.calls.append((config.alignment.name, config.cameras.name, tuple(redo)))
        if config.alignment.name in self.fails:
            raise VideoError("no way")
        folder = out / f"{video.stem}-{pixels.file_sha256(video)[:8]}"
        folder.mkdir(parents=True, exist_ok=True)
        save_result(self.result, folder / "result.npz")
        return Run(folder=folder, summary=summary(), score=None, unchanged=False, seconds=0.1)


@pytest.fixture
def suite(monkeypatch, two_shots):
    """The suite without its work; ``rendered`` counts clips."""
    pipeline = Pipeline(two_shots)
    pipeline.rendered = []

    def render(scene, truth, body, path):
        pipeline.rendered.append(scene.name)
        path.write_bytes(scene.name.encode())

    monkeypatch.setattr(pixels, "run_video", pipeline)
    monkeypatch.setattr(pixels, "render_clip", render)
    monkeypatch.setattr(pixels, "truth_of", lambda scene, body: object.__new__(Truth))
    monkeypatch.setattr(pixels, "clip_scores", lambda result, truth, body: {"ate": 0.25})
    monkeypatch.setattr(pixels, "score", lambda result, truth, body: Precise())
    return pipeline


class Precise:
    precision = 0.5


def run(out, **choice):
    return pixels.run_pixels(out, scenes=["zoom"], **({"methods": FOUR} | choice))


def means(rows, method):
    return {r.metric: r.mean for r in rows if (r.scene, r.method) == ("all", method)}


def test_methods_share_a_folder_and_neighbours_their_stages(suite, tmp_path):
    rows = run(tmp_path)
    assert suite.rendered == ["zoom"]
    assert suite.calls == [
        ("lm", "pose_graph", ()),
        ("lm", "literal", ()),
        ("lm", "pose_graph", ()),
        ("adamw", "literal", ()),
    ]
    assert len(list((tmp_path / "runs").iterdir())) == 1
    for method in FOUR:
        found = means(rows, method)
        assert (found["ate"], found["precision"]) == (0.25, 50.0)
        assert found["seconds"] == 3.0, "what the stages took, whichever run computed them"


def test_what_is_done_is_not_done_again(suite, tmp_path):
    first = run(tmp_path, methods=["ours"])
    assert means(run(tmp_path, methods=["ours"]), "ours") == means(first, "ours")
    assert len(suite.calls) == 1
    run(tmp_path, methods=["ours", "literal"])
    assert [call[0] for call in suite.calls] == ["lm", "adamw"]
    assert suite.rendered == ["zoom"]


@pytest.mark.parametrize(
    ("changed", "redone"),
    [("perception", ("all",)), ("cross_shot", pixels._CROSS_SHOT)],
)
def test_stages_of_changed_code_are_computed_anew_once(
    suite, tmp_path, monkeypatch, changed, redone
):
    run(tmp_path)
    suite.calls.clear()
    code = pixels._code().model_copy(update={changed: "other"})
    monkeypatch.setattr(pixels, "_code", lambda: code)
    run(tmp_path)
    assert [call[2] for call in suite.calls] == [redone, (), (), ()]


def test_a_redo_that_was_interrupted_begins_again(suite, tmp_path, monkeypatch):
    run(tmp_path, methods=["ours"])
    suite.calls.clear()
    code = pixels._code().model_copy(update={"perception": "other"})
    monkeypatch.setattr(pixels, "_code", lambda: code)
    with monkeypatch.context() as patch:

        def killed(*arguments, **named):
            raise KeyboardInterrupt

        patch.setattr(pixels, "run_video", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, methods=["ours"])
    run(tmp_path, methods=["ours"])
    assert [call[2] for call in suite.calls] == [("all",)]


def test_code_is_told_apart_by_the_stages_that_follow_from_it():
    names = {path.relative_to(pixels._ROOT).as_posix() for path in pixels._ROOT.rglob("*.py")}
    for prefix in (*pixels._JUDGED_BY, *pixels._CROSS_SHOT_CODE):
        assert any(name.startswith(prefix) for name in names), f"{prefix} names no code"


def test_a_failed_case_is_a_row_with_a_note(suite, tmp_path):
    suite.fails = {"adamw"}
    rows = run(tmp_path, methods=["ours", "literal"])
    assert means(rows, "literal")["ate"] is None
    assert {r.note for r in rows if r.method == "literal"} == {"zoom/0: VideoError: no way"}
    assert means(rows, "ours")["ate"] == 0.25


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no scene 'dialog'; expected dialogue"):
        pixels.run_pixels(tmp_path, scenes=["dialog"])
    with pytest.raises(ConfigError, match=r"no method 'mine'; expected ours"):
        pixels.run_pixels(tmp_path, methods=["mine"])


def test_every_method_is_a_configuration_and_has_its_turn():
    assert set(pixels._ORDER) == set(pixels.METHODS)
    found = {name: load_config([*overrides]) for name, overrides in pixels.METHODS.items()}
    assert found["ours-without-alignment"].alignment.stages == ()
    assert not found["ours-without-post"].people.refine
    assert found["single-shot"].people.gather.sizes is None
    assert found["reid-distance"].identities.pose_weight == 0
    assert found["reid-distance-pose"].identities.pose_weight > 0
