"""Everything the coordinator raises on purpose.

ServerError
├── RunFailedError      a round stayed void; the run stops and can be resumed
└── CheckpointError     the run folder cannot be read or does not belong to this plan
"""


class ServerError(Exception):
    """The coordinator cannot go on; the message says what to do."""


class RunFailedError(ServerError):
    """No attempt of a round gave a sum."""


class CheckpointError(ServerError):
    """The run folder cannot be used."""
