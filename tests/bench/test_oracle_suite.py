"""The oracle suite: methods on real stages, what is kept, what fails visibly."""

from dataclasses import replace

import numpy as np
import pytest

from multithumbs.bench import oracle
from multithumbs.bench.geometry import align, solve
from multithumbs.bench.methods import METHODS
from multithumbs.body import EMBEDDED_BODY, load_body
from multithumbs.errors import ConfigError
from multithumbs.evaluation.clip_scores import UNITS, clip_scores
from multithumbs.synth.clip_oracle import ClipOracle, make_clip_oracle
from multithumbs.synth.suite_scenes import suite_scene
from multithumbs.types import CutStatus


@pytest.fixture(scope="module")
def places():
    body = load_body(EMBEDDED_BODY)
    return body, make_clip_oracle(body, suite_scene("change-of-place", 1), 1)


def test_one_place_is_linked_and_another_is_not(places):
    body, clip = places
    inside = align(METHODS["ours"], clip, 0, body)
    assert inside.status is CutStatus.ALIGNED
    before, after = (
        [
            int(clip.truth.person[clip.perceived[side].truth_row[inside.row[p]]])
            for p in inside.pair[:, side]
        ]
        for side in range(2)
    )
    assert before == after
    assert sorted(before) == [0, 1]
    elsewhere = align(METHODS["ours"], clip, 1, body)
    assert elsewhere.status is CutStatus.FAILED
    assert "one place" in elsewhere.reason
    # As printed, nothing asks whether the two frames are of one place.
    alone = align(METHODS["ours-without-alignment"], clip, 1, body)
    assert alone.status is CutStatus.ALIGNED


def test_a_background_that_fits_by_chance_is_no_evidence(places):
    body, _ = places
    clip = make_clip_oracle(body, suite_scene("change-of-place", 46), 46)
    method = METHODS["ours"]
    believer = replace(
        method, alignment=method.alignment.model_copy(
            update={"together": method.alignment.together.model_copy(update={"min_overlap": 0.2})}
        ),
    )  # fmt: skip
    assert align(believer, clip, 1, body).status is CutStatus.ALIGNED
    assert align(method, clip, 1, body).status is CutStatus.FAILED


def test_a_pair_is_tried_without_the_wrong_one_beside_it(places):
    """Both runners of one kit are paired with the wrong one beside the right one in every
    hypothesis: together no camera explains them."""
    body, _ = places
    clip = make_clip_oracle(body, suite_scene("sports", 22), 22)
    found = align(METHODS["ours"], clip, 0, body)
    assert found.status is CutStatus.ALIGNED
    before, after = (
        int(clip.truth.person[clip.perceived[side].truth_row[found.row[found.pair[0, side]]]])
        for side in range(2)
    )
    assert before == after
    cut = int(clip.shots.start[1])
    true, seen = (
        frame[0, :3, :3].T @ frame[1, :3, :3]
        for frame in (clip.truth.world_from_cam[cut - 1 : cut + 1], found.scene_from_cam)
    )
    assert np.trace(true.T @ seen) > 1 + 2 * np.cos(np.radians(5)), "the camera turns as it did"


def test_someone_whom_one_side_misses_is_no_objection(places):
    body, _ = places
    clip = make_clip_oracle(body, suite_scene("dialogue", 11), 11)
    found = align(METHODS["ours"], clip, 1, body)
    assert found.status is CutStatus.ALIGNED
    assert len(found.pair) == 1
    assert found.side.tolist().count(0) == found.side.tolist().count(1) == 2


@pytest.mark.slow
def test_the_cross_shot_step_is_what_makes_one_world(places):
    body, clip = places
    found = {
        name: clip_scores(solve(METHODS[name], clip, body), clip.truth, body)
        for name in ("ours", "single-shot")
    }
    assert found["ours"].keys() == UNITS.keys()
    assert found["ours"]["w_mpjpe"] < 0.5 * found["single-shot"]["w_mpjpe"]
    assert found["ours"]["ate"] < 0.5 * found["single-shot"]["ate"]
    assert found["ours"]["cuts_wrongly_linked"] == 0
    assert found["ours"]["cuts_unlinked"] == 0
    assert found["single-shot"]["cuts_unlinked"] == 1
    assert found["single-shot"]["pck_world"] == 0


class Solver:
    """Stands in for `solve`: answers from a list, counts its calls."""

    def __init__(self, answers):
        self.answers, self.calls = answers, 0

    def __call__(self, method, clip, body):
        self.calls += 1
        answer = self.answers[method.name]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def suite(monkeypatch, two_shots):
    """The suite without its work."""
    solver = Solver({"ours": two_shots, "literal": ValueError("no way")})
    monkeypatch.setattr(oracle, "solve", solver)

    clip = object.__new__(ClipOracle)
    object.__setattr__(clip, "truth", None)
    monkeypatch.setattr(oracle, "make_clip_oracle", lambda body, scene, seed: clip)
    monkeypatch.setattr(oracle, "clip_scores", lambda result, truth, body: {"ate": 0.25})
    return solver


def run(out, **choice):
    return oracle.run_oracle(out, scenes=["zoom"], seeds=range(2), **choice)


def test_a_failed_case_is_a_row_with_a_note(suite, tmp_path):
    rows = run(tmp_path, methods=["ours", "literal"])
    ours, literal = (
        next(r for r in rows if (r.scene, r.method, r.metric) == ("all", name, "ate"))
        for name in ("ours", "literal")
    )
    assert (ours.n, ours.mean, ours.note) == (2, 0.25, "")
    assert (literal.n, literal.mean) == (0, None)
    assert "no way" in literal.note
    assert {r.unit for r in rows if r.metric == "ate"} == {"m"}


def test_what_is_done_is_not_done_again(suite, tmp_path, monkeypatch):
    first = run(tmp_path, methods=["ours"])
    assert suite.calls == 2
    again = run(tmp_path, methods=["ours"])
    assert suite.calls == 2
    ate = [[r.mean for r in rows if r.metric == "ate"] for rows in (first, again)]
    np.testing.assert_array_equal(ate[0], ate[1])
    monkeypatch.setattr(oracle, "_key", lambda case, method, body: "other code")
    run(tmp_path, methods=["ours"])
    assert suite.calls == 4


def test_what_failed_is_tried_again(suite, tmp_path):
    run(tmp_path, methods=["literal"])
    run(tmp_path, methods=["literal"])
    assert suite.calls == 4


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no scene 'dialog'; expected dialogue"):
        oracle.run_oracle(tmp_path, scenes=["dialog"])
    with pytest.raises(ConfigError, match=r"no method 'mine'; expected ours"):
        oracle.run_oracle(tmp_path, methods=["mine"])
