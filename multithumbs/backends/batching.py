"""Batches that shrink where a CUDA device runs out of memory."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from multithumbs.errors import BackendUnavailable

T = TypeVar("T")


def in_batches(items: int, size: int, run: Callable[[slice], T]) -> Iterator[T]:
    """``run(slice)`` for consecutive slices of ``range(items)``, at most ``size`` long each.

    Where ``run`` runs out of CUDA memory the device's cache is emptied, the size is halved for
    good, and the same items are tried again; results that were already yielded stay valid.

    Args:
        items: how many there are; 0 yields nothing.
        size: first batch size, at least 1.
        run: called with ``slice(start, stop)``; must not keep tensors of a failed call.

    Raises:
        BackendUnavailable: not even one item fits into the device's memory.
    """
    if size < 1:
        raise ValueError(f"a batch holds at least one item, not {size}")
    start = 0
    while start < items:
        batch = slice(start, min(start + size, items))
        out_of_memory = False
        try:
            result = run(batch)
        except torch.OutOfMemoryError:
            # Its traceback keeps the failed call's tensors alive until this block is left.
            out_of_memory = True
        else:
            yield result
            start = batch.stop
        if out_of_memory:
            size = _halved(batch.stop - batch.start)


def _halved(items: int) -> int:
    if items == 1:
        raise BackendUnavailable(
            "not even a batch of one fits into the CUDA device's memory; free some of it, or use "
            "runtime.device=cpu or a smaller back-end"
        )
    torch.cuda.empty_cache()
    return items // 2
