"""Faults as text: what ``--fault`` takes, and the YAML file of ``--faults``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from monitor.errors import ConfigurationError
from producers.simulate.faults import FAULTS, Fault, require
from producers.simulate.histogram import SimulatedHistogram
from producers.simulate.place import Range, make_fault

SYNTAX = "NAME:STREAM/PATH:x=I:y=J:ls=FIRST-LAST:strength=S"
EXAMPLE = "strip:calo/.../m_clus_etaphi_Et_thresh1:x=34:ls=10-19:strength=0"
_KEYS = ("x", "y", "sector", "ls", "strength")
_FILE_KEYS = ("fault", "histogram", *_KEYS)


def parse_fault(text: str, histograms: Sequence[SimulatedHistogram]) -> Fault:
    """Build the fault that a text describes.

    Parameters
    ----------
    text
        `SYNTAX`. Bins are 0-based, ``x=3`` or ``x=3-5``; a sector takes ``sector=2`` instead. The histogram may be
        the end of a path that fits one histogram only.
    histograms
        Those that there are.

    Raises
    ------
    ConfigurationError
        Naming the text, what is wrong and the nearest that would be right.
    """
    name, _, rest = text.partition(":")
    histogram, *pairs = rest.split(":")
    given: dict[str, Any] = {"fault": name, "histogram": histogram}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        require(bool(equals), f"fault {text!r}: {pair!r} is no KEY=VALUE; write {SYNTAX}")
        require(key not in given, f"fault {text!r}: {key} is given twice")
        given[key] = value
    return _build(given, histograms, f"fault {text!r}")


def read_faults(path: Path, histograms: Sequence[SimulatedHistogram]) -> tuple[Fault, ...]:
    """Read a list of faults from a YAML file.

    Each entry is a text as for `parse_fault`, or a mapping such as
    ``{fault: strip, histogram: calo/..., x: 34, ls: 10-19, strength: 0}``.

    Raises
    ------
    ConfigurationError
        Naming the file, the entry, what is wrong and the nearest that would be right.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    require(isinstance(entries, list), f"{path}: write a list of faults, '- {EXAMPLE}'")
    faults = []
    for number, entry in enumerate(entries, 1):
        try:
            require(isinstance(entry, str | Mapping), "neither a text nor a mapping")
            faults.append(
                parse_fault(entry, histograms) if isinstance(entry, str) else _build(entry, histograms, "mapping")
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}, entry {number}: {error}") from error
    return tuple(faults)


def _build(given: Mapping[Any, Any], histograms: Iterable[SimulatedHistogram], what: str) -> Fault:
    for key in given:
        require(key in _FILE_KEYS, f"{what}: there is no key {key!r}; keys are {', '.join(_FILE_KEYS)}")
    name = str(given.get("fault") or "")
    known = f"names are {', '.join(FAULTS)}"
    require(bool(name), f"{what}: no fault is named; {known}")
    require(bool(given.get("histogram")), f"{what}: no histogram is named; write {SYNTAX}")
    require(given.get("ls") is not None, f"{what}: no lumisections; add ls=10-19, or ls=10 for one")
    try:
        return make_fault(
            name,
            str(given["histogram"]),
            histograms,
            lumisections=_range("ls", given["ls"]),
            x=_range("x", given["x"]) if "x" in given else None,
            y=_range("y", given["y"]) if "y" in given else None,
            sector=int(_number("sector", given["sector"], whole=True)) if "sector" in given else None,
            strength=_number("strength", given["strength"]) if "strength" in given else None,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{what}: {error}") from error


def _range(key: str, given: object) -> Range:
    first, dash, last = str(given).strip().partition("-")
    require(
        first.isdecimal() and (last.isdecimal() if dash else True),
        f"{key}={given} is neither a number from 0 nor a range such as 3-5",
    )
    return (int(first), int(last)) if dash else int(first)


def _number(key: str, given: object, whole: bool = False) -> float:
    text = str(given).strip()
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        raise ConfigurationError(f"{key}={given} is no number") from error
