"""Starting warp: quietly, once, and with one clear error where it cannot run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
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
            f"warp cannot use device '{device}': {reason}; choose device=cpu"
        ) from error


def launch_for_torch(
    kernel: wp.Kernel, dim: int | tuple[int, ...], inputs: list[Any], outputs: list[torch.Tensor]
) -> None:
    """Run a kernel on contiguous PyTorch tensors, in order with PyTorch's own work.

    ``inputs`` may hold tensors and numbers. All tensors lie on one device.
    """
    device = outputs[0].device
    name = warp_device(str(device))
    arguments = [_as_warp(value) for value in inputs]
    results = [_as_warp(value) for value in outputs]
    ordered = (
        wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)))
        if device.type == "cuda"
        else nullcontext()
    )
    with ordered:
        wp.launch(kernel, dim, inputs=arguments, outputs=results, device=name)


def _as_warp(value: Any) -> Any:
    return wp.from_torch(value.detach()) if isinstance(value, torch.Tensor) else value


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
