"""What can go wrong, in the rings of failure.

A bad message is a `Reject`: dropped, counted by reason, and the service goes on. What a user can cause and mend
(configuration, model, broker, path) is a `HistwatchError`: one clear line, never a traceback. Anything else is a
defect and ends the process.
"""


class HistwatchError(Exception):
    """A problem that its user can mend.

    The message names the file, key or record it is about and says what to do.
    """

    exit_code = 2


class ConfigurationError(HistwatchError):
    """Configuration that cannot be used; names the file and the key."""


class ModelError(HistwatchError):
    """A model file that breaks the contract; names the file and the reason."""


class BrokerError(HistwatchError):
    """The embedded broker cannot do what was asked."""


class SourceError(HistwatchError):
    """Input that cannot be opened or reached: a path, a topic, a broker."""


class Reject(Exception):  # noqa: N818 - a word for what happens, as in "counted rejects"
    """One message that cannot be used.

    Parameters
    ----------
    reason
        A short fixed word for the counter, for instance ``truncated``; never text from the message.
    detail
        What exactly was wrong, for the log. May quote the message, so it is escaped before it is shown.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
