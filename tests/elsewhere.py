"""A device that is not there: `elsewhere:0`, for code that shall run on CUDA without having any.

Its tensors compute on the CPU, but refuse, as CUDA's do, to meet tensors of the CPU and to turn
into NumPy arrays unasked. What it cannot show is speed, memory and the order of CUDA's sums.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "elsewhere"
_setup_privateuseone_for_python_backend(NAME)

MAY_MEET = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put", "aten::index_put_",
            "aten::_index_put_impl_"}  # fmt: skip
"""Operations that take tensors of both: copies, and indices from the CPU."""
SCALARS = {
    torch.Tensor.__float__: float,
    torch.Tensor.__int__: int,
    torch.Tensor.__index__: int,
    torch.Tensor.__bool__: bool,
}


class Elsewhere(torch.Tensor):
    """A tensor of the CPU that says it is of the other device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Elsewhere":
        out = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        out.inner = inner
        return out

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _dispatch(func, args, kwargs or {})


@contextmanager
def elsewhere() -> Iterator[str]:
    """The device's name, which tensors may be made on and moved to within the block."""
    with _PythonSide(), _Factories():
        yield f"{NAME}:0"


class _Factories(TorchDispatchMode):
    """Also sees operations without a tensor among their arguments."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _dispatch(func, args, kwargs or {})


def _is_there(device) -> bool:
    return device is not None and torch.device(device).type == NAME


def _dispatch(func, args, kwargs):
    name = func._schema.name
    tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, Elsewhere)]
    here = [x for x in tensors if not isinstance(x, Elsewhere) and x.dim() > 0]
    indexed = name.startswith("aten::index") or name == "aten::_index_put_impl_"
    if there and here:
        values = args[2:3] if "put" in name else ()
        if (
            name not in MAY_MEET
            or (indexed and not isinstance(args[0], Elsewhere))
            or any(x is value for x in here for value in values)
        ):
            raise RuntimeError(f"{func}: tensors of {NAME} and of the CPU together")
    to_there = isinstance(args[0], Elsewhere) if name == "aten::copy_" else bool(there)
    if kwargs.get("device") is not None:
        to_there = _is_there(kwargs["device"])
        kwargs = kwargs | {"device": torch.device("cpu")}
    inner_args, inner_kwargs = tree_map_only(Elsewhere, lambda x: x.inner, (args, kwargs))
    out = func(*inner_args, **inner_kwargs)
    if not to_there:
        return out
    out = tree_map_only(torch.Tensor, Elsewhere, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if there else out


class _PythonSide(TorchFunctionMode):
    """What torch does for a device before it dispatches."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and _is_there(kwargs.get("device")):
            here = func(*args, **kwargs | {"device": "cpu"})
            return here.detach().to(kwargs["device"]).requires_grad_(here.requires_grad)
        if not args or not isinstance(args[0], Elsewhere):
            return func(*args, **kwargs)
        tensor = args[0]
        if func is torch.Tensor.__array__ or func is torch.Tensor.numpy:
            if not kwargs.get("force"):
                raise TypeError(f"can't convert {NAME} device type tensor to numpy")
            return tensor.detach().cpu().numpy(force=True)
        if func is torch.Tensor.tolist:
            return tensor.cpu().tolist()
        if func is torch.Tensor.new_tensor:
            return torch.tensor(args[1], **{"dtype": tensor.dtype} | kwargs).to(tensor.device)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            key = args[1] if isinstance(args[1], tuple) else (args[1],)
            return func(tensor, tuple(map(_as_index, key)), *args[2:])
        if func in SCALARS:
            return SCALARS[func](tensor.item())
        return func(*args, **kwargs)


def _as_index(key):
    return torch.as_tensor(key) if isinstance(key, (list, tuple, np.ndarray)) else key
