"""The memory gauge of the speed suite."""

import math
from itertools import repeat

import numpy as np
import pytest
import torch

from multithumbs.bench import gauge

CPU = torch.device("cpu")
BLOCK = 100_000
"""Bytes: too few to be mapped by themselves, so that what is freed stays in the heap."""


def blocks(megabytes):
    return [np.ones(BLOCK, np.uint8) for _ in range(megabytes * 10)]


def test_memory_that_was_freed_before_counts_when_it_is_taken_again():
    blocks(60)
    with gauge.Peak(CPU) as peak:
        kept = blocks(40)
    assert 0.9 * 40e6 / 2**20 < peak.megabytes < 80
    assert len(kept) == 400


def test_memory_is_nan_where_the_kernel_does_not_tell(monkeypatch):
    told = repeat(math.nan)
    monkeypatch.setattr(gauge, "_resident_mb", lambda: next(told))
    with gauge.Peak(CPU) as peak:
        blocks(1)
    assert math.isnan(peak.megabytes)


def test_what_is_given_back_within_the_block_is_its_peak(monkeypatch):
    told = iter([100.0, 130.0, *repeat(110.0, 1000)])
    monkeypatch.setattr(gauge, "_resident_mb", lambda: next(told))
    with gauge.Peak(CPU) as peak:
        while peak.megabytes == 0:
            pass
    assert peak.megabytes == pytest.approx(30)
