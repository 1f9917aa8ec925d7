"""Tracking scores against second implementations, on random sequences.

HOTA, which is TrackEval's, against its definition written out; IDF1 and MOTA, which are
motmetrics', against TrackEval's. Nothing here is skipped: the dev environment of
``scripts/environment.sh`` has both.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from trackeval.metrics import CLEAR, Identity

from multithumbs.evaluation import tracking_scores
from multithumbs.evaluation.matching import GATE
from multithumbs.evaluation.tracking_scores import (
    FramePeople,
    clear_and_identity,
    higher_order,
    trackeval_sequence,
)

SEEDS = range(12)


def random_frames(seed, nearest=0.1):
    """People who are missed, invented, swapped, renamed at a cut and found a little off; all
    others are at least ``nearest`` away."""
    rng = np.random.default_rng(seed)
    people, length = int(rng.integers(1, 7)), int(rng.integers(5, 60))
    names = 10 + rng.permutation(people)
    frames = []
    for t in range(length):
        if t == length // 2:  # a cut: some get new names, some get each other's
            names = rng.permutation(np.where(rng.random(people) < 0.3, names + 100, names))
        true_id = np.flatnonzero(rng.random(people) < 0.9)
        seen = true_id[rng.random(len(true_id)) < 0.8]
        invented = 1000 + np.arange(rng.integers(0, 3))
        predicted_id = np.concatenate([names[seen], invented])
        distance = rng.uniform(nearest, 1.5, (len(true_id), len(predicted_id)))
        distance[rng.random(distance.shape) < 0.2] = np.inf
        at = np.searchsorted(true_id, seen), np.arange(len(seen))
        distance[at] = rng.gamma(1.5, 0.06, len(seen))
        order = rng.permutation(len(predicted_id))
        frames.append(
            FramePeople(
                true_id=true_id, predicted_id=predicted_id[order], distance=distance[:, order]
            )
        )
    return frames


def hota_written_out(frames):
    """HOTA, DetA, AssA by Eq. 4 to 9 of Luiten et al. 2021 and their section 9 on matching."""
    seen, named, together = Counter(), Counter(), Counter()
    similar = [np.maximum(1 - f.distance / (2 * GATE), 0) for f in frames]
    for f, similarity in zip(frames, similar, strict=True):
        seen.update(f.true_id.tolist())
        named.update(f.predicted_id.tolist())
        for i, p in enumerate(f.true_id.tolist()):
            for j, q in enumerate(f.predicted_id.tolist()):
                if similarity[i, j] > 0:
                    rest = similarity[i].sum() + similarity[:, j].sum() - similarity[i, j]
                    together[p, q] += similarity[i, j] / rest
    alpha_scores = []
    for alpha in np.linspace(0.05, 0.95, 19):
        hits = Counter()
        for f, similarity in zip(frames, similar, strict=True):
            true, predicted = f.true_id.tolist(), f.predicted_id.tolist()
            gain = np.zeros(similarity.shape)
            for i, p in enumerate(true):
                for j, q in enumerate(predicted):
                    both = together[p, q]
                    gain[i, j] = similarity[i, j] * both / (seen[p] + named[q] - both)
            for i, j in zip(*linear_sum_assignment(-gain), strict=True):
                if similarity[i, j] >= alpha - 1e-12:
                    hits[true[i], predicted[j]] += 1
        tp = sum(hits.values())
        det = tp / (sum(seen.values()) + sum(named.values()) - tp)
        ass = sum(n * n / (seen[p] + named[q] - n) for (p, q), n in hits.items()) / max(tp, 1)
        alpha_scores.append((np.sqrt(det * ass), det, ass))
    return 100 * np.mean(alpha_scores, axis=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_hota_is_as_defined(seed):
    frames = random_frames(seed)
    np.testing.assert_allclose(_hota(frames), hota_written_out(frames), rtol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_idf1_is_the_same_in_both_libraries(seed):
    frames = random_frames(seed)
    found = Identity({"PRINT_CONFIG": False}).eval_sequence(trackeval_sequence(frames))
    assert clear_and_identity(frames)[0] == pytest.approx(100 * found["IDF1"], rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_mota_is_the_same_in_both_libraries(seed):
    # With several within the gate they differ by design: after a gap motmetrics keeps a pair,
    # TrackEval takes the nearest. Its threshold of 0.5 is our gate.
    frames = random_frames(seed, nearest=GATE + 0.01)
    found = CLEAR({"PRINT_CONFIG": False}).eval_sequence(trackeval_sequence(frames))
    assert clear_and_identity(frames)[1] == pytest.approx(100 * found["MOTA"], rel=1e-9)


def test_the_sequences_try_what_the_scores_are_about():
    values = np.array([(*clear_and_identity(f), *_hota(f)) for f in map(random_frames, SEEDS)])
    assert (np.ptp(values, axis=0) > 10).all() and (values < 99).all()


def _hota(frames):
    found = higher_order(frames)
    assert found is not None, "the dev environment lacks TrackEval; see scripts/environment.sh"
    return found


def test_without_trackeval_there_is_no_hota_and_the_user_is_told(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "trackeval.metrics.hota", None)
    tracking_scores._trackeval_hota.cache_clear()
    try:
        assert higher_order(random_frames(0)) is None
    finally:
        tracking_scores._trackeval_hota.cache_clear()
    assert tracking_scores.TRACKEVAL in caplog.text
    pinned = (Path(__file__).parents[2] / "scripts/without_dependencies.txt").read_text()
    assert tracking_scores.TRACKEVAL.split()[-1] in pinned.splitlines()
