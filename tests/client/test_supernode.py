"""The launcher shortens Flower's pauses, and notices when there are none of the known kind."""

import ast
import inspect
import time
import types

import pytest
from flwr.supernode import start_client_internal

from client.executor_runtime import RuntimeApiError
from client.supernode import LONGEST_SLEEP_S, ShortSleeps, shorten_sleeps


def test_flowers_loop_uses_time_to_sleep_and_for_nothing_else() -> None:
    """So its name ``time`` can be given something that only sleeps."""
    tree = ast.parse(inspect.getsource(start_client_internal))
    used = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    ]
    assert used
    assert set(used) == {"sleep"}
    assert vars(start_client_internal)["time"] is time


def test_a_long_pause_becomes_short() -> None:
    """Three seconds in Flower's loop are half a second; no other module is touched."""
    loop = types.ModuleType("loop")
    vars(loop)["time"] = time
    shorten_sleeps(loop)
    began = time.monotonic()
    vars(loop)["time"].sleep(3)

    assert vars(loop)["time"] is ShortSleeps
    assert LONGEST_SLEEP_S <= time.monotonic() - began < 2
    assert vars(start_client_internal)["time"] is time


def test_a_loop_that_does_not_import_time_is_refused() -> None:
    """Better not to start than to believe that the pauses are short."""
    with pytest.raises(RuntimeApiError, match="flower-supernode"):
        shorten_sleeps(types.ModuleType("loop"))
