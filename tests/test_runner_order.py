"""In which order stages run, what counts for their keys, and what their items share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from multithumbs.config.compose import load_config
from multithumbs.errors import ConfigError
from multithumbs.pipeline import STAGES
from multithumbs.runner import Over, Stage
from multithumbs.runner import configured as configured_stages
from multithumbs.types.work import Work

from .test_runner import CALLS, TABLE, FakeConfig, Numbers, configured, joint, run, sign


class Reads(FakeConfig):
    """A configuration that says itself what its stage reads."""

    name: str = "own"
    reads: tuple[str, ...] = ()


ORDERS = (
    *TABLE[:2],
    Stage(name="early", run=sign, artifact=Numbers, over=Over.SHOT, reads=("signal",)),
    Stage(name="late", run=sign, artifact=Numbers, over=Over.SHOT, reads=("early",)),
    Stage(name="joint", run=joint, artifact=Numbers, over=Over.CUT, reads=("signal",)),
)


def order(**configs: FakeConfig) -> list[str]:
    return [stage.name for stage in configured_stages(ORDERS, SimpleNamespace(**configs))]


def test_stages_come_as_early_as_their_configuration_allows() -> None:
    assert order() == ["shots", "signal", "early", "late", "joint"]
    late_first = order(early=Reads(reads=("late",)), late=Reads(reads=("signal",)))
    assert late_first == ["shots", "signal", "late", "early", "joint"]
    assert order(early=Reads(reads=("late",)), late=Reads(reads=())) == late_first
    chosen = configured_stages(ORDERS, SimpleNamespace(early=Reads(reads=())))
    assert [stage.reads for stage in chosen][2:] == [(), ("early",), ("signal",)]


def test_back_ends_that_wait_for_one_another_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        order(early=Reads(reads=("late",)))
    assert str(caught.value).startswith("early=own needs late first, late needs early first: none")
    with pytest.raises(ConfigError, match="late=own needs late first: none"):
        order(late=Reads(reads=("late",)))
    with pytest.raises(ConfigError, match="early=own works shot by shot and reads joint"):
        order(early=Reads(reads=("joint",)))
    with pytest.raises(ValueError, match="no stage"):
        order(early=Reads(reads=("nothing",)))


def test_the_runner_follows_the_configured_reads(tmp_path: Path) -> None:
    def first(work: Work[FakeConfig], *, signal: Numbers | None = None, **_: Any) -> Numbers:
        CALLS.append("first")
        return Numbers(values=np.zeros(0) if signal is None else signal.values, note="")

    stages = (
        TABLE[0],
        Stage(name="sign", run=first, artifact=Numbers, over=Over.SHOT),
        TABLE[1],
    )
    outcome, calls = run(tmp_path, stages)
    assert calls[:2] == ["shots", "first"]
    config = SimpleNamespace(shots=FakeConfig(), signal=FakeConfig(), sign=Reads(reads=("signal",)))
    outcome, calls = run(tmp_path, stages, config=config)
    assert calls == ["first"] * 3
    assert list(outcome.finished) == ["shots", "signal", "sign"]
    assert outcome.finished["sign"][0].load().values.tolist() == [0, 1, 2, 3]
    assert run(tmp_path, stages, config=config)[1] == []
    # `until` means the order of this configuration
    assert list(run(tmp_path, stages, config=config, until="signal")[0].finished) == [
        *("shots", "signal")
    ]


def test_the_size_of_batches_is_no_part_of_a_key(tmp_path: Path) -> None:
    class Fast(FakeConfig):
        batch: int = 8
        compile: bool = False

    run(tmp_path, config=configured(sign=Fast()))
    fields = {"batch": 4, "compile": True}
    assert run(tmp_path, config=configured(sign=Fast(**fields)))[1] == []


def test_the_body_counts_where_the_configuration_says_so(tmp_path: Path) -> None:
    class Posed(FakeConfig):
        uses_body: bool = False

    for posed in (False, True):
        config = configured(sign=Posed(uses_body=posed))
        run(tmp_path, config=config)
        calls = run(tmp_path, config=config, body_sha256="another")[1]
        assert calls == ["sign"] * (3 if posed else 0)


@pytest.mark.parametrize("intrinsics", ["assumed", "people"])
@pytest.mark.parametrize("bodies", ["fit", "hmr2"])
@pytest.mark.parametrize("keypoints", ["blazepose", "vitpose"])
@pytest.mark.parametrize("masks", ["blazepose", "sam"])
def test_every_mixture_of_who_waits_for_whom_can_begin(
    intrinsics: str, bodies: str, keypoints: str, masks: str
) -> None:
    words = (f"{intrinsics=!s}", f"{bodies=!s}", f"{keypoints=!s}", f"{masks=!s}")
    config = load_config(["profile=paper", *words])
    ordered = configured_stages(STAGES, config)
    names = [stage.name for stage in ordered]
    assert sorted(names) == sorted(stage.name for stage in STAGES)
    assert names[-1] == STAGES[-1].name
    for place, stage in enumerate(ordered):
        assert set(stage.reads) <= set(names[:place])


def test_items_share_what_their_stage_keeps(tmp_path: Path) -> None:
    made: list[object] = []

    def kept(work: Work[FakeConfig], **_: Any) -> Numbers:
        first = work.kept.get("network", lambda: made.append(work) or len(made))
        return Numbers(values=np.array([float(first)]), note="")

    stages = (
        TABLE[0],
        Stage(name="signal", run=kept, artifact=Numbers, over=Over.SHOT),
        Stage(name="sign", run=kept, artifact=Numbers, over=Over.SHOT),
    )
    outcome, _ = run(tmp_path, stages)
    values = [[p.load().values[0] for p in outcome.finished[n]] for n in ("signal", "sign")]
    assert values == [[1, 1, 1], [2, 2, 2]]
    assert len(made) == 2
