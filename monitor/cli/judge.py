"""``histwatch judge``: the monitor's stages on files."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.options import Cumulative


def judge(
    paths: Annotated[list[str], typer.Argument(help="ROOT files, folders or globs.", metavar="PATH...")],
    reference: Annotated[
        list[str] | None,
        typer.Option("--reference", "-r", metavar="PATH", help="Good runs to compare with; repeat for several."),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="GLOB", help="Only histograms whose path, or its last part, matches."),
    ] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="REGEX", help="How to find run, lumisection and path; see replay --help."),
    ] = None,
    cumulative: Cumulative = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration; default: the shipped one.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One verdict a line on stdout, as JSON; last, what was skipped.")
    ] = False,
) -> int:
    """Judge recorded histograms without Kafka, one verdict each; exit 1 if some are bad or damaged, else 0."""
    from monitor.cli import common
    from monitor.cli.terminal import emit, printable, progress, say
    from monitor.errors import SourceError
    from monitor.service.build import build_catalogue, build_derivations
    from monitor.service.files import judge_snapshots
    from monitor.source.naming import Naming
    from monitor.source.recorded_file import NOT_MEANT
    from monitor.source.recording import Recording
    from monitor.verdict import Verdict
    from monitor.window import Deriver
    from producers.replay import Skips

    settings, source = common.settings_at(config)
    naming = Naming(pattern or ())
    skips = Skips()
    recording = Recording(paths, naming=naming, select=select or (), cumulative=cumulative, on_skip=skips)
    common.require_histograms(recording, paths, select or (), skips)
    derivations = build_derivations(settings, str(source))
    deriver = Deriver(derivations)
    references = [*(str(source.parent / p) for p in settings.references), *(reference or [])]
    if references:
        # What is wrong with the configuration is said before anybody waits for references.
        build_catalogue(settings, source.parent, str(source), {})
    learned = common.learn_references(references, select or (), json, naming, derivations) if references else {}
    catalogue, _ = build_catalogue(settings, source.parent, str(source), learned)
    counts: Counter[Verdict] = Counter()

    def failed(key: str, error: Exception) -> None:
        logging.getLogger(__name__).error("detector failed on %s", key, exc_info=error)

    with progress(json) as bar:
        snapshots = bar.track(recording, total=len(recording), description="judging")
        for judgement in judge_snapshots(snapshots, catalogue, failed, deriver):
            counts[judgement.verdict] += 1
            if json:
                emit(judgement.to_json())
            elif judgement.verdict in (Verdict.BAD, Verdict.WARNING, Verdict.ERROR):
                when = f"run {judgement.run}" + (
                    f" lumisection {judgement.lumisection}" if judgement.lumisection else ""
                )
                typer.echo(printable(f"{judgement.verdict.value:8s}{when}  {judgement.key}: {judgement.reason}"))
    common.say_skips(skips)
    damaged = sum(n for reason, n in skips.counts.items() if reason not in NOT_MEANT)
    if json and skips.counts:
        emit({"event": "skipped", "reasons": skips.record()})
    if derivations:
        deriver.finish()
        made = deriver.events.pop("derived")
        why = common.count_words(deriver.events.items())
        say(f"{made} histograms derived" + (f"; operands without their partner: {why}" if why else ""))
    if counts[Verdict.NO_MODEL] and not references:
        say("for most of these nothing is known to compare with: name good runs with --reference PATH")
    elif counts[Verdict.NO_MODEL] == counts.total() > 0:
        raise SourceError("none of these histograms is in the references: their paths differ, or their streams do")
    summary = common.count_words((v.value, counts[v]) for v in Verdict)
    say(f"{counts.total()} histograms judged: {summary}" if counts else "no histogram found to judge")
    return 1 if counts[Verdict.BAD] or counts[Verdict.ERROR] or damaged else 0
