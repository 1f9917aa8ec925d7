"""What this machine can run, and what is missing: the checks behind `multithumbs doctor`."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from multithumbs.backends.checkpoints import State, default_root, list_checkpoints
from multithumbs.backends.registry import EMBEDDED

if TYPE_CHECKING:
    from multithumbs.backends.needs import Need
    from multithumbs.config.root import Config

_REQUIRED: Final = (
    "torch",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "av",
    "ai-edge-litert",
    "warp-lang",
    "scenedetect-headless",
    "smplx",
    "hydra-core",
    "pydantic",
)
_FREE_DISK_BYTES: Final = 2 << 30
"""A few minutes of 1080p with all videos written."""


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; ``remedy`` is the step that mends it, empty where nothing is wrong."""

    name: str
    level: Level
    detail: str
    remedy: str = ""


def _python() -> Check:
    system = f"{platform.system()} {platform.machine()}"
    return Check("python", Level.OK, f"{platform.python_version()} on {system}")


def _packages() -> list[Check]:
    checks = []
    for name in _REQUIRED:
        try:
            checks.append(Check(name, Level.OK, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(name, Level.MISSING, "not installed", "pip install multithumbs"))
    return checks


def _opencv_clash() -> list[Check]:
    """`opencv-python` and the headless build share a folder; together they break at random."""
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    if {"opencv-python", "opencv-python-headless"} <= installed:
        remedy = "pip uninstall opencv-python; pip install --force-reinstall opencv-python-headless"
        return [Check("opencv", Level.NOTE, "two builds overwrite each other", remedy)]
    return []


def _device() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("device", Level.MISSING, "torch is not installed", "pip install multithumbs")
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        memory = properties.total_memory / (1 << 30)
        return Check("device", Level.OK, f"cuda: {properties.name}, {memory:.0f} GiB")
    return Check("device", Level.OK, f"cpu, {os.cpu_count()} cores (no CUDA device)")


def _encoder() -> Check:
    if importlib.util.find_spec("av") is None:
        return Check("H.264 encoder", Level.MISSING, "av is not installed", "pip install av")
    import av

    if "libx264" in av.codecs_available:
        return Check("H.264 encoder", Level.OK, f"libx264 in PyAV {av.__version__}")
    return Check("H.264 encoder", Level.MISSING, "PyAV lacks libx264", "pip install --upgrade av")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    level = Level.OK if free > _FREE_DISK_BYTES else Level.NOTE
    remedy = "" if level is Level.OK else "free some space or choose another --out"
    return Check("disk", level, f"{free / (1 << 30):.1f} GiB free here", remedy)


def _checkpoints() -> list[Check]:
    """Only the embedded profile's are needed by whoever chooses nothing."""
    checks = []
    for status in list_checkpoints():
        checkpoint = status.checkpoint
        ok = status.state is State.PRESENT
        absent = Level.MISSING if checkpoint.profile == EMBEDDED else Level.NOTE
        command = f"multithumbs checkpoints fetch {checkpoint.name}"
        checks.append(
            Check(
                checkpoint.name,
                Level.OK if ok else absent,
                f"{status.state}, {checkpoint.licence}, profile={checkpoint.profile}",
                "" if ok else command if checkpoint.sources else status.by_hand,
            )
        )
    return checks


def _smpl() -> Check:
    path = default_root() / "smpl" / "smpl.npz"
    if path.is_file():
        return _imported(path)
    remedy = (
        "register at https://smpl.is.tue.mpg.de, then: "
        "multithumbs checkpoints import SMPL_NEUTRAL.pkl"
    )
    return Check("SMPL body", Level.NOTE, "not imported; the embedded CC0 body is used", remedy)


def _imported(path: Path) -> Check:
    from multithumbs.body.storage import read_body_file
    from multithumbs.errors import MultithumbsError

    try:
        tables, _ = read_body_file(path)
    except MultithumbsError as error:
        remedy = "multithumbs checkpoints import SMPL_NEUTRAL.pkl"
        return Check("SMPL body", Level.MISSING, str(error), remedy)
    if len(tables.uv):
        return Check("SMPL body", Level.OK, str(path))
    remedy = "download smpl_uv.obj there, then: multithumbs checkpoints import smpl_uv.obj"
    detail = f"{path} has no UV map: looks are not compared across cuts"
    return Check("SMPL body", Level.NOTE, detail, remedy)


# What follows needs hydra, pydantic and torch: imported once these are known to be here.


def _paper() -> Check:
    """In one line, what keeps this machine from the paper profile."""
    from multithumbs.config.compose import load_config

    needs = [*chain(*_unmet(load_config(["profile=paper"])))]
    if not needs:
        return Check("profile=paper", Level.OK, "all that it needs is here")
    names = ", ".join(need.name for need in needs)
    return Check(
        "profile=paper", Level.NOTE, f"lacks {names}", "multithumbs doctor profile=paper says how"
    )


def _configured(config: "Config") -> list[Check]:
    """What one configuration needs: missing packages, weights and bodies, or that none is."""
    from multithumbs.backends.needs import body_path
    from multithumbs.errors import ConfigError
    from multithumbs.pipeline import STAGES
    from multithumbs.runner import configured

    packages, checkpoints, bodies = _unmet(config)
    checks = [
        Check(need.name, Level.MISSING, f"{need.detail}; for {need.by}", need.remedy)
        for need in (*packages, *checkpoints, *bodies)
    ]
    try:
        configured(STAGES, config)
    except ConfigError as error:
        checks.append(Check("stages", Level.MISSING, str(error), "choose other back-ends"))
    if not any(check.level is Level.MISSING for check in checks):
        detail = "all that this configuration needs is here"
        checks.append(Check(f"profile={config.profile}", Level.OK, detail))
    if config.body_model.name == "smpl" and not bodies:
        checks.append(_imported(body_path(config) or Path()))
    return checks


def _unmet(config: "Config") -> "tuple[list[Need], list[Need], list[Need]]":
    from multithumbs.backends.needs import unmet
    from multithumbs.pipeline import STAGES

    return unmet(config, [stage.name for stage in STAGES])


def report(folder: Path, config: "Config | None" = None) -> list[Check]:
    """All checks.

    Args:
        folder: where results would be written.
        config: look only for what this configuration needs; None for a general view.
    """
    checks = [_python(), *_packages(), *_opencv_clash(), _device(), _encoder(), _disk(folder)]
    if any(check.level is Level.MISSING for check in checks):
        return [*checks, *_checkpoints(), _smpl()]  # too little for the stage table
    return [*checks, *(_configured(config) if config else [*_checkpoints(), _smpl(), _paper()])]
