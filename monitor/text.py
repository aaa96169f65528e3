"""Text from messages and files, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape what could steer a terminal: text from messages and files is never echoed raw."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
