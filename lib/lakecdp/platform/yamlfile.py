"""YAML that remembers its lines, so that a wrong rule is refused with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from lakecdp.platform.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
Lines = dict[tuple[str | int, ...], int]


class Document:
    """A parsed YAML mapping and the line of every key and list item in it.

    Attributes:
        path: the file, or a name for text that has none.
        data: the parsed mapping.
        lines: path of keys and indexes -> 1-based line.
    """

    def __init__(self, path: Path | str, data: dict[str, Any], lines: Lines):
        self.path = str(path)
        self.data = data
        self.lines = lines

    def line(self, loc: Sequence[str | int]) -> int | None:
        """Line of the deepest part of `loc` that stands in the file."""
        for end in range(len(loc), 0, -1):
            found = self.lines.get(tuple(loc[:end]))
            if found is not None:
                return found
        return 1 if self.lines else None

    def error(self, message: str, *loc: str | int) -> ConfigError:
        """A `ConfigError` at the line of `loc`."""
        return ConfigError(message, self.path, self.line(loc))


def load(path: Path) -> Document:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: unreadable, not YAML, a key given twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise ConfigError(f"the file cannot be read ({e.strerror})", path) from None
    except UnicodeDecodeError as e:
        raise ConfigError(f"the file is not UTF-8 at byte {e.start}", path) from None
    return loads(text, path)


def loads(text: str, path: Path | str) -> Document:
    """Parse YAML text; see `load`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Document(path, {}, {})
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError("the file must be a mapping of keys to values", path, 1)
        lines: Lines = {}
        _walk(node, (), lines, str(path))
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark
        raise ConfigError(
            f"not valid YAML: {e.problem}", path, mark.line + 1 if mark else None
        ) from None
    except (yaml.YAMLError, ValueError) as e:
        raise ConfigError(f"not valid YAML: {' '.join(str(e).split())}", path) from None
    return Document(path, data, lines)


def _walk(node: yaml.Node, loc: tuple[str | int, ...], lines: Lines, path: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*loc, str(key.value))
            if here in lines:
                raise ConfigError(
                    f"the key `{key.value}` is given twice", path, key.start_mark.line + 1
                )
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            lines[(*loc, i)] = value.start_mark.line + 1
            _walk(value, (*loc, i), lines, path)


def parse(document: Document, model: type[M], data: Mapping[str, Any] | None = None) -> M:
    """Check a document against a pydantic model.

    Raises:
        ConfigError: the first thing wrong, with its line, and the keys or values that are allowed.
    """
    try:
        return model.model_validate(dict(document.data if data is None else data))
    except ValidationError as e:
        first = e.errors()[0]
        loc = tuple(first["loc"])
        raise document.error(_sentence(first, loc, model), *loc) from None


def _sentence(error: Any, loc: tuple[str | int, ...], model: type[BaseModel]) -> str:
    name = ".".join(str(p) for p in loc)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, 1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        return f"unknown key `{name}`{hint}; allowed here: {', '.join(known)}"
    if kind == "missing":
        return f"the key `{name}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"`{name}`: {message}" if name else message
    return f"`{name}` is {error['input']!r}: {message[0].lower()}{message[1:]}"


def _fields_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Names of the fields allowed at a place, following nested models, lists and mappings."""
    current: list[Any] = [model]
    for part in loc:
        current = [below for a in current for below in _below(a, str(part))]
    models = [
        m
        for a in current
        for m in _unwrapped(a)
        if isinstance(m, type) and issubclass(m, BaseModel)
    ]
    return [f.alias or n for m in models for n, f in m.model_fields.items()]


def _below(annotation: Any, part: str) -> list[Any]:
    """The annotations of what lies below a key or an index."""
    found: list[Any] = []
    for a in _unwrapped(annotation):
        arguments = [x for x in getattr(a, "__args__", ()) if x is not Ellipsis]
        if isinstance(a, type) and issubclass(a, BaseModel):
            found += [a.model_fields[part].annotation] if part in a.model_fields else []
        elif arguments:
            found.append(arguments[-1])
    return found


def _unwrapped(annotation: Any) -> list[Any]:
    """The members of a union, and what an Annotated type annotates."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrapped(annotation.__origin__)
    if origin in (Union, UnionType):
        return [m for a in annotation.__args__ for m in _unwrapped(a)]
    return [annotation]
