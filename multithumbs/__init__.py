"""Everyone's 3D motion from an edited video: one metric world, one identity per person.

`run` processes a video, `load_result` reads what it wrote, `Config` is the configuration.
Attributes are loaded when they are used, so that ``import multithumbs`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from multithumbs.api import run as run
    from multithumbs.config.root import Config as Config
    from multithumbs.export.result import load_result as load_result

__version__: Final = "0.1.0"
__all__ = ["Config", "__version__", "load_result", "run"]

_HOMES: Final = {
    "run": "multithumbs.api",
    "load_result": "multithumbs.export.result",
    "Config": "multithumbs.config.root",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'multithumbs' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
