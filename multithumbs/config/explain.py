"""One line for a value that the configuration refuses: which, why, and what is accepted."""

import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], raw: Any) -> str:
    """The first of the errors as a line; the number of the others is told."""
    errors = error.errors(include_url=False)
    first = errors[0]
    path = _path(first["loc"], raw, missing=first["type"] == "missing")
    line = _line(first, path, model, raw)
    return line if len(errors) == 1 else f"{line} (and {len(errors) - 1} more)"


def fields_at(model: type[BaseModel], path: Sequence[str], raw: Any) -> tuple[str, ...]:
    """Names of the fields of the model that ``raw`` chooses at ``path``; none at a plain value."""
    found = _model_at(model, path, raw)
    return tuple(found.model_fields) if found else ()


def _line(first: Any, path: tuple[str, ...], model: type[BaseModel], raw: Any) -> str:
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        return _unknown_key(path, model, raw)
    if first["type"] == "missing":
        return f"{key} is missing; expected a value"
    message = first["msg"].removeprefix("Value error, ")
    if not key or not isinstance(first["input"], str | int | float | bool | None):
        return f"{key}: {message}" if key and key not in message else message
    about = _description(path, model, raw)
    value = "null" if first["input"] is None else first["input"]
    return f"{key}={value}: {message[0].lower()}{message[1:]}{f' ({about})' if about else ''}"


def _unknown_key(path: tuple[str, ...], model: type[BaseModel], raw: Any) -> str:
    *parent, name = path
    known = [field for field in fields_at(model, parent, raw) if field != "name"]
    key, section = ".".join(path), ".".join(parent)
    for other in _alternatives(model, parent):
        if name in other.model_fields:
            option = other.model_fields["name"].default
            return f"{key} belongs to {section}={option}; write {section}={option} {key}=..."
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown key '{key}'; did you mean '{'.'.join([*parent, near[0]])}'?"
    return f"unknown key '{key}'; expected one of {', '.join(known) or 'none'}"


def _path(loc: Sequence[str | int], raw: Any, *, missing: bool) -> tuple[str, ...]:
    """pydantic's location without the tags that it adds for the members of unions.

    A tag is known by not being in ``raw``; so is a ``missing`` field, which comes last.
    """
    path: list[str] = []
    here = raw
    for at, piece in enumerate(loc):
        if isinstance(here, Mapping):
            if piece not in here and not (missing and at == len(loc) - 1):
                continue
            here = here.get(piece)
        elif isinstance(here, Sequence) and isinstance(piece, int):
            here = here[piece]
        else:
            break  # inside a plain value: a name that pydantic gives to a check
        path.append(str(piece))
    return tuple(path)


def _model_at(model: type[BaseModel], path: Sequence[str], raw: Any) -> type[BaseModel] | None:
    here: type[BaseModel] | None = model
    for piece in path:
        field = here.model_fields.get(piece) if here else None
        if field is None:
            return None
        raw = raw.get(piece, {}) if isinstance(raw, Mapping) else {}
        chosen = raw.get("name") if isinstance(raw, Mapping) else None
        members = list(_members(field.annotation))
        named = [m for m in members if "name" in m.model_fields and _name(m) == chosen]
        here = (named or members or [None])[0]
    return here


def _alternatives(model: type[BaseModel], path: Sequence[str]) -> list[type[BaseModel]]:
    """Members of the union at ``path``."""
    if not path:
        return []
    parent = _model_at(model, path[:-1], {})
    field = parent.model_fields.get(path[-1]) if parent else None
    members = list(_members(field.annotation)) if field else []
    return [m for m in members if "name" in m.model_fields]


def _members(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that an annotation (a model, a union, an Annotated) may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _members(part)


def _name(model: type[BaseModel]) -> Any:
    return model.model_fields["name"].default


def _description(path: tuple[str, ...], model: type[BaseModel], raw: Any) -> str:
    """First sentence of the field's docstring: what it is and its unit."""
    parent = _model_at(model, path[:-1], raw)
    field = parent.model_fields.get(path[-1]) if parent else None
    text = " ".join((field.description or "").split()) if field else ""
    return text.split(". ")[0].rstrip(".")
