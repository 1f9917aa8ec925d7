"""Other programs' result files as plain values: pickles, joblib dumps, object ``.npy``, ``.pt``.

They are untrusted: nothing that a file names is imported or run. Everything comes out as
dictionaries, lists, numbers, texts and NumPy arrays.
"""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch

from multithumbs.array_pickle import StoredArray, array_stand_ins, number_type
from multithumbs.errors import ArtifactError

MAX_BYTES: Final = 8 << 30
"""Largest content that a compressed file or an archive may unfold to."""

_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError,
    AttributeError, MemoryError, OverflowError, zlib.error, lzma.LZMAError, struct.error,
    zipfile.BadZipFile, tokenize.TokenError,  # a header of .npy is read as a Python literal
    RuntimeError, AssertionError,  # torch's; RecursionError and NotImplementedError are among them
)  # fmt: skip


class _Refused(Exception):
    """The file names something that data do not need; the message is that name."""


def read_pickle(path: Path) -> Any:
    """A pickle or joblib dump (also compressed).

    Raises:
        ArtifactError: missing, damaged, or it names anything but plain data.
    """
    return _guarded(path, lambda: _load(_unfolded(path)))


def read_npy(path: Path) -> Any:
    """A ``.npy`` file; one that holds a dictionary (an object array of one) gives that."""

    def read() -> Any:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"npy version {version}")
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(file)
            if not dtype.hasobject:
                file.seek(0)
                return np.load(file, allow_pickle=False)
            content = _load(io.BytesIO(file.read()))
        return content[0] if shape == () else content

    return _guarded(path, read)


def read_torch(path: Path) -> Any:
    """A ``.pt`` or ``.pth`` file of nested tensors, as NumPy arrays."""

    def read() -> Any:
        _bound_archive(path)
        return _as_numpy(torch.load(path, map_location="cpu", weights_only=True))

    return _guarded(path, read)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file."""

    def read() -> dict[str, np.ndarray]:
        _bound_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    return _guarded(path, read)


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except _Refused as refused:
        raise ArtifactError(
            f"{path} is refused: it asks for {refused}, which data do not need; nothing of it was "
            "run: do not use this file"
        ) from refused
    except OSError as error:
        reason = error.strerror or error
        raise ArtifactError(f"cannot read {path} ({reason}); expected a result file") from error
    except _DAMAGE as error:
        raise ArtifactError(
            f"{path} is damaged or of another kind ({type(error).__name__}: "
            f"{(str(error).splitlines() or [''])[0]}); "
            "expected what its program wrote"
        ) from error


def _unfolded(path: Path) -> io.BytesIO:
    """The pickle's bytes, whatever joblib packed them in."""
    with path.open("rb") as file:
        head = file.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x5d\x00": lzma.open,
    }  # fmt: skip
    for magic, opener in openers.items():
        if head.startswith(magic):
            with opener(path) as packed:
                return _bounded(packed.read(MAX_BYTES + 1))
    if head[:1] == b"\x78" and head[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return _bounded(zlib.decompressobj().decompress(path.read_bytes(), MAX_BYTES + 1))
    return io.BytesIO(path.read_bytes())


def _bound_archive(path: Path) -> None:
    """Refuse a zip archive that unfolds to too much; other files are as large as they are."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"it unfolds to more than {MAX_BYTES >> 30} GiB")


def _bounded(content: bytes) -> io.BytesIO:
    if len(content) > MAX_BYTES:
        raise ValueError(f"it unfolds to more than {MAX_BYTES >> 30} GiB")
    return io.BytesIO(content)


def _load(file: io.BytesIO) -> Any:
    return _plain(_Unpickler(file).load())


class _JoblibArray:
    """joblib writes this in an array's place; the array's bytes follow it in the stream."""

    subclass: object
    shape: tuple
    order: str
    dtype: object
    numpy_array_alignment_bytes: int | None = None

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """joblib's attributes; others are ignored."""
        for name in ("shape", "order", "dtype", "numpy_array_alignment_bytes"):
            if name in state:
                setattr(self, name, state[name])


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler (the C one cannot be taught joblib's arrays) over known names."""

    stack: list
    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin1")
        self._stream = file
        plain = (dict, list, set, int, float)
        self._known = array_stand_ins() | {
            (module, kind.__name__): kind
            for module in ("builtins", "__builtin__")
            for kind in plain
        }
        self._known |= {
            ("collections", "OrderedDict"): OrderedDict,
            ("collections", "defaultdict"): _make_dictionary,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("joblib.numpy_pickle", "NumpyArrayWrapper"): type("JoblibArray", (_JoblibArray,), {}),
        }

    def find_class(self, module: str, name: str, /) -> Any:
        known = self._known.get((module, name))
        if known is None:
            raise _Refused(f"{module}.{name}")
        return known

    def load_build_or_array(self) -> None:
        """BUILD, then the bytes of a joblib array."""
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)  # pyright: ignore[reportArgumentType]
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = _joblib_array(self._stream, self.stack[-1])

    dispatch[pickle.BUILD[0]] = load_build_or_array


def _make_dictionary(*_: object) -> dict:
    return {}


def _storage(content: bytes) -> torch.Tensor:
    """The numbers of a tensor that was pickled by itself, flat."""
    storage = torch.load(io.BytesIO(content), weights_only=True)
    return torch.frombuffer(bytearray(bytes(storage.untyped())), dtype=storage.dtype)


def _tensor(flat: torch.Tensor, offset: int, shape: tuple, stride: tuple, *_: object) -> np.ndarray:
    if not isinstance(flat, torch.Tensor):
        raise TypeError("a tensor without a storage")
    return flat.as_strided(shape, stride, offset).numpy().copy()


def _joblib_array(stream: io.BytesIO, wrapper: _JoblibArray) -> Any:
    if getattr(wrapper.dtype, "plain", 0) is None:  # of objects: a pickle of its own
        return _Unpickler(stream).load()
    dtype = number_type(wrapper.dtype)
    if wrapper.numpy_array_alignment_bytes is not None:
        stream.read(int.from_bytes(stream.read(1), "little"))
    count = int(np.prod(wrapper.shape, dtype=np.int64))
    if count < 0:
        raise ValueError(f"array of shape {wrapper.shape}")
    content = stream.read(count * dtype.itemsize)
    order = "F" if wrapper.order == "F" else "C"
    return np.frombuffer(content, dtype).reshape(wrapper.shape, order=order)


def _plain(value: Any) -> Any:
    """Stand-ins replaced by what they stand for, at every depth."""
    if isinstance(value, StoredArray):
        return value.array if hasattr(value, "array") else [_plain(v) for v in value.objects]
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _as_numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        return {key: _as_numpy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_numpy(entry) for entry in value]
    return value
