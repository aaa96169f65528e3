"""Which rule and which expectation belong to a histogram."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from monitor.detect.base import DEFAULT_CHANCE, Detector, Expected
from monitor.infer import Classifier, Model
from monitor.infer.calibration import promise_of
from monitor.judge.state import AdaptiveOptions
from monitor.window import Minimum

_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How histograms of one type are judged."""

    name: str
    match: tuple[str, ...]
    """Globs of ``stream/path``."""
    subsystem: str
    detector: Detector
    minimum: Minimum = field(default_factory=Minimum)
    guidance: str = ""
    model: str = ""
    """Name of the model to use; empty: the first whose card names the histogram."""
    chance: float = DEFAULT_CHANCE
    """Chance of a false alarm that one judgement may have."""
    adaptive: AdaptiveOptions | None = None
    """How histograms are compared with their own past; None: with what was learned of good runs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one histogram: its rule and expectation, or why there is none."""

    rule: Rule | None
    expected: Expected | None
    missing: str = ""
    """Why the histogram cannot be judged; empty if it can."""
    classifiers: tuple[Classifier, ...] = ()
    """What may name its faults."""


class Catalogue:
    """Finds rule and expectation by ``stream/path``; the first rule that matches counts.

    Parameters
    ----------
    rules
        In order of precedence.
    models
        Models; a card's exact name goes before its globs, and those in the order given.
    references
        Expectations learned at start, by ``stream/path``; they go before models. One whose path is in no other
        stream of them serves that path of any stream.
    classifiers
        What names faults of the histograms that their cards match, in order of precedence.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        models: Sequence[Model] = (),
        references: Mapping[str, Expected] | None = None,
        classifiers: Sequence[Classifier] = (),
    ) -> None:
        self.rules = tuple(rules)
        self._classifiers = tuple(classifiers)
        self._references = dict(references or {})
        # A stream is named after the folder of a recording: good runs kept in another folder are meant all the same.
        paths = Counter(key.partition("/")[2] for key in self._references)
        self._by_path = {
            path: expected for key, expected in self._references.items() if paths[path := key.partition("/")[2]] == 1
        }
        self._models = tuple((m, Expected(m.reference, m, m.card.normalisation)) for m in models)
        self._exact = {glob: pair for pair in reversed(self._models) for glob in pair[0].card.histogram_types}
        self._known: dict[str, Entry] = {}

    def expectations(self) -> Iterator[Expected]:
        """Return all that histograms are compared with."""
        yield from self._references.values()
        yield from (expected for _, expected in self._models)

    def promises(self) -> Counter[str]:
        """Return what stands behind the thresholds, in words, and of how many expectations."""
        # Every type may have its own chance of a false alarm; the smallest is the hardest to promise.
        chance = min((rule.chance for rule in self.rules), default=DEFAULT_CHANCE)
        return Counter(promise_of(expected.reference.pool, chance) for expected in self.expectations())

    def prepare(self) -> None:
        """Build what expectations build when they are first used, before the first message waits for it."""
        for expected in self.expectations():
            reference = expected.reference
            _ = reference.entry_blocks if reference.profile else (reference.table, reference.unsteadiness)

    def __getitem__(self, key: str) -> Entry:
        entry = self._known.get(key)
        if entry is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            entry = self._known[key] = self._with_classifiers(key, self._find(key))
        return entry

    def _with_classifiers(self, key: str, entry: Entry) -> Entry:
        named = tuple(c for c in self._classifiers if any(fnmatchcase(key, g) for g in c.card.histogram_types))
        return replace(entry, classifiers=named) if named else entry

    def _find(self, key: str) -> Entry:
        rule = next((r for r in self.rules if any(fnmatchcase(key, glob) for glob in r.match)), None)
        if rule is None:
            return Entry(None, None, "no histogram type in the configuration matches its path")
        if rule.adaptive is not None:
            return Entry(rule, None)
        entry = self._expectation(key, rule)
        scale = "exposure" if entry.expected is None else entry.expected.normalisation
        if rule.detector.needs_rates and scale != "exposure":
            return Entry(
                rule,
                None,
                f"its model works in the scale '{scale}', in which detector {rule.detector.name} knows no rate",
            )
        return entry

    def _expectation(self, key: str, rule: Rule) -> Entry:
        if key in self._references:
            return Entry(rule, self._references[key])
        elsewhere = self._by_path.get(key.partition("/")[2])
        if elsewhere is not None:
            return Entry(rule, elsewhere)
        named = [p for p in self._models if p[0].card.name == rule.model] if rule.model else self._models
        exact = self._exact.get(key)
        if exact is not None and exact in named:
            return Entry(rule, exact[1])
        for model, expected in named:
            if any(fnmatchcase(key, glob) for glob in model.card.histogram_types):
                return Entry(rule, expected)
        return Entry(rule, None, "no model and no reference for it; make one with: histwatch learn")
