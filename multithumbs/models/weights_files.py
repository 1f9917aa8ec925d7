"""The containers of weights: safetensors, npz, and both forms of PyTorch's own.

All numbers are taken from a private memory map of the file, at places that are checked to lie
inside it; nothing is inflated, so no file can claim more memory than its own size.
"""

import json
import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from multithumbs.models.weights_pickle import (
    Damaged,
    Pickled,
    StorageRecord,
    TensorRecord,
    load_pickle,
)

_SAFETENSORS_TYPES: Final = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_CONTAINERS: Final = ("state_dict", "model")
"""Keys under which training programs keep the weights among other things."""
_DEPTH: Final = 4
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_ZIP: Final = b"PK\x03\x04"
_LOCAL_HEADER: Final = 30
"""Bytes of a zip member's local header before its name and extra field."""
_MAX_HEADER: Final = 100 << 20
"""Bytes; safetensors' own limit, and more than any checkpoint's index."""
_MAX_INFLATION: Final = 32
"""Compressed npz members may declare this many times the file's size; weights hardly shrink."""


class NotWeights(Exception):
    """The file cannot be read; the message says why."""


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of the innermost conventional container in the file, by their names there.

    Raises:
        OSError: it cannot be opened.
        NotWeights: none of the formats, or damaged.
        weights_pickle.Unsafe: it names what weights do not need.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if size < 16:
            raise NotWeights(f"{size} bytes")
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        if memory[:4] == _ZIP:
            return _read_zip(path, memory)
        # A safetensors file begins with a length, whose first byte may be a pickle's first too.
        if memory[:1] == b"\x80" and memory[8:9] != b"{":
            return _Legacy(memory).content()
        return _read_safetensors(memory)
    except Damaged as error:
        raise NotWeights(str(error)) from error


def _view(memory: mmap.mmap, start: int, nbytes: int, dtype: torch.dtype, count: int) -> Tensor:
    """``count`` numbers at byte ``start``, where ``nbytes`` belong to them: a flat tensor."""
    needed = count * dtype.itemsize
    if count < 0 or start < 0 or needed > nbytes or start + needed > len(memory):
        raise Damaged("numbers that lie outside the file")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    if start % dtype.itemsize:
        return torch.frombuffer(bytearray(memory[start : start + needed]), dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=start)


def _read_safetensors(memory: mmap.mmap) -> dict[str, Tensor]:
    (length,) = struct.unpack("<Q", memory[:8])
    if length > min(_MAX_HEADER, len(memory) - 8) or memory[8:9] != b"{":
        raise NotWeights("unknown format, or cut short")
    try:
        header = json.loads(memory[8 : 8 + length])
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype = _SAFETENSORS_TYPES[entry["dtype"]]
            shape = [int(size) for size in entry["shape"]]
            begin, end = (int(at) for at in entry["data_offsets"])
            count = _product(shape)
            if end - begin != count * dtype.itemsize:
                raise Damaged(f"{name} has another size than it says")
            start = 8 + length + begin
            tensors[name] = _view(memory, start, end - begin, dtype, count).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotWeights(f"its header is damaged: {type(error).__name__} {error}") from error
    return tensors


def _read_zip(path: Path, memory: mmap.mmap) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if any(name.endswith(".npy") for name in members):
                return _read_npz(path, members, len(memory))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise NotWeights("cut short, or a damaged zip file") from error
    return _TorchZip(memory, members).content()


def _read_npz(path: Path, members: Mapping[str, zipfile.ZipInfo], size: int) -> dict[str, Tensor]:
    declared = sum(info.file_size for info in members.values())
    if declared > _MAX_INFLATION * size:
        raise NotWeights(f"{size} bytes that claim to hold {declared}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except (ValueError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, OSError) as error:
        raise NotWeights(f"an array that is damaged or no numbers: {error}") from error


def _tensors_in(content: Any, storage: Callable[[StorageRecord], Tensor]) -> dict[str, Tensor]:
    """The tensors of the innermost conventional container of what a pickle described."""
    for _ in range(_DEPTH):
        if not isinstance(content, Mapping):
            break
        inner = [content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return {
                key: _materialised(value, storage(value.storage))
                for key, value in content.items()
                if isinstance(key, str) and isinstance(value, TensorRecord)
            }
        content = inner[0]
    return {}


def _materialised(record: TensorRecord, storage: Tensor) -> Tensor:
    """The view of its storage that a record describes."""
    shape, stride, offset = record.shape, record.stride, record.offset
    if len(shape) != len(stride) or min((*shape, *stride, offset), default=0) < 0:
        raise Damaged("a tensor of impossible shape")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if _product(shape) and last >= storage.numel():
        raise Damaged("a tensor that reaches beyond its storage")
    return (
        storage.as_strided(shape, stride, offset) if _product(shape) else storage.new_empty(shape)
    )


def _product(shape: tuple[int, ...] | list[int]) -> int:
    if any(size < 0 for size in shape):
        raise Damaged("a tensor of impossible shape")
    return math.prod(shape)


class _TorchZip:
    """`torch.save` since 1.6: ``<root>/data.pkl`` and one stored member per storage."""

    def __init__(self, memory: mmap.mmap, members: Mapping[str, zipfile.ZipInfo]) -> None:
        self._memory, self._members = memory, members
        indices = [name for name in members if name.split("/")[1:] == ["data.pkl"]]
        if len(indices) != 1:
            raise NotWeights("a zip file without PyTorch's data.pkl")
        self._root = indices[0].removesuffix("data.pkl")
        self._read: dict[str, Tensor] = {}
        self._taken = 0

    def content(self) -> dict[str, Tensor]:
        start, size = self._place("data.pkl")
        if size > _MAX_HEADER:
            raise NotWeights(f"an index of {size} bytes")
        if f"{self._root}byteorder" in self._members:
            at, length = self._place("byteorder")
            if self._memory[at : at + length] != b"little":
                raise NotWeights("big-endian numbers")
        index = load_pickle(self._memory[start : start + size])
        return _tensors_in(index.content, self._storage)

    def _place(self, name: str) -> tuple[int, int]:
        """Where a member's bytes begin, and how many there are."""
        info = self._members.get(self._root + name)
        if info is None:
            raise Damaged(f"{name} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise Damaged(f"{name} is compressed or encrypted")
        at, memory = info.header_offset, self._memory
        if memory[at : at + 4] != _ZIP:
            raise Damaged(f"{name} is not where the file says")
        name_length, extra_length = struct.unpack("<HH", memory[at + 26 : at + _LOCAL_HEADER])
        start = at + _LOCAL_HEADER + name_length + extra_length
        if start + info.file_size > len(memory):
            raise Damaged(f"{name} is cut short")
        return start, info.file_size

    def _storage(self, record: StorageRecord) -> Tensor:
        known = self._read.get(record.key)
        if known is None:
            start, size = self._place(f"data/{record.key}")
            self._taken += size
            if self._taken > len(self._memory):  # members that overlap
                raise Damaged("storages that are larger than the file")
            known = _view(self._memory, start, size, record.dtype, record.count)
            self._read[record.key] = known
        if known.dtype != record.dtype or known.numel() != record.count:
            raise Damaged("two views of one storage that contradict each other")
        return known


class _Legacy:
    """`torch.save` before 1.6 (and mmcv's): pickles, then the storages one after another."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory, self._at = memory, 0

    def content(self) -> dict[str, Tensor]:
        if self._next().content != _LEGACY_MAGIC or self._next().content != _LEGACY_PROTOCOL:
            raise NotWeights("a pickle, but none of PyTorch's")
        system = self._next().content
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise NotWeights("big-endian numbers")
        index, keys = self._next(), self._next().content
        storages: dict[str, Tensor] = {}
        for key in keys if isinstance(keys, list) else ():
            storages[key] = self._storage(index.storages.get(key))
        if set(storages) != set(index.storages):
            raise Damaged("a storage that is not listed")
        return _tensors_in(index.content, lambda record: storages[record.key])

    def _storage(self, record: StorageRecord | None) -> Tensor:
        """The storage that begins here: its length, then its numbers."""
        if record is None or self._at + 8 > len(self._memory):
            raise Damaged("cut short")
        (count,) = struct.unpack("<q", self._memory[self._at : self._at + 8])
        if count != record.count:
            raise Damaged("a storage of another length than it says")
        start = self._at + 8
        self._at = start + count * record.dtype.itemsize
        return _view(self._memory, start, len(self._memory) - start, record.dtype, count)

    def _next(self) -> Pickled:
        end = min(self._at + _MAX_HEADER, len(self._memory))
        pickled = load_pickle(self._memory[self._at : end])
        self._at += pickled.length
        return pickled
