"""The pickle inside a PyTorch checkpoint, read without running anything that it names.

A pickle may call whatever it can name. Here a name is either one of torch's few tensor
builders, for which there is a record of ours; or belongs to a library whose configuration
objects training programs leave beside the weights (yacs, omegaconf, argparse, Lightning, NumPy
numbers, the publishers' own), for which there is an inert class that swallows its arguments; or
it is refused. Nothing is ever imported because a file says so.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch


class Unsafe(Exception):
    """A pickle names something that weights do not need; the message is that name."""


class Damaged(Exception):
    """Not a pickle, or one that contradicts itself; the message says how."""


DTYPES: Final = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip
"""Element type by the storage class that a checkpoint names."""


class StorageRecord(NamedTuple):
    """A block of numbers that lies elsewhere in the file.

    This and its like are tuples because a pickle may set attributes on any other object.
    """

    key: str
    dtype: torch.dtype
    count: int


class TensorRecord(NamedTuple):
    """A tensor as the pickle describes it: a view of a storage. Not checked yet."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pickled:
    """What `load_pickle` gives."""

    content: Any
    length: int
    """Bytes that the pickle takes."""
    storages: Mapping[str, StorageRecord]
    """All that are named, by key, also by what is inert."""


_INERT_NAMES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(yacs|omegaconf|argparse|easydict|addict|dotmap|munch|configer)(\.[\w.]+)?",
        r"(pytorch_lightning|lightning|lightning_fabric|lightning_utilities|torchmetrics)\.[\w.]+",
        r"(mmcv|mmengine|fvcore|hmr2|phalp|lart|slowfast|human_body_prior)\.[\w.]+",
        r"collections\.(defaultdict|Counter|deque)",
        r"(builtins|__builtin__)\.(object|set|frozenset|list|tuple|dict|int|long|float|bool|str"
        r"|unicode|bytes|bytearray|complex|slice|range|xrange)",
        r"(copyreg|copy_reg)\._reconstructor",
        r"_codecs\.encode",
        r"(pathlib|pathlib\._local)\.(Pure)?(Posix|Windows)?Path",
        r"typing\.(Any|Union|Optional|Dict|List)",
        r"datetime\.(datetime|timedelta|date|time)",
        r"numpy\.(ndarray|dtype|bool_?|u?int(8|16|32|64)|float(16|32|64))",
        r"numpy\.dtypes\.\w+DType",
        r"numpy\._?core\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)",
        r"torch\.(Size|device|dtype|float16|float32|float64|bfloat16|int32|int64)",
        r"torch\.optim(\.[\w.]+)?",
    )
)
"""``module.name`` of what checkpoints hold beside weights. It all becomes inert."""


def load_pickle(data: bytes) -> Pickled:
    """The object that a pickle describes.

    Tensors are `TensorRecord`, foreign objects are inert, mappings are plain dictionaries.

    Raises:
        Unsafe: it names something else.
        Damaged: it cannot be read, or makes claims that its own length contradicts.
    """
    length = _scan(data)
    unpickler = _Unpickler(data[:length])
    try:
        content = unpickler.load()
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, MemoryError, OverflowError, RecursionError, ImportError,
    ) as error:  # fmt: skip
        raise Damaged(f"{type(error).__name__} in its index") from error
    return Pickled(content, length, unpickler.storages)


def _scan(data: bytes) -> int:
    """Length of the pickle that ``data`` begins with.

    Its memory is bounded by its length: unpicklers believe the sizes that they are told.
    """
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(data):
                raise Damaged("an index that is larger than the file")
            if opcode.name == "STOP" and position is not None:
                return position + 1
    except (ValueError, UnicodeDecodeError, IndexError, OverflowError, MemoryError) as error:
        raise Damaged("its index is cut short or no pickle") from error
    raise Damaged("its index has no end")


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.storages: dict[str, StorageRecord] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "torch" and name in DTYPES:
            return _StorageKind(DTYPES[name])
        builder = _BUILDERS.get((module, name))
        if builder is not None:
            return builder
        full = f"{module}.{name}"
        if any(pattern.fullmatch(full) for pattern in _INERT_NAMES):
            # Made anew each time: a pickle can set attributes on classes that it is given.
            return type("Inert", (_Inert,), {})
        raise Unsafe(full)

    def persistent_load(self, pid: Any, /) -> StorageRecord:
        match pid:
            case ("storage", _StorageKind(dtype), str(key), str(), int(count), *rest) if (
                count >= 0 and rest in ([], [None])
            ):
                record = StorageRecord(key, dtype, count)
                if self.storages.setdefault(key, record) == record:
                    return record
        raise pickle.UnpicklingError("a reference to no storage")


class _StorageKind(NamedTuple):
    """What stands for a storage class: it can only be named."""

    dtype: torch.dtype


class _Inert:
    """Swallows whatever a pickle does with an object."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take any arguments."""

    def __setstate__(self, state: object) -> None:
        """Forget the state."""

    def __setitem__(self, key: object, value: object) -> None:
        """Forget the entry."""

    def append(self, value: object) -> None:
        """Forget the element."""

    def extend(self, values: object) -> None:
        """Forget the elements."""

    def add(self, value: object) -> None:
        """Forget the element."""


class _Mapping(dict[Any, Any]):
    """An ``OrderedDict``, whose attributes (torch puts metadata there) are forgotten."""

    def __setstate__(self, state: object) -> None:
        """Forget the attributes."""


class _MakeMapping:
    """``OrderedDict(...)``. Slotted, like the builders below: no pickle can change it."""

    __slots__ = ()

    def __call__(self, entries: Any = ()) -> _Mapping:
        return _Mapping(entries)


class _MakeTensor:
    """``torch._utils._rebuild_tensor(_v2)``."""

    __slots__ = ()

    def __call__(
        self, storage: Any, offset: Any, shape: Any, stride: Any, *_: object
    ) -> TensorRecord:
        if not isinstance(storage, StorageRecord):
            raise TypeError("a tensor without a storage")
        return TensorRecord(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


class _MakeParameter:
    """``torch._utils._rebuild_parameter``: the tensor in it."""

    __slots__ = ()

    def __call__(self, data: Any, *_: object) -> TensorRecord:
        if not isinstance(data, TensorRecord):
            raise TypeError("a parameter without a tensor")
        return data


_BUILDERS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("collections", "OrderedDict"): _MakeMapping(),
    ("torch._utils", "_rebuild_tensor"): _MakeTensor(),
    ("torch._utils", "_rebuild_tensor_v2"): _MakeTensor(),
    ("torch._utils", "_rebuild_parameter"): _MakeParameter(),
}
