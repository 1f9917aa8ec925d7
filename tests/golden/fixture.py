"""Reading the golden fixtures beside this file (`../shared/golden/README.md` describes them)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .filler import fill

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Fixture:
    """One ``<name>.npz`` and its sidecar."""

    sidecar: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def weights(self) -> dict[str, np.ndarray]:
        """Every official parameter, filled from its name (float64)."""
        return {key: fill(key, tuple(shape)) for key, shape in self.sidecar["keys"].items()}

    def input(self, name: str) -> np.ndarray:
        """An input that the filler makes, before the sidecar's ``transform``."""
        entry = self.sidecar["inputs"][name]
        return fill(entry["name"], tuple(entry["shape"]), entry["kind"])

    def check(self, name: str, full: np.ndarray) -> None:
        """A float64 output against its stored elements and, where stored, its statistics."""
        entry = self.sidecar["outputs"][name]
        atol = entry["suggested_atol_float64"]
        assert list(full.shape) == entry["full_shape"], name
        kept = full[tuple(slice(None, None, step) for step in entry["steps"])]
        np.testing.assert_allclose(kept, self.arrays[name], rtol=0, atol=atol, err_msg=name)
        if (stats := self.arrays.get(f"{name}__stats")) is not None:
            largest = np.abs(full)
            mean, std, total, peak = full.mean(), full.std(), largest.sum(), largest.max()
            np.testing.assert_allclose(
                [mean, std, total / full.size, peak],
                [*stats[:2], stats[2] / full.size, stats[3]],
                rtol=0,
                atol=atol,
                err_msg=f"{name}: statistics of the complete tensor",
            )


def load_fixture(name: str) -> Fixture:
    """The fixture ``name`` of this folder."""
    sidecar = json.loads((FOLDER / f"{name}.json").read_text())
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return Fixture(sidecar, {key: arrays[key] for key in arrays.files})


def read_keys(name: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """``{key: (shape, dtype)}`` of lines such as ``backbone.pos_embed 1x193x1280 float32``."""
    rows = (line.split() for line in (FOLDER / name).read_text().splitlines() if line.strip())
    return {
        key: (() if shape == "scalar" else tuple(int(n) for n in shape.split("x")), dtype)
        for key, shape, dtype in rows
    }
