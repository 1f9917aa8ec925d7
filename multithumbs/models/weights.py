"""Weight files into modules: read as data only, loaded strictly.

What a file is, is told by its first bytes, never by its name. Nothing that a file names is
imported or executed (see `weights_pickle`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from multithumbs.errors import CheckpointError
from multithumbs.models.weights_files import NotWeights, read_file
from multithumbs.models.weights_pickle import Unsafe


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a weight file, under the file's own names.

    Reads ``.safetensors``, NumPy's ``.npz``, and what `torch.save` writes (``.pth``, ``.pt``,
    ``.ckpt``, both its zip and its legacy form), where the weights may lie below the keys
    ``state_dict`` or ``model``. Tensors may share the file's memory map; nothing is written
    back to the file.

    Raises:
        CheckpointError: the file is missing, truncated, none of these, holds no tensor, or asks
            for anything that weights do not need (it is then refused unread).
    """
    try:
        tensors = read_file(path)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path} ({error.strerror or error}); expected a weight file"
        ) from error
    except Unsafe as error:
        raise CheckpointError(
            f"{path} is refused: it asks for {error}, which weights do not need; nothing of it "
            "was run: delete the file and fetch it again from its publisher"
        ) from error
    except NotWeights as error:
        raise CheckpointError(
            f"{path} is no weight file that can be read, or is damaged ({error}); expected "
            "safetensors, npz or a PyTorch checkpoint: fetch it again"
        ) from error
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; expected a network's weights")
    return tensors


def expected_tensors(module: nn.Module) -> dict[str, Tensor]:
    """What `load_strict` wants for this module: names, shapes and types (meta tensors serve)."""
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def load_strict(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    name: str,
    keep: Callable[[str], str | None] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Fill every parameter and buffer of ``module``; a module on the meta device gets its memory.

    Args:
        module: changed in place. On the meta device its tensors are replaced (buffers that are
            not in the state dict must be real already).
        tensors: of the file, by the file's names.
        name: of the checkpoint, for messages.
        keep: our name for one of the file's, or None for a tensor that is dropped.
        dtype: of the floating-point parameters afterwards; None leaves the module's own.

    Raises:
        CheckpointError: a tensor is missing, unexpected or has another shape; the module is
            then untouched. The message names the first of each.
    """
    given: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        ours = keep(key) if keep else key
        if ours is None:
            continue
        if ours in given:
            raise _refusal(name, [f"two tensors named {ours}"])
        given[ours] = tensor
    expected = expected_tensors(module)
    faults = _faults(expected, given)
    if faults:
        raise _refusal(name, faults)
    loaded = {}
    for key, target in expected.items():
        wanted = dtype if dtype and target.is_floating_point() else target.dtype
        loaded[key] = given[key].to(wanted)
    on_meta = any(tensor.is_meta for tensor in expected.values())
    if dtype is not None and not on_meta:
        module.to(dtype)
    if on_meta:  # a copy, so that the file's memory map can be closed
        loaded = {
            key: tensor.clone() if tensor is given[key] else tensor
            for key, tensor in loaded.items()
        }
    module.load_state_dict(loaded, strict=True, assign=on_meta)


def _faults(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    faults = []
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    if missing:
        faults.append(f"{len(missing)} of {len(expected)} tensors are missing, first {missing[0]}")
    if unexpected:
        faults.append(f"{len(unexpected)} are unexpected, first {unexpected[0]}")
    for key, target in expected.items():
        if key in given and given[key].shape != target.shape:
            found = describe_shape(given[key])
            faults.append(f"{key} is {found}, expected {describe_shape(target)}")
            break
    return faults


def _refusal(name: str, faults: list[str]) -> CheckpointError:
    return CheckpointError(
        f"the file of checkpoint '{name}' holds other weights ({'; '.join(faults)}); run "
        f"`multithumbs checkpoints verify {name}`, or put the right file in its place"
    )


def describe_shape(tensor: Tensor) -> str:
    """``1x193x1280``, or ``scalar`` for no dimension."""
    return "x".join(str(size) for size in tensor.shape) or "scalar"
