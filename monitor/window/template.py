"""Path templates: text with named parts, ``hcal/depth{depth:?}_{sub}``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]+))?\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A path with named parts.

    ``{name}`` stands for one or more characters other than ``/``; ``{name:GLOB}`` for what the glob matches, in which
    ``*``, ``?`` and ``[...]`` mean what they mean in a shell and ``/`` is matched by none of them.

    Parameters
    ----------
    text
        The template as written.

    Raises
    ------
    ValueError
        If a name stands twice, a brace has no partner, or a glob is not closed.
    """

    text: str
    names: tuple[str, ...]
    literals: int
    """Characters that are not in a named part: of two templates that match, more is the more specific."""
    _pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template that `text` describes."""
        pattern, names, end, literals = "", [], 0, 0
        for match in _PART.finditer(text):
            literal = text[end : match.start()]
            name, glob = match.groups()
            if name in names:
                raise ValueError(f"'{text}' names {{{name}}} twice")
            names.append(name)
            pattern += f"{re.escape(literal)}(?P<{name}>{'[^/]+' if glob is None else _from_glob(glob, text)})"
            literals += len(literal)
            end = match.end()
        pattern += re.escape(text[end:])
        literals += len(text) - end
        if set("{}") & set(_PART.sub("", text)):
            raise ValueError(f"'{text}' has a brace that belongs to no {{name}} or {{name:GLOB}}")
        return cls(text, tuple(names), literals, re.compile(pattern))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the named parts of a path, None if it does not match."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groupdict()

    def fill(self, parts: dict[str, str]) -> str:
        """Return the path with its named parts put in."""
        return _PART.sub(lambda match: parts[match[1]], self.text)


def _from_glob(glob: str, text: str) -> str:
    pattern, at = "", 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            pattern += "[^/]*"
        elif character == "?":
            pattern += "[^/]"
        elif character == "[":
            end = glob.find("]", at + 1)
            if end < 0:
                raise ValueError(f"'{text}' holds a [ without its ]")
            inside = glob[at:end].replace("\\", "\\\\")
            pattern += f"[{'^/' + inside[1:] if inside[0] == '!' else inside.replace('^', chr(92) + '^')}]"
            at = end + 1
        else:
            pattern += re.escape(character)
    return pattern
