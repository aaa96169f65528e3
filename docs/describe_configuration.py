"""Write docs/configuration.md from the settings themselves.

python docs/describe_configuration.py docs/configuration.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from monitor.config import Settings

_HEAD = """# Configuration

One YAML file, named with `--config`; `config/monitor.yaml` is the one that comes with histwatch. Unknown keys are
errors that name the nearest known one. Relative paths start from the file's folder. `histwatch monitor --check` builds
everything that the file asks for and exits: 0 good, 2 with one line that says what to mend.

For completion and checks in an editor, point it at `config/monitor.schema.json`, or print the schema with
`histwatch monitor --schema`.
"""


def describe() -> str:
    """Return the page."""
    schema = Settings.model_json_schema()
    parts = [_HEAD]
    for key, value in schema["properties"].items():
        section = _reference(value)
        if section is None:
            parts.append(f"## `{key}`\n\n{_line(value)} Default: {_default(value)}.\n")
            continue
        many = value.get("type") == "array"
        parts += _section(f"## `{key}`", schema["$defs"][section], " A list of:" if many else "")
        for name, one in schema["$defs"][section]["properties"].items():
            if (inner := _reference(one)) is not None:
                parts += _section(f"### `{key}{'[]' if many else ''}.{name}`", schema["$defs"][inner])
    return "\n".join(parts)


def _section(title: str, model: dict[str, Any], more: str = "") -> list[str]:
    required = model.get("required", [])
    rows = [
        f"| `{name}` | {_line(one)} | {'required' if name in required else _default(one)} |"
        for name, one in model["properties"].items()
    ]
    return [f"{title}\n\n{_line(model)}{more}\n", "| key | meaning | default |\n|---|---|---|", *rows, ""]


def _reference(value: dict[str, Any]) -> str | None:
    where = value.get("$ref") or value.get("items", {}).get("$ref")
    return None if where is None else str(where).rsplit("/", 1)[-1]


def _line(value: dict[str, Any]) -> str:
    return " ".join(str(value.get("description", "")).split()).replace("``", "`")


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if isinstance(default, dict) and default:
        return "see below"
    if default in ("", [], {}, None):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(describe(), encoding="utf-8")
