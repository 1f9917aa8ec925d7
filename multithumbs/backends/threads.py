"""How many threads torch uses while a solver runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on a single core, for many small operations.

    Two threads that meet after every one of them took ten times as long as one on a busy
    machine with two cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
