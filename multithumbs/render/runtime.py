"""Starting warp: quietly, once, and with one clear error where it cannot run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import warp as wp

from multithumbs.errors import BackendUnavailable


@cache
def warp_device(device: str = "cpu") -> str:
    """Warp's alias of ``device`` (``cpu``, ``cuda``, ``cuda:1``); initialises warp on first use.

    Raises BackendUnavailable where warp cannot start or does not have the device.
    """
    wp.config.log_level = max(wp.config.log_level, wp.LOG_ERROR)
    try:
        with _stderr_held_back():
            wp.init()
        return wp.get_device(device).alias
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendUnavailable(
            f"the ray-caster cannot use device '{device}': {reason}; choose device=cpu"
        ) from error


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Warp's native library warns on the file descriptor itself that there is no CUDA driver."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
