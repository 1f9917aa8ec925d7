"""The paper's Tables 1 to 4 (Multi-THuMBS, arXiv 2607.01626v1, section 4), as printed.

Units as the paper gives them: none. By its text and the usual meaning, MPJPE and MPVPE are
millimetres, ATE metres, IDs a count per video; those of Accel, Jitter and FS, and the definition
of FS without a truth, are not said. Which sequences, views and cuts were used is not published
either: a column of ours beside these is no comparison on equal data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PAPER: Final = "Multi-THuMBS (paper)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One dataset's part of one table."""

    number: int
    title: str
    dataset: str
    """As `registry.DATASETS` calls it."""
    metrics: tuple[str, ...]
    """As `clip_scores.UNITS` calls them."""
    methods: Mapping[str, tuple[float | None, ...]]
    """A value per metric; None: not reported."""


_ONE: Final = ("w_mpjpe", "wa_mpjpe", "mpjpe", "mpvpe", "accel")
_HUMANS: Final[Mapping[str, Mapping[str, tuple[float, ...]]]] = MappingProxyType(
    {
        "egohumans": {
            "Multishot": (474.1, 287.4, 347.1, 408.2, 63.15),
            "GVHMR": (404.8, 204.7, 287.4, 371.4, 59.0),
            "PromptHMR": (1778.2, 440.9, 285.3, 364.1, 74.3),
            "HSfM (adapted)": (544.2, 187.7, 263.1, 294.3, 48.7),
            PAPER: (279.0, 166.0, 228.3, 262.2, 27.3),
        },
        "egobody": {
            "Multishot": (185.1, 144.1, 147.1, 166.5, 17.9),
            "GVHMR": (174.0, 133.3, 108.0, 147.1, 14.7),
            "PromptHMR": (1228.1, 395.3, 99.0, 133.9, 17.4),
            "HSfM (adapted)": (113.1, 96.3, 113.3, 123.2, 10.9),
            PAPER: (99.2, 72.8, 72.0, 94.9, 6.0),
        },
        "harmony4d": {
            "Multishot": (248.0, 231.6, 511.2, 609.5, 37.1),
            "GVHMR": (244.9, 166.7, 244.7, 334.1, 29.6),
            "PromptHMR": (1746.3, 399.8, 675.7, 746.0, 66.8),
            "HSfM (adapted)": (372.0, 178.4, 225.6, 257.6, 28.3),
            PAPER: (221.0, 116.9, 215.9, 278.3, 17.4),
        },
    }
)
_PLACES: Final = ("egohumans", "egobody", "harmony4d")
_IDS: Final[Mapping[str, tuple[float, float, float]]] = MappingProxyType(
    {
        "PromptHMR": (10.40, 1.29, 8.00),
        "HSfM (adapted)": (3.87, 0.20, 1.58),
        "KPR": (2.54, 0.05, 1.19),
        "Pose2ID": (4.62, 0.72, 1.32),
        "Multi-THuMBS (distance only)": (1.66, 0.00, 0.54),
        PAPER: (0.97, 0.00, 0.46),
    }
)
_ATE: Final[Mapping[str, tuple[float, float, float]]] = MappingProxyType(
    {
        "VGGT": (1.4, 1.3, 1.4),
        "PromptHMR": (2.3, 1.6, 2.3),
        "HSfM (adapted)": (2.8, 2.9, 3.2),
        PAPER: (0.7, 0.1, 0.7),
    }
)


def _second(place: int) -> dict[str, tuple[float | None, ...]]:
    """Table 2 has IDs of six methods and ATE of four."""
    names = dict.fromkeys([name for name in (*_IDS, *_ATE) if name != PAPER])
    return {
        name: tuple(part[name][place] if name in part else None for part in (_IDS, _ATE))
        for name in (*names, PAPER)
    }


TABLES: Final[tuple[PublishedTable, ...]] = (
    *(
        PublishedTable(
            number=1, title="people", dataset=dataset, metrics=_ONE, methods=_HUMANS[dataset]
        )
        for dataset in _PLACES
    ),
    *(
        PublishedTable(
            number=2,
            title="identities across cuts and cameras",
            dataset=dataset,
            metrics=("ids", "ate"),
            methods=_second(place),
        )
        for place, dataset in enumerate(_PLACES)
    ),
    PublishedTable(
        number=3,
        title="ablations",
        dataset="egohumans",
        metrics=("w_mpjpe", "mpjpe", "mpvpe", "accel", "ate"),
        methods={
            "w/o cam": (389.7, 230.1, 264.7, 33.7, 1.40),
            "w/o post": (311.2, 241.6, 298.3, 47.9, 0.77),
            "w/o stage": (491.9, 368.1, 359.4, 33.9, 2.75),
            "w/o align": (882.7, 422.4, 392.1, 34.9, 1.40),
            PAPER: (278.8, 228.3, 262.1, 27.3, 0.77),
        },
    ),
    PublishedTable(
        number=4,
        title="edited videos (AVA, Friends, The Big Bang Theory)",
        dataset="clips",
        metrics=("pck_cross", "jitter", "foot_sliding"),
        methods={"PromptHMR": (62.7, 162.44, 23.11), PAPER: (90.7, 31.5, 10.7)},
    ),
)
