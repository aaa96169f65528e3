"""Every key of the configuration file, with its unit and default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$")]
Topic = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class KafkaSettings(_Frozen):
    """Where snapshots come from and alarms go to."""

    bootstrap_servers: Annotated[
        str, Field(pattern=r"^[^\s,:\[\]]+:\d{1,5}(,[^\s,:\[\]]+:\d{1,5})*$|^\[[0-9A-Fa-f:]+\]:\d{1,5}$")
    ] = "127.0.0.1:9092"
    """Brokers as host:port, separated by commas."""
    topic: Topic = "dqm.histograms"
    """Topic of the snapshots."""
    alarms_topic: Topic = "dqm.alarms"
    """Topic of the alarm events; made if it does not exist and the broker allows it."""
    group: Name = "histwatch"
    """Consumer group. Workers of one group share the partitions."""
    instance: Name | None = None
    """Name of this worker within the group (static membership): a restart within the session timeout keeps its
    partitions. Each worker needs its own; none means dynamic membership."""
    start: Literal["earliest", "latest"] = "latest"
    """Where to start in a partition without a committed offset."""
    session_timeout_s: PositiveSeconds = 45.0
    """Silence in s after which the broker gives a worker's partitions to others."""
    fetch_max_bytes_per_partition: Annotated[int, Field(ge=64 * 1024, le=64 * 1024 * 1024)] = 2 * 1024 * 1024
    """Most bytes fetched from a partition at once. Larger is slower: buffers fall out of the allocator's reuse."""
    max_poll_records: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Most snapshots in a batch."""


class ModelSettings(_Frozen):
    """The ONNX models."""

    directory: str | None = "models"
    """Folder of ``*.onnx``, or of versions of them (docs/learning.md), relative to this file; null: no models."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one inference call."""


SHIFT_S = 8 * 3600.0


class BudgetSettings(_Frozen):
    """How many false alarms the crew accepts; thresholds follow from it."""

    false_alarms_per_shift: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    """False alarms in 8 h, of all histograms together."""
    lumisection_s: Annotated[float, Field(gt=0, le=86_400)] = 23.3
    """Time in s between two updates of a histogram."""
    histograms: Annotated[int, Field(ge=1)] | None = None
    """Histograms that share the budget; none: as many as have a model or a reference."""

    def chance(self, histograms: int, lumisections: int = 1) -> float:
        """Return the chance of a false alarm that one judgement may have.

        Parameters
        ----------
        histograms
            How many share the budget, where the configuration does not say.
        lumisections
            Updates from one judgement of a histogram to the next.
        """
        judgements = (self.histograms or max(1, histograms)) * SHIFT_S / (self.lumisection_s * lumisections)
        return min(0.5, self.false_alarms_per_shift / judgements)


class AlarmSettings(_Frozen):
    """When alarms are raised and cleared."""

    raise_after: Annotated[int, Field(ge=1, le=1000)] = 1
    """Judgements in a row that must show a fault before it is an alarm."""
    clear_after: Annotated[int, Field(ge=1, le=1000)] = 1
    """Judgements in a row without the fault before its alarm is cleared."""


class ServiceSettings(_Frozen):
    """The daemon itself."""

    metrics_address: str = "127.0.0.1"
    """Address of the metrics page."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9108
    """Port of the metrics page; 0: any free one."""
    metrics: bool = True
    """Whether to serve the metrics page at all."""
    commit_interval_s: PositiveSeconds = 1.0
    """Longest time in s between a judged snapshot and the commit of its offset."""
    watchdog_s: PositiveSeconds = 60.0
    """Time in s without progress of the poll loop or of a batch after which the process ends with exit code 70."""
    queue_batches: Annotated[int, Field(ge=1, le=100)] = 2
    """Batches that may wait between poll thread and worker."""
    max_histograms: Annotated[int, Field(ge=1)] = 100_000
    """Histograms of a partition whose windows are kept; the least recently seen go first."""
    max_window_mb: Annotated[int, Field(ge=1)] = 2048
    """Memory in MB for the windows of a partition; the least recently seen go first."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    log_format: Literal["json", "text"] = "text"
    """One JSON object a line, or text."""


class AdaptiveSettings(_Frozen):
    """How a histogram is compared with its own last lumisections. Numbers count intervals, but for thresholds."""

    check: Literal["scan", "detector"] = "scan"
    """What compares shapes: `scan`, windows of neighbouring bins; or the type's `detector`."""
    window: Annotated[int, Field(ge=2, le=1000)] = 20
    """Good intervals that the reference is made of, the newest."""
    threshold: Annotated[float, Field(gt=0)] = 8.0
    """Score beyond which an interval is bad, in units of the level that good ones stay below."""
    early: Annotated[int, Field(ge=0)] = 15
    """First intervals of a run, in which a new state is taken over quickly."""
    rebase_early: Annotated[int, Field(ge=2, le=1000)] = 3
    """Flagged intervals in a row, agreeing with one another, that are a new state early in a run."""
    rebase_late: Annotated[int, Field(ge=2, le=1000)] = 12
    """The same later in a run."""
    levels: Annotated[int, Field(ge=10, le=10_000)] = 100
    """Good scores that the level is taken of, the newest."""
    level_share: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of them that stays below the level."""
    rates: Annotated[int, Field(ge=3, le=10_000)] = 20
    """Intervals of the run that the median rate is taken of, the newest."""
    lowest_rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the median of entries per lumisection below which an interval is bad; 0: none."""
    highest_rate: Annotated[float, Field(ge=0)] = 0.0
    """Multiple of that median beyond which an interval is bad; 0: none."""

    @field_validator("highest_rate")
    @classmethod
    def _above_one(cls, value: float) -> float:
        if 0 < value <= 1:
            raise ValueError("must be above 1, or 0 for none")
        return value


class TypeSettings(_Frozen):
    """One histogram type: which histograms it covers and how they are judged. The first that matches counts."""

    name: Name
    """Name of the type, in verdicts."""
    match: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Globs of ``stream/path``; ``*`` crosses slashes."""
    subsystem: Name = "unknown"
    """Label of its metrics; keep the number of different ones small."""
    detector: Name = "expectation"
    """``expectation``, or another of docs/detectors.md."""
    thresholds: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Of the detector, see docs/detectors.md; ``expectation``: ``bin`` and ``strip``, in standard deviations, instead
    of those that follow from the budget."""
    options: dict[str, float | int | str] = Field(default_factory=dict)
    """Of the detector, see docs/detectors.md; ``dbscan``: ``mode``, ``eps_threshold``, ``minpts``, ``min_samples``,
    ``backend``."""
    model: str = ""
    """Name of the model to use, as in its card; empty: the one whose card names the histogram."""
    reference: Literal["learned", "adaptive"] = "learned"
    """What histograms are compared with: what was `learned` of good runs, or (`adaptive`) their own last good
    lumisections."""
    adaptive: AdaptiveSettings = AdaptiveSettings()
    """How, where `reference` is `adaptive`; see below."""
    minimum_entries: Annotated[float, Field(ge=0)] = 1.0
    """Entries that an interval must hold before it is judged."""
    minimum_lumisections: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Lumisections that an interval must span before it is judged."""
    guidance: Annotated[str, Field(max_length=1000)] = ""
    """What the shifter should do, shown with every alarm."""


class DeriveSettings(_Frozen):
    """Histograms made of two others each, of the same stream, run, lumisections and update.

    They are judged, and learned from good runs, like those that were sent. In paths, `{name}` stands for text without
    `/`, `{name:GLOB}` for such text that the glob matches; all three paths name the same parts.
    """

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    """Path of what is derived, for instance `hcal/mean_{name}`."""
    operation: Literal["ratio", "difference", "sum"]
    """Of the two operands, in their order: a / b, a - b or a + b."""
    of: tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]]
    """Paths of the two operands."""
    stream: Annotated[str, Field(min_length=1)] = "*"
    """Glob of the streams it applies to."""
    errors: Literal["independent", "shared", "unknown"] = "independent"
    """`independent`: both operands' errors are propagated. `shared`: every entry of the first is one of the second's,
    as for a mean (summed amplitude over counter) or an efficiency. `unknown`: sums without errors, no errors."""


class Settings(_Frozen):
    """The whole configuration file."""

    kafka: KafkaSettings = KafkaSettings()
    models: ModelSettings = ModelSettings()
    references: tuple[str, ...] = ()
    """Files, folders or globs of recorded good runs, relative to this file, that histograms are compared with where
    they go before models; learned at start."""
    budget: BudgetSettings = BudgetSettings()
    alarms: AlarmSettings = AlarmSettings()
    service: ServiceSettings = ServiceSettings()
    derive: tuple[DeriveSettings, ...] = ()
    """Histograms made of others."""
    types: tuple[TypeSettings, ...] = ()
    """Histogram types, in order of precedence."""

    @field_validator("types")
    @classmethod
    def _names_differ(cls, types: tuple[TypeSettings, ...]) -> tuple[TypeSettings, ...]:
        seen: set[str] = set()
        for one in types:
            if one.name in seen:
                raise ValueError(f"two types are named '{one.name}'")
            seen.add(one.name)
        return types
