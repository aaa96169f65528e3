"""What one run of the benchmark does, and how large."""

from __future__ import annotations

from dataclasses import dataclass, replace

_SPARE_PERCENT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes; see ``python -m tests.bench --help``."""

    messages: int = 40_000
    """Messages of one throughput measurement."""
    repetitions: int = 3
    histograms: int = 300
    models: int = 1
    """ONNX models that share the histograms."""
    latency_rate: float = 1000.0
    """Maps a second."""
    latency_messages: int = 20_000
    latency_faulty: float = 0.01
    memory_points: tuple[int, int] = (10_000, 100_000)
    """Messages after which resident memory is compared."""
    stage_seconds: float = 0.3
    """Least time spent on each stage."""
    clustered_points: int = 1_000_000
    clustered_types: int = 3
    """Histogram types of which one map is clustered."""

    @property
    def preloaded(self) -> int:
        """Messages in the topic: more than are measured, so that no partition runs dry meanwhile."""
        return max(self.messages, *self.memory_points) * (100 + _SPARE_PERCENT) // 100

    def quick(self) -> Plan:
        """Return a run that shows that everything works, and no figure to quote."""
        return replace(
            self,
            messages=2000,
            repetitions=1,
            histograms=40,
            latency_messages=2000,
            latency_faulty=0.02,
            memory_points=(200, 2000),
            stage_seconds=0.02,
            clustered_points=10_000,
            clustered_types=1,
        )
