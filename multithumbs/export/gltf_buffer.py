"""Arrays into one binary glTF buffer, each with its accessor."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pygltflib as gltf

COMPONENT: Final = {
    np.dtype(np.float32): gltf.FLOAT,
    np.dtype(np.uint8): gltf.UNSIGNED_BYTE,
    np.dtype(np.uint16): gltf.UNSIGNED_SHORT,
    np.dtype(np.uint32): gltf.UNSIGNED_INT,
}
SHAPE: Final = {(): gltf.SCALAR, (3,): gltf.VEC3, (4,): gltf.VEC4, (4, 4): gltf.MAT4}
ALIGNMENT: Final = 4


@dataclass(slots=True)
class Buffer:
    """Grows while a document is built; `blob` is the GLB's binary chunk."""

    document: gltf.GLTF2
    _parts: list[bytes] = field(default_factory=list)
    _length: int = 0

    def add(self, array: np.ndarray, *, target: int | None = None, bounds: bool = False) -> int:
        """Store rows of scalars, vectors or (row-major) 4x4 matrices; the accessor's index.

        ``target`` is glTF's hint for vertex data; ``bounds`` writes the extremes, which the
        format demands of positions and of animation times.
        """
        data = array.swapaxes(-1, -2) if array.ndim == 3 else array  # glTF is column-major
        content = np.ascontiguousarray(data).tobytes()
        padded = content + bytes(-len(content) % ALIGNMENT)
        self.document.bufferViews.append(
            gltf.BufferView(
                buffer=0, byteOffset=self._length, byteLength=len(content), target=target
            )
        )
        self._parts.append(padded)
        self._length += len(padded)
        self.document.accessors.append(
            gltf.Accessor(
                bufferView=len(self.document.bufferViews) - 1,
                componentType=COMPONENT[array.dtype],
                count=len(array),
                type=SHAPE[array.shape[1:]],
                min=_extreme(array, np.min) if bounds else None,
                max=_extreme(array, np.max) if bounds else None,
            )
        )
        return len(self.document.accessors) - 1

    def finish(self) -> gltf.GLTF2:
        """Put the binary chunk into the document."""
        self.document.buffers = [gltf.Buffer(byteLength=self._length)]
        self.document.set_binary_blob(b"".join(self._parts))
        return self.document


def _extreme(array: np.ndarray, reduce) -> list[float]:
    return np.atleast_1d(reduce(array, axis=0)).astype(float).tolist()
