"""The datasets that `multithumbs eval` knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from multithumbs.errors import ArtifactError, ConfigError
from multithumbs.evaluation.datasets import (
    clips,
    egobody,
    egohumans,
    emdb,
    harmony4d,
    threedpw,
)
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import EvalSequence, of_height


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """How one dataset is found and read."""

    title: str
    """As in the paper's tables."""
    find: Callable[[Path], dict[str, Path]]
    load: Callable[[str, Path, Options], EvalSequence]
    has_truth: bool = True
    multi_view: bool = False
    """Whether its videos follow a `Schedule`."""


DATASETS: Final[Mapping[str, Dataset]] = MappingProxyType(
    {
        "egohumans": Dataset(
            title="EgoHumans", find=egohumans.find, load=egohumans.load, multi_view=True
        ),
        "egobody": Dataset(title="EgoBody", find=egobody.find, load=egobody.load, multi_view=True),
        "harmony4d": Dataset(
            title="Harmony4D", find=harmony4d.find, load=harmony4d.load, multi_view=True
        ),
        "3dpw": Dataset(title="3DPW", find=threedpw.find, load=threedpw.load),
        "emdb": Dataset(title="EMDB", find=emdb.find, load=emdb.load),
        "clips": Dataset(title="Clips", find=clips.find, load=clips.load, has_truth=False),
    }
)


def dataset_of(name: str) -> Dataset:
    """A dataset by name. Raises ConfigError that lists those known."""
    if name not in DATASETS:
        raise ConfigError(f"unknown dataset '{name}'; expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def load_sequence(dataset: Dataset, name: str, path: Path, options: Options) -> EvalSequence:
    """One sequence of a dataset.

    Raises:
        ArtifactError: a file is missing, damaged, refused or of another layout.
        CheckpointError: a body is missing.
    """
    try:
        return of_height(dataset.load(name, path, options), options.height)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is not as {dataset.title} publishes it ({type(error).__name__}: {error}); "
            "see docs/datasets.md"
        ) from error
