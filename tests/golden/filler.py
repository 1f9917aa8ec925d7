"""Deterministic tensor filler for the golden fixtures.

fill(name, shape, kind) returns a float64 array that depends on nothing but its
arguments.  Bits: numpy PCG64 seeded with the integer made of the first 8 bytes
(big endian) of sha256(utf-8 name); uniforms U in [0, 1) are (raw >> 11) * 2**-53;
normals n come from Box-Muller on 2*m raw draws, m = ceil(size / 2):
r = sqrt(-2 log(1 - U[:m])), a = 2 pi U[m:], n = concat(r cos a, r sin a)[:size],
reshaped in C order.

kind "normal" gives n, kind "uniform" gives U.  kind "param" looks at the last
dotted component of the name ("leaf") and at the shape; the first match wins:
  1. leaf == num_batches_tracked             1
  2. leaf == running_mean                    0.1 n
  3. leaf == running_var                     1 + 0.2 |n|
  4. leaf == gamma (LayerScale)              0.5 + 0.1 n
  5. leaf contains "token" or "pos_embed"    0.5 n
  6. leaf starts with "init_"                0.5 n
  7. two or more dimensions                  n / sqrt(product of shape[1:])
  8. leaf == weight (one dimension: norms)   1 + 0.1 n
  9. anything else (biases)                  0.05 n
"""

import hashlib
from typing import Literal

import numpy as np


def fill(
    name: str, shape: tuple[int, ...], kind: Literal["param", "normal", "uniform"] = "param"
) -> np.ndarray:
    """Return the float64 array that belongs to (name, shape, kind); see the module docstring."""
    size = int(np.prod(shape, dtype=np.int64))
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    half = (size + 1) // 2
    draws = bits.random_raw(size if kind == "uniform" else 2 * half)
    u = (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
    if kind == "uniform":
        return u.reshape(shape)
    radius, angle = np.sqrt(-2.0 * np.log(1.0 - u[:half])), 2.0 * np.pi * u[half:]
    n = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size].reshape(shape)
    if kind == "normal":
        return n
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.ones(shape)
    if leaf == "running_mean":
        return 0.1 * n
    if leaf == "running_var":
        return 1.0 + 0.2 * np.abs(n)
    if leaf == "gamma":
        return 0.5 + 0.1 * n
    if "token" in leaf or "pos_embed" in leaf or leaf.startswith("init_"):
        return 0.5 * n
    if len(shape) >= 2:
        return n / np.sqrt(np.prod(shape[1:]))
    return 1.0 + 0.1 * n if leaf == "weight" else 0.05 * n
