"""A real Apache Kafka from Python packages alone: one node, on this machine only, for demo, tests and first steps.

Nothing heavy is imported before a broker is started. See ``docs/adr/0001-embedded-kafka.md`` for the choices.
"""

from monitor.broker.embedded import EmbeddedBroker
from monitor.broker.jars import BrokerUnavailableError
from monitor.broker.state import BrokerInfo
from monitor.broker.topics import create_topics

__all__ = ["BrokerInfo", "BrokerUnavailableError", "EmbeddedBroker", "create_topics"]
