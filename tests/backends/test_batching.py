"""Batches shrink where memory runs out, and no item is lost or done twice."""

import pytest
import torch

from multithumbs.backends.batching import Stream, in_batches
from multithumbs.errors import MultithumbsError


class Device:
    """Runs up to ``room`` items at once; from call ``later`` on only ``later_room``."""

    def __init__(self, room: int, later: int = 1000, later_room: int = 0) -> None:
        self.room, self.later, self.later_room = room, later, later_room
        self.tried: list[int] = []

    def __call__(self, batch: slice) -> list[int]:
        items = list(range(batch.start, batch.stop))
        self.tried.append(len(items))
        room = self.room if len(self.tried) < self.later else self.later_room
        if len(items) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")
        return items


def flat(batches) -> list[int]:
    return [item for batch in batches for item in batch]


@pytest.mark.parametrize(("items", "size"), [(0, 4), (1, 4), (8, 4), (9, 4), (3, 1)])
def test_every_item_once_and_in_order(items, size):
    device = Device(room=100)
    assert flat(in_batches(items, size, device)) == list(range(items))
    assert len(device.tried) == -(-items // size)


def test_halves_until_it_fits_and_stays_there():
    device = Device(room=3)
    assert flat(in_batches(20, 16, device)) == list(range(20))
    assert device.tried == [16, 8, 4, *[2] * 10]


def test_memory_that_shrinks_half_way():
    device = Device(room=4, later=3, later_room=1)
    assert flat(in_batches(12, 4, device)) == list(range(12))
    assert device.tried == [4, 4, 4, 2, *[1] * 4]


def test_a_short_last_batch_is_what_gets_halved():
    device = Device(room=8, later=2, later_room=2)
    assert flat(in_batches(11, 8, device)) == list(range(11))
    assert device.tried == [8, 3, 1, 1, 1]


def test_one_item_that_does_not_fit_is_one_clear_line():
    with pytest.raises(MultithumbsError, match="not even a batch of one fits into the CUDA") as e:
        list(in_batches(4, 4, Device(room=0)))
    assert "\n" not in str(e.value)


def test_results_before_the_failure_are_delivered():
    batches = in_batches(4, 2, Device(room=2, later=2, later_room=0))
    assert next(batches) == [0, 1]
    with pytest.raises(MultithumbsError):
        next(batches)


def test_other_errors_pass_through():
    def run(batch: slice) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(in_batches(4, 2, run))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_libraries_that_find_no_memory_halve_the_batch_too(text):
    def run(batch: slice) -> int:
        count = batch.stop - batch.start
        if count > 2:
            raise RuntimeError(text)
        return count

    assert list(in_batches(8, 8, run)) == [2, 2, 2, 2]


def test_a_batch_holds_something():
    with pytest.raises(ValueError, match="at least one"):
        list(in_batches(4, 0, Device(room=2)))


def test_a_stream_is_read_once_and_not_further_than_asked():
    read = []

    def items():
        for item in range(20):
            read.append(item)
            yield item

    device, stream = Device(room=3), Stream(items())

    def run(batch: slice) -> list[int]:
        assert device(batch) == stream[batch]
        assert len(read) <= max(8, batch.stop)
        return stream[batch]

    def attempt(batch: slice) -> list[int]:
        stream[batch]
        return run(batch)

    assert flat(in_batches(20, 8, attempt)) == list(range(20))
    assert read == list(range(20))


def test_a_stream_ends_early_and_goes_forward_only():
    stream = Stream(iter("abc"))
    assert stream[slice(0, 2)] == ["a", "b"]
    assert stream[slice(2, 6)] == ["c"]
    with pytest.raises(ValueError, match="not at 0"):
        stream[slice(0, 1)]
    with pytest.raises(ValueError, match="not at 7"):
        stream[slice(7, 8)]
