"""Make ``kafka.lock.json`` anew: ``python -m monitor.broker.lock``.

Resolves Kafka and everything it depends on, fetches each jar, and writes name, version, size and SHA-256 of each. Do
this to take a newer Kafka (change the constants below), read the difference, and commit it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monitor.broker.jars import LOCK, Jar, digest, download, maven
from monitor.errors import BrokerError

VERSION = "4.3.0"
# kafka-clients is named because resolution through kafka_2.13 alone can end at an older one; slf4j-simple writes the
# log to standard error with nothing to configure.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    f"org.apache.kafka:kafka-clients:{VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",
)


def make() -> list[Jar]:
    """Resolve and fetch, and return what to pin, sorted by name."""
    with tempfile.TemporaryDirectory() as scratch:
        context = maven(Path(scratch))
        wanted = [context.create_dependency(coordinate) for coordinate in COORDINATES]
        resolved, further = context.resolver.resolve(wanted)
        needed = [*resolved, *(dependency for dependency in further if dependency.scope in ("compile", "runtime"))]

        def pin(dependency: Any) -> Jar:
            group, name, version, classifier, packaging = dependency.artifact.key
            if classifier or packaging != "jar":
                raise BrokerError(f"{name}-{version}: the lock knows plain jars only, this is {classifier} {packaging}")
            path = download(context, group, name, version)
            return Jar(group, name, version, digest(path), path.stat().st_size)

        with ThreadPoolExecutor(8) as pool:
            jars = sorted(pool.map(pin, needed), key=lambda jar: (jar.name, jar.group))
    if len({jar.file for jar in jars}) != len(jars):
        raise BrokerError("two jars have one file name: the cache directory cannot hold both")
    return jars


def main() -> None:
    """Write the lock."""
    try:
        content = {"version": VERSION, "jars": [asdict(jar) for jar in make()]}
    except BrokerError as error:
        sys.exit(str(error))
    LOCK.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(f"{LOCK}: {len(content['jars'])} jars of Apache Kafka {VERSION}\n")


if __name__ == "__main__":
    main()
