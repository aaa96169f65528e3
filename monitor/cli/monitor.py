"""``histwatch monitor``: the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def monitor(
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration; default: the shipped one.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Build everything, say what was built, and exit.")] = False,
    until_idle: Annotated[
        float | None, typer.Option("--until-idle", metavar="S", min=0.1, help="End when nothing came for S seconds.")
    ] = None,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="S", min=0.0, help="Wait at most S seconds for broker and topic at start."),
    ] = 60.0,
    bootstrap_servers: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Brokers, instead of the configuration's.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Alarm events as JSON lines on stdout, and what was done as the last line.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the configuration, for editors, and exit.")
    ] = False,
) -> int:
    """Consume histogram snapshots, judge them, publish alarms and metrics, until it is told to stop."""
    from json import dumps

    from monitor.cli import common
    from monitor.cli.terminal import complain, emit, say
    from monitor.config import Settings
    from monitor.service.build import build_catalogue, build_derivations
    from monitor.service.daemon import Daemon
    from monitor.service.logs import configure_logging
    from monitor.service.warm import warm_up
    from monitor.sinks.lines import LineSink

    if schema:
        typer.echo(dumps(Settings.model_json_schema(), indent=2))
        return 0
    settings, source = common.settings_at(config)
    if bootstrap_servers is not None:
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})
        settings = settings.model_copy(update={"kafka": kafka})
    configure_logging(settings.service.log_level, settings.service.log_format)
    references = [str(source.parent / path) for path in settings.references]
    derivations = build_derivations(settings, str(source))
    if references:
        # What is wrong with the configuration is said before anybody waits for references.
        build_catalogue(settings, source.parent, str(source), {})
    learned = common.learn_references(references, (), quiet=False, derivations=derivations) if references else {}
    daemon = Daemon(settings, source, learned, [LineSink(emit)] if json else ())
    if check:
        warm_up()
        say(f"{source}: good; {len(settings.types)} types, {len(daemon.models)} models, {len(learned)} references")
        if not settings.types:
            say("  no histogram types: every histogram will be NO_MODEL")
        elif not daemon.models and not learned and all(t.reference == "learned" for t in settings.types):
            say("  neither models nor references: every histogram will be NO_MODEL")
        for model in daemon.models:
            say(f"  model {model.card.name} {model.card.version} for {', '.join(model.card.histogram_types)}")
        for version, catalogue in daemon.shadows.items():
            say(f"  in shadow: version {version}, {sum(1 for _ in catalogue.expectations())} models")
        promises = sorted(daemon.catalogue.promises().items())
        budget = f"  budget {settings.budget.false_alarms_per_shift:g} false alarms in 8 h"
        say(f"{budget}; thresholds of" if promises else budget)
        for promise, number in promises:
            say(f"    {number} expectations: {promise}")
        for words in daemon.broken:
            complain(words)
        return 2 if daemon.broken else 0
    daemon.install_signal_handlers()
    daemon.run(until_idle, wait)
    if json and daemon.service is not None:
        totals = daemon.service.totals
        emit(
            {
                "event": "summary",
                "records": totals.records,
                "verdicts": totals.verdicts,
                "rejects": totals.rejects,
                "windows": totals.windows,
                "alarms": totals.alarms,
            }
        )
    return 0
