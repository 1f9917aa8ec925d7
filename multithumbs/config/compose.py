"""From ``configs/`` and a user's overrides to one validated `Config`."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from multithumbs.config.explain import explain, fields_at
from multithumbs.config.root import Config
from multithumbs.errors import ConfigError

ROOT: Final = "default"
_OVERRIDE: Final = re.compile(r"(?P<key>[A-Za-z_][\w.]*)=(?P<value>.*)", re.DOTALL)


def config_folder() -> Path:
    """``configs/`` inside the installed package, or of the source checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def options(group: str) -> tuple[str, ...]:
    """Names that ``group=<name>`` accepts; empty if there is no such group."""
    return tuple(sorted(path.stem for path in (config_folder() / group).glob("*.yaml")))


def load_config(overrides: Sequence[str] = ()) -> Config:
    """Compose and validate. Overrides are ``group=option`` or ``group.key=value``.

    Raises:
        ConfigError: an unknown key or option, or a value out of its bounds: one line.
    """
    prepared = [_prepare(override) for override in overrides]
    try:
        with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
            composed = compose(ROOT, prepared)
            raw = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot compose {' '.join(overrides)}: {reason}") from error
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, raw)) from error


def _prepare(override: str) -> str:
    """The override in Hydra's grammar, its names checked."""
    match = _OVERRIDE.fullmatch(override)
    if match is None:
        raise ConfigError(
            f"'{override}' is no override; expected key=value, such as people=adamw or video.end=10"
        )
    key, value = match["key"], match["value"]
    top, *inner = key.split(".")
    sections = fields_at(Config, (), {})
    if top not in sections:
        raise ConfigError(f"unknown key '{key}'{nearest(top, sections)}")
    if inner == ["name"]:
        raise ConfigError(f"'{override}' chooses no back-end; write {top}={value}")
    if inner:
        return f"++{key}={_quoted(value)}"
    known = options(top)
    if not known:
        inside = ", ".join(f"{top}.{name}" for name in fields_at(Config, (top,), {}))
        raise ConfigError(f"'{top}' is a section; set one of {inside}")
    if value not in known:
        raise ConfigError(f"there is no {top}={value}{nearest(value, known)}")
    return f"{top}={value}"


def nearest(name: str, known: Sequence[str]) -> str:
    """``; did you mean x? expected one of ...``, to end a message about an unknown name."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"; {hint}expected one of {', '.join(known)}"


def _quoted(value: str) -> str:
    """The value itself if Hydra can read it, else quoted: paths hold blanks and brackets."""
    try:
        OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return value


def dump(config: Config) -> dict[str, Any]:
    """The configuration as JSON values, defaults filled in."""
    return config.model_dump(mode="json")
