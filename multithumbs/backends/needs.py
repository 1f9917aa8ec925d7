"""What a configuration needs of this machine, checked before the first frame is read."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from multithumbs.backends.checkpoints import CHECKPOINTS, default_root, missing
from multithumbs.config.detections import YoloConfig
from multithumbs.config.root import Config
from multithumbs.errors import BackendUnavailable, CheckpointError

SMPL_REMEDY: Final = (
    "register at https://smpl.is.tue.mpg.de, then run "
    "`multithumbs checkpoints import SMPL_NEUTRAL.pkl`"
)
_TRANSFORMERS: Final = ("transformers", "paper")
_PACKAGES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("detections", "grounding_dino"): _TRANSFORMERS,
    ("detections", "rtdetr"): _TRANSFORMERS,
    ("detections", "yolo"): ("ultralytics", "yolo"),
    ("keypoints", "vitpose"): _TRANSFORMERS,
    ("masks", "sam"): _TRANSFORMERS,
    ("masks", "sam2"): _TRANSFORMERS,
    ("masks", "segment_anything"): ("segment_anything", "segment-anything"),
}
"""The package that a stage's back-end imports, and the extra that brings it."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that is not here."""

    name: str
    by: str
    """Who needs it: ``bodies=hmr2``."""
    detail: str
    """What is wrong."""
    remedy: str
    """What to do: one line."""


def unmet(config: Config, stages: Iterable[str]) -> tuple[list[Need], list[Need], list[Need]]:
    """Packages, checkpoints and the user's own files that are needed and are not here."""
    chosen = {stage: getattr(config, stage) for stage in stages}
    files = [*_body(config), *_yolo(chosen.get("detections"))]
    return _packages(chosen), _checkpoints(chosen, config.runtime.checkpoints), files


def require(config: Config, stages: Iterable[str]) -> None:
    """Refuse a configuration that this machine cannot run, naming all that is missing.

    Raises:
        BackendUnavailable: a package is missing (and perhaps weights, too).
        CheckpointError: weights or a body model are missing or corrupt.
    """
    packages, checkpoints, files = unmet(config, stages)
    parts = [f"{need.by} needs {need.name}: {need.remedy}" for need in packages]
    if checkpoints:
        named = ", ".join(f"{n.name} ({n.detail}, for {n.by})" for n in checkpoints)
        parts.append(f"checkpoints needed: {named}")
        open_ones = " ".join(n.name for n in checkpoints if CHECKPOINTS[n.name].sources)
        if open_ones:
            parts.append(f"run `multithumbs checkpoints fetch {open_ones}`")
        parts += [f"{n.name}: {n.remedy}" for n in checkpoints if not CHECKPOINTS[n.name].sources]
    parts += [f"{need.by} needs {need.name}: {need.remedy}" for need in files]
    if parts:
        kind = BackendUnavailable if packages else CheckpointError
        raise kind("; ".join(parts))


def _packages(chosen: Mapping[str, object]) -> list[Need]:
    needs: dict[str, Need] = {}
    for stage, config in chosen.items():
        name = getattr(config, "name", "")
        module, extra = _PACKAGES.get((stage, name), ("", ""))
        if not module or importlib.util.find_spec(module) is not None:
            continue
        by = f"{stage}={name}"
        if module in needs:
            by = f"{needs[module].by}, {by}"
        remedy = f"run `pip install 'multithumbs[{extra}]'`"
        needs[module] = Need(module, by, "not installed", remedy)
    return list(needs.values())


def _checkpoints(chosen: Mapping[str, object], root: Path | None) -> list[Need]:
    wanted: dict[str, list[str]] = {}
    for stage, config in chosen.items():
        for name in getattr(config, "checkpoints", ()):
            wanted.setdefault(name, []).append(f"{stage}={getattr(config, 'name', '')}")
    needs = []
    for status in missing(sorted(wanted), root):
        name = status.checkpoint.name
        fetch = f"multithumbs checkpoints fetch {name}"
        remedy = fetch if status.checkpoint.sources else status.by_hand
        needs.append(Need(name, ", ".join(wanted[name]), status.finding, remedy))
    return needs


def body_path(config: Config) -> Path | None:
    """The licensed body that the configuration asks for; None for the embedded one."""
    if config.body_model.name != "smpl":
        return None
    root = config.runtime.checkpoints or default_root()
    return config.body_model.path or root / "smpl" / "smpl.npz"


def _body(config: Config) -> list[Need]:
    path = body_path(config)
    if path is None or path.is_file():
        return []
    return [Need(str(path), "body_model=smpl", "not imported", SMPL_REMEDY)]


def _yolo(config: object) -> list[Need]:
    if not isinstance(config, YoloConfig) or (config.weights and config.weights.is_file()):
        return []
    name = f"the file {config.weights}" if config.weights else "a weight file of ultralytics"
    return [Need(name, "detections=yolo", "not here", "set detections.weights=FILE.pt")]
