"""Where another program's result of a sequence lies."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from multithumbs.errors import ArtifactError

PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gvhmr": "*.pt",
        "wham": "*.pkl",
        "phalp": "*.pkl",
        "prompthmr": "*.pkl",
        "tram": "camera.npy",
        "slahmr": "*_world_results.npz",
        "comotion": "*.pt",
    }
)
"""What a program's result file is called; TRAM's result is the folder that holds it, SLAHMR's
the folder below which all shots' lie."""
OF_SMPL: Final = frozenset({"wham", "phalp", "tram", "comotion"})
"""Programs that write SMPL's own parameters; the others write SMPL-X's or SMPL-H's."""
PREFERRED: Final[Mapping[str, str]] = MappingProxyType(
    {"gvhmr": "hmr4d_results.pt", "wham": "wham_output.pkl", "prompthmr": "results.pkl"}
)


def result_of(program: str, sequence: str, results: Path) -> Path:
    """The file that a program wrote for a sequence; TRAM, SLAHMR: the folder of its files.

    It is ``RESULTS/<sequence>.<ending>`` or lies below ``RESULTS/<sequence>``.

    Raises:
        ArtifactError: there is none, or more than one.
    """
    pattern = PATTERNS[program]
    folder, file = results / sequence, results / f"{sequence}{Path(pattern).suffix}"
    found = sorted(folder.rglob(pattern)) if folder.is_dir() else []
    if program == "slahmr" and found:
        return folder
    found += [file] if program != "tram" and file.is_file() else []
    preferred = [path for path in found if path.name == PREFERRED.get(program)]
    found = preferred or found
    if not found:
        ending = "" if program == "tram" else f" or {file}"
        raise ArtifactError(
            f"no result of {program} for {sequence}: expected {pattern} below {folder}{ending}"
        )
    if len(found) > 1:
        raise ArtifactError(
            f"{len(found)} results of {program} for {sequence} ({found[0]}, {found[1]}); "
            "expected one"
        )
    return found[0].parent if program == "tram" else found[0]
