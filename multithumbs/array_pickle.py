"""What stands for NumPy's names when an untrusted pickle is read: arrays are rebuilt from their
bytes alone, and nothing of NumPy's own unpickling (which trusts the sizes and types that it is
told) ever runs.
"""

import re
from typing import Any, Final

import numpy as np

_DTYPE: Final = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")


class StoredArray:
    """An array of a pickle; ``array`` (or, for an array of objects, ``objects``, flat) is there
    once the pickle has given its state."""

    array: np.ndarray
    objects: list

    def __setstate__(self, state: tuple) -> None:
        """NumPy's state: version, shape, type, order, bytes. Raises where they disagree."""
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            self.objects = data
            return
        content = data.encode("latin1") if isinstance(data, str) else bytes(data)
        flat = np.frombuffer(content, number_type(dtype))
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def number_type(dtype: object) -> np.dtype:
    """The plain number type that a stand-in of ``numpy.dtype`` holds. Raises TypeError."""
    found = getattr(dtype, "plain", None)
    if not isinstance(found, np.dtype):
        raise TypeError("array without a plain number type")
    return found


def array_stand_ins() -> dict[tuple[str, str], Any]:
    """Stand-ins by (module, name), made anew for every file: a pickle can set attributes on the
    classes that it is given."""

    class Dtype:
        """A plain number type, or objects; structures and strings are refused."""

        plain: np.dtype | None = None

        def __init__(self, spec: object, *_: object) -> None:
            if spec in ("O8", "O"):
                return
            if not isinstance(spec, str) or not _DTYPE.fullmatch(spec):
                raise ValueError(f"array type {spec!r}")
            self.plain = np.dtype(spec)

        def __setstate__(self, state: tuple) -> None:
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise ValueError(f"byte order {order!r}")
            if self.plain is not None:
                self.plain = self.plain.newbyteorder(order)

    class Array(StoredArray):
        """Of this file only."""

    class Ndarray:
        """Only named, never made."""

    def from_buffer(data: bytes | bytearray, dtype: Any, shape: tuple, order: str) -> object:
        array = Array()
        array.__setstate__((1, shape, dtype, order == "F", data))
        return array

    def reconstruct(kind: object, *_: object) -> object:
        if kind is not Ndarray:
            raise TypeError("array of a foreign class")
        return Array()

    def scalar(dtype: Any, data: str | bytes) -> object:
        content = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(content, number_type(dtype))[0]

    def encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding != "latin1":
            raise ValueError(f"encoding {encoding!r}")
        return text.encode("latin1")

    known: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): Ndarray,
        ("numpy", "dtype"): Dtype,
        ("_codecs", "encode"): encode,
    }
    for core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
        known[f"{core}.multiarray", "_reconstruct"] = reconstruct
        known[f"{core}.multiarray", "scalar"] = scalar
        known[f"{core}.numeric", "_frombuffer"] = from_buffer
    return known
