"""Time and peak memory of a call by the size of its batch, on a CPU or a CUDA device."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import torch

from multithumbs.backends.batching import is_out_of_memory
from multithumbs.runner.machine import peak_rss_mb, reset_peak

MS_PER_ITEM: Final = "ms/item"
RATE: Final = "frames/s"
SECONDS: Final = "s"
MEMORY: Final = "GiB peak"
COUNT: Final = "count"
_MIB: Final = 1024.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number."""

    stage: str
    what: str
    """The network, and what of it."""
    unit: str
    value: float
    batch: int | None = None
    """Items that the network saw at once; None where that has no meaning."""


@dataclass(slots=True)
class Findings:
    """What one or more measurements gave."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What failed and why, and what a reader must know; a line each."""


def joined(one: Findings, other: Findings) -> Findings:
    """Both."""
    return Findings(one.rows + other.rows, one.notes + other.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A clock and a memory gauge that wait for the device."""

    device: str
    repeats: int
    """Most timed calls of one batch size; their median counts."""
    enough_s: float
    """Calls are not repeated any more once they have taken this long together."""
    slow_s: float
    """No larger batch is tried once a call takes longer than this."""

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def wait(self) -> None:
        """Until the device has done everything that it was given."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def reset(self) -> None:
        """Forget the peak so far; what lives now (weights) counts into the next one."""
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            reset_peak()

    def peak_gib(self) -> float:
        """Allocated on a CUDA device, or resident of the process on a CPU; since `reset`."""
        if self.cuda:
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        return peak_rss_mb() / _MIB

    def seconds(self, call: Callable[[], object]) -> float:
        """Median time of a call that was warmed up before."""
        found: list[float] = []
        while len(found) < self.repeats and (not found or sum(found) < self.enough_s):
            self.wait()
            began = time.perf_counter()
            call()
            self.wait()
            found.append(time.perf_counter() - began)
        return median(found)


def sweep(
    meter: Meter,
    stage: str,
    what: str,
    make: Callable[[int], Callable[[], object]],
    *,
    largest: int,
) -> tuple[Findings, int]:
    """Milliseconds per item and peak memory for batches of 1, 2, 4, ... and the best of them.

    Ends at ``largest``, where memory ends, or where a call gets slow.

    Args:
        meter: of the device.
        stage, what: for the rows.
        make: prepares a call with so many items, outside what is measured.
        largest: batch size.

    Raises:
        RuntimeError: not even one item fits into memory.
    """
    found, best, best_ms = Findings(), 0, float("inf")
    for batch in _doubling(largest):
        seconds, peak = _measured(meter, make, batch)
        if seconds is None:
            found.notes.append(f"{what}: out of memory at batch {batch}")
            break
        ms = 1e3 * seconds / batch
        found.rows += [
            Row(stage=stage, what=what, unit=MS_PER_ITEM, value=ms, batch=batch),
            Row(stage=stage, what=what, unit=MEMORY, value=peak, batch=batch),
        ]
        if ms < best_ms:
            best, best_ms = batch, ms
        if seconds > meter.slow_s:
            found.notes.append(f"{what}: larger batches than {batch} were not tried, being slow")
            break
    if not best:
        raise RuntimeError(f"{what}: not even one item fits into memory")
    return found, best


def _measured(
    meter: Meter, make: Callable[[int], Callable[[], object]], batch: int
) -> tuple[float | None, float]:
    """Seconds (None where memory does not suffice) and peak; the failed call's tensors are gone
    when this returns."""
    with torch.inference_mode():
        call = make(batch)
        meter.reset()
        try:
            call()
            return meter.seconds(call), meter.peak_gib()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None, 0.0


def _doubling(largest: int) -> Iterator[int]:
    batch = 1
    while batch <= largest:
        yield batch
        batch *= 2


class Clock:
    """A stage's ``progress``: its speed once the first batch is done, loading left out."""

    def __init__(self) -> None:
        self.stamps: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.stamps.append((time.perf_counter(), done))

    def rate(self, end: float) -> float:
        """Items per second from the first report until ``end`` (`time.perf_counter`).

        Raises:
            RuntimeError: there was one batch only, so nothing was left to measure.
        """
        if len(self.stamps) < 2 or self.stamps[-1][1] <= self.stamps[0][1]:
            raise RuntimeError("a stage in one batch has no steady speed; use a smaller batch")
        (began, first), (_, last) = self.stamps[0], self.stamps[-1]
        return (last - first) / (end - began)
