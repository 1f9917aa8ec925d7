"""Every sequence of a dataset: read, predicted by whoever, scored; failures do not stop it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from multithumbs.errors import ConfigError, MultithumbsError
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.registry import Dataset, load_sequence
from multithumbs.evaluation.datasets.scoring import Prediction, Sights, scores_of
from multithumbs.evaluation.datasets.sequence import EvalSequence
from multithumbs.evaluation.tracking_scores import require_motmetrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out, by sequence."""

    scores: dict[str, dict[str, float | None]]
    failures: dict[str, str]
    notes: tuple[str, ...]


Predict = Callable[[EvalSequence], tuple[Prediction, Sights | None]]


def chosen(found: Mapping[str, Path], pattern: str, limit: int | None) -> dict[str, Path]:
    """Sequences whose name matches a glob, the first ``limit`` of them.

    Raises:
        ConfigError: none matches.
    """
    names = [name for name in found if fnmatch(name, pattern)][:limit]
    if not names:
        some = ", ".join(list(found)[:3])
        raise ConfigError(
            f"no sequence is called '{pattern}'; there are {len(found)}, such as {some}"
        )
    return {name: found[name] for name in names}


def evaluate(
    dataset: Dataset,
    sequences: Mapping[str, Path],
    options: Options,
    predict: Predict,
    say: Callable[[str], None],
) -> Evaluation:
    """Score every sequence.

    Args:
        dataset: which.
        sequences: what `Dataset.find` found, or a part of it.
        options: how they are read.
        predict: the result of a sequence, and a detector's 2D keypoints where there are any.
        say: told what happens.
    """
    scores: dict[str, dict[str, float | None]] = {}
    failures: dict[str, str] = {}
    notes: dict[str, None] = {}
    for number, (name, path) in enumerate(sequences.items(), start=1):
        say(f"sequence {number} of {len(sequences)}: {name}")
        try:
            sequence = load_sequence(dataset, name, path, options)
            if sequence.truth is not None:
                require_motmetrics()
            prediction, sights = predict(sequence)
            scores[name] = scores_of(prediction, sequence, sights)
        except MultithumbsError as error:
            failures[name] = " ".join(str(error).split())
            say(f"{name} failed: {failures[name]}")
            continue
        except Exception as error:
            logger.exception("unexpected failure in %s", name)
            failures[name] = f"bug: {type(error).__name__}: {error}"
            continue
        notes |= dict.fromkeys(_notes(sequence, prediction, sights))
    return Evaluation(scores=scores, failures=failures, notes=tuple(notes))


def _notes(sequence: EvalSequence, prediction: Prediction, sights: Sights | None) -> list[str]:
    notes = [sequence.note] if sequence.note else []
    if sequence.truth is None:
        if sights is None:
            notes.append(
                "PCK* is left out: it needs 2D keypoints; run our pipeline on these videos first, "
                "with the same --out"
            )
        return notes
    if not prediction.is_smpl:
        notes.append(
            "MPVPE is left out: the result's body is not SMPL, its vertices are not comparable "
            "(ours: add body_model=smpl); joints are of its own skeleton"
        )
    elif not sequence.truth.has_vertices:
        notes.append(
            "MPVPE is left out: the truth is of men's and women's SMPL bodies, which were not "
            "given (--male, --female)"
        )
    return notes
