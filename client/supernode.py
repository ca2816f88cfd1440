"""Flower's SuperNode, asking its SuperLink for messages more often than every three seconds.

    python -m client.supernode --superlink … --isolation process …

takes the options of ``flower-supernode`` and is that program. Its loop sleeps for a hard-coded
three seconds whenever it finds no message; a round is several messages one after the other, so
that most of a small round would be sleep. Only that pause is shortened: the loop's module is given
a ``time`` of its own. ``tests/client/test_supernode.py`` fails when Flower's loop changes.
"""

import sys
import time
from types import ModuleType

from flwr.supernode import start_client_internal as loop_module
from flwr.supernode.cli.flower_supernode import flower_supernode

from client.executor_runtime import RuntimeApiError

LONGEST_SLEEP_S = 0.5
"""Two signed requests a second and region, of a few hundred bytes each."""


class ShortSleeps:
    """What Flower's loop finds under the name ``time``."""

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep, but not for longer than `LONGEST_SLEEP_S`."""
        time.sleep(min(seconds, LONGEST_SLEEP_S))


def shorten_sleeps(module: ModuleType) -> None:
    """Shorten the pauses of Flower's loop.

    Raises:
        RuntimeApiError: If the loop does not sleep by the name that it had.
    """
    if vars(module).get("time") is not time:
        raise RuntimeApiError(
            f"{module.__name__} does not import time as it did in Flower 1.41: start "
            "flower-supernode itself, which waits up to 3 s for every message"
        )
    vars(module)["time"] = ShortSleeps


def main() -> None:
    """Run Flower's own program."""
    shorten_sleeps(loop_module)
    sys.argv[0] = "flower-supernode"
    flower_supernode()


if __name__ == "__main__":
    main()
