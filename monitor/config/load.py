"""Read a configuration file; say of a wrong key where it is and which known key is nearest."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from monitor.config.settings import Settings
from monitor.errors import ConfigurationError

MAX_BYTES = 4 * 1024 * 1024


class _Loader(yaml.SafeLoader):
    """Safe YAML without duplicate keys, aliases or nesting that could be a trap."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not accepted", self._mark())
        self.depth += 1
        if self.depth > 50:
            raise yaml.composer.ComposerError(None, None, "nested deeper than 50", self._mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _mark(self) -> Any:
        return self.peek_event().start_mark  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_settings(path: Path) -> Settings:
    """Return the settings in a file.

    Raises
    ------
    ConfigurationError
        Naming the file and the first wrong key, with the nearest known one.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes, not a configuration file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file; name one with --config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read, {error}") from error
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader, see above
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: {_where(error)}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: nested too deeply") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # PyYAML's own constructors fail so on what only looks like a date or a number.
        raise ConfigurationError(f"{path}: holds a value that is not what it looks like, {error}; quote it") from error
    return settings_from({} if data is None else data, str(path))


def settings_from(data: object, source: str) -> Settings:
    """Return validated settings; `source` names them in messages.

    Raises
    ------
    ConfigurationError
        Naming the source and the first wrong key, with the nearest known one.
    """
    if not isinstance(data, dict):
        raise ConfigurationError(f"{source}: must hold keys and values, found {type(data).__name__}")
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()[:5]]
        raise ConfigurationError(f"{source}: " + "; ".join(lines)) from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else f"not YAML, {problem}"


def _explain(problem: Any) -> str:
    location = problem["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if problem["type"] == "extra_forbidden":
        known = list(_keys_at(location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        return f"{key}: unknown key, {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else str(message)


def _keys_at(location: tuple[int | str, ...]) -> Iterator[str]:
    """Iterate over the keys that are known at a place of the settings."""
    model: Any = Settings
    for part in location:
        if isinstance(part, int):
            continue
        model = _model_in(model.model_fields[part].annotation)
        if model is None:
            return
    yield from model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (tuple, list, typing.Union, types.UnionType, typing.Annotated):
        for inner in typing.get_args(annotation):
            found = _model_in(inner)
            if found is not None:
                return found
    return None
