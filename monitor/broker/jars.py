"""Kafka's jars: fetched once, each pinned by its SHA-256 in ``kafka.lock.json``, all verified on every start.

Only what the lock names is ever fetched or put on the class path: dependencies are resolved when the lock is made
(`monitor.broker.lock`), not when a broker starts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.errors import BrokerError

LOCK = Path(__file__).with_name("kafka.lock.json")
EXTRA = "pip install 'histwatch[broker]'"
_DOWNLOADS = 8  # at once; most jars are small, so latency rules
_TIMEOUT_S = 20

Tell = Callable[[str], None]
"""Told one short line at each slow step."""


class BrokerUnavailableError(BrokerError):
    """What a broker is made of cannot be had here: the Python packages, Java or the jars."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    group: str
    name: str
    version: str
    sha256: str
    size: int
    """In bytes."""

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class Lock:
    """The pinned set of jars."""

    version: str
    """Version of Apache Kafka."""
    jars: tuple[Jar, ...]

    @property
    def size_mb(self) -> int:
        """Size of all jars in MB."""
        return round(sum(jar.size for jar in self.jars) / 1e6)


def read_lock() -> Lock:
    """Read the lock that this package ships."""
    content = json.loads(LOCK.read_text(encoding="utf-8"))
    return Lock(content["version"], tuple(Jar(**jar) for jar in content["jars"]))


def cache_directory(lock: Lock) -> Path:
    """Return where the jars are kept between starts."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "histwatch" / f"kafka-{lock.version}"


def class_path(lock: Lock, tell: Tell) -> list[Path]:
    """Return the verified jars, fetching those that are not there yet.

    Raises
    ------
    BrokerUnavailableError
        When a jar cannot be fetched.
    BrokerError
        When a jar is not the one that was pinned; names each.
    """
    directory = cache_directory(lock)
    paths = [directory / jar.file for jar in lock.jars]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        missing = [jar for jar in lock.jars if not (directory / jar.file).exists()]
        if missing:
            _fetch(lock, missing, directory, tell)
        _refuse_changed(lock.jars, paths)
    except OSError as error:
        raise BrokerError(f"{directory}: cannot keep Kafka's jars here: {error.strerror or error}") from error
    return paths


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def maven(repository: Path) -> Any:
    """Return jgo's view of the jar registry that downloads into `repository`.

    Repositories of the user's jgo configuration (a mirror, for instance) are used instead of the public one.
    """
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext
    except ImportError as error:
        raise BrokerUnavailableError(f"the embedded Kafka needs the [broker] extra: {EXTRA}") from error
    # Without a handler Python would print jgo's warnings to the terminal.
    logging.getLogger("jgo").addHandler(logging.NullHandler())
    mirrors = GlobalSettings.load().repositories
    return MavenContext(repo_cache=repository, local_repos=[], remote_repos=mirrors or None, timeout=_TIMEOUT_S)


def download(context: Any, group: str, name: str, version: str) -> Path:
    """Download one jar and return where it is.

    Raises
    ------
    BrokerUnavailableError
        When it cannot be fetched.
    """
    try:
        path: Path = context.project(group, name).at_version(version).artifact().resolve()
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo says RuntimeError for "not found"
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BrokerUnavailableError(
            f"cannot fetch {name}-{version}.jar ({reason}); Apache Kafka is fetched once, so go online or set "
            "HTTPS_PROXY and try again, or name a mirror under [repositories] in ~/.config/jgo.conf"
        ) from error
    return path


def _fetch(lock: Lock, jars: Sequence[Jar], directory: Path, tell: Tell) -> None:
    """Fetch `jars` into the cache; only a verified jar gets there, and only as a whole."""
    title = f"fetching Apache Kafka {lock.version} ({lock.size_mb} MB, once)"
    tell(title)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch:
        context = maven(Path(scratch))
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            futures = {pool.submit(download, context, jar.group, jar.name, jar.version): jar for jar in jars}
            try:
                for count, future in enumerate(as_completed(futures), start=1):
                    path, jar = future.result(), futures[future]
                    _refuse_changed([jar], [path])
                    path.replace(directory / jar.file)
                    tell(f"{title}: {count} of {len(jars)} jars")
            except BaseException:  # also Ctrl-C: what was opened is closed, and the error goes on
                pool.shutdown(cancel_futures=True)
                raise


def _refuse_changed(jars: Sequence[Jar], paths: Sequence[Path]) -> None:
    changed = [path for jar, path in zip(jars, paths, strict=True) if digest(path) != jar.sha256]
    if changed:
        names = ", ".join(path.name for path in changed)
        raise BrokerError(
            f"not starting Kafka: {names} in {changed[0].parent} does not have the SHA-256 pinned in {LOCK.name}; "
            "remove what is named here to fetch it anew, and ask us if that does not mend it"
        )
