"""Checks that a dataset lies as it was published; every refusal says what belongs where."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from multithumbs.errors import ArtifactError

PICTURES = (".jpg", ".jpeg", ".png")


def folder(path: Path, what: str) -> Path:
    """A folder that has to be there; ``what`` says what it should hold."""
    if not path.is_dir():
        raise ArtifactError(f"no folder {path}: expected {what}; see docs/datasets.md")
    return path


def file(path: Path, what: str) -> Path:
    """A file that has to be there."""
    if not path.is_file():
        raise ArtifactError(f"no file {path}: expected {what}; see docs/datasets.md")
    return path


def read_text(path: Path, what: str) -> str:
    """Content of a text file that has to be there."""
    try:
        return file(path, what).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"cannot read {path} as text: expected {what}") from error


def read_json(path: Path, what: str) -> Any:
    """Content of a JSON file that has to be there."""
    try:
        return json.loads(read_text(path, what))
    except ValueError as error:
        raise ArtifactError(f"{path} is no JSON ({error}): expected {what}") from error


def entry(content: Any, name: str, path: Path) -> Any:
    """An entry of what a dataset's file holds."""
    if not isinstance(content, Mapping) or name not in content:
        raise ArtifactError(f"{path} lacks '{name}'; expected the file as it was published")
    return content[name]


def array(value: Any, shape: tuple[int, ...], name: str, path: Path) -> np.ndarray:
    """Numbers of a known shape, float64; -1 fits any length."""
    try:
        found = np.asarray(value, np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: '{name}' has shape {np.shape(value)}; expected {shape}"
        ) from error
    return found


def numbered(where: Path, what: str, prefix: str = "") -> dict[int, Path]:
    """Pictures ``<prefix><number>.jpg`` of a folder by their number.

    Raises:
        ArtifactError: there is no such folder, or no such picture in it.
    """
    found = {}
    for path in sorted(folder(where, what).iterdir()):
        digits = path.stem.removeprefix(prefix)
        if path.suffix.lower() in PICTURES and path.stem.startswith(prefix) and digits.isdigit():
            found[int(digits)] = path
    if not found:
        raise ArtifactError(f"{where} holds no picture '{prefix}<number>.jpg': expected {what}")
    return found


def by_name(root: Path, paths: Mapping[Path, Path]) -> dict[str, Path]:
    """Sequences by their short path, and by all of their path below ``root`` where two share it.

    Args:
        root: of the dataset.
        paths: the short path of each sequence.

    Raises:
        ArtifactError: two share even that.
    """
    shared = Counter(paths.values())
    found: dict[str, Path] = {}
    for path, short in paths.items():
        name = "-".join((short if shared[short] == 1 else path.relative_to(root)).parts)
        if name in found:
            raise ArtifactError(f"{path} and {found[name]} would both be '{name}'; rename one")
        found[name] = path
    return dict(sorted(found.items()))


def picture_hw(path: Path) -> tuple[int, int]:
    """Height and width of a picture as stored: calibrations know nothing of EXIF's turns."""
    found = read_picture(path)
    return found.shape[0], found.shape[1]


def read_picture(path: Path) -> np.ndarray:
    """RGB of a picture. Raises ArtifactError where it cannot be read."""
    try:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # it says to be larger than OpenCV allows
        bgr = None
    if bgr is None:
        raise ArtifactError(f"cannot read the picture {path}; expected a JPEG or PNG")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
