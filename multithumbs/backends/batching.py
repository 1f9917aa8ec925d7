"""Batches that shrink where a CUDA device runs out of memory, over items that stream."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import torch

from multithumbs.errors import BackendUnavailable

T = TypeVar("T")

_NO_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


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
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            # Its traceback keeps the failed call's tensors alive until this block is left.
            out_of_memory = True
        else:
            yield result
            start = batch.stop
        if out_of_memory:
            size = _halved(batch.stop - batch.start)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that a device's memory does not suffice.

    PyTorch's own allocator says so by its type. What the CUDA libraries allocate by themselves
    (work spaces, kernels loaded when first used) fails under other types, once PyTorch has taken
    nearly everything.
    """
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in _NO_MEMORY)


def _halved(items: int) -> int:
    if items == 1:
        raise BackendUnavailable(
            "not even a batch of one fits into the CUDA device's memory; free some of it, or use "
            "runtime.device=cpu or a smaller back-end"
        )
    torch.cuda.empty_cache()
    return items // 2


class Stream(Generic[T]):
    """Items of an iterator by slices that only go forward, as `in_batches` asks for them.

    A slice may be asked for again, shorter; what lies before the newest slice is forgotten.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._start = 0
        self._held: list[T] = []

    def __getitem__(self, batch: slice) -> list[T]:
        """Items ``batch.start`` to ``batch.stop``; fewer where the iterator ends before."""
        skip = batch.start - self._start
        if not 0 <= skip <= len(self._held):
            raise ValueError(
                f"slices begin at {self._start} to {self._start + len(self._held)} now, "
                f"not at {batch.start}"
            )
        del self._held[:skip]
        self._start = batch.start
        missing = batch.stop - batch.start - len(self._held)
        self._held += islice(self._items, max(missing, 0))
        return self._held[: batch.stop - batch.start]
