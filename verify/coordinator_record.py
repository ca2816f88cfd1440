"""What the coordinator took down (``server/transcript.jsonl``), read strictly.

Each line is one event. Of those that carry signed messages the messages are read, so that a check
rests on signatures and not on the coordinator's word; of the others only that they are lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol.config import RoundConfig, SignedConfig
from protocol.errors import ProtocolError
from protocol.identity import Registry
from protocol.messages import Masked
from protocol.outcome import Outcome
from verify.errors import ContradictedError

MAX_LINE_BYTES = 1 << 23


@dataclass(frozen=True, slots=True)
class CoordinatorRecord:
    """The signed messages on the coordinator's record, each with its good signature.

    Attributes:
        configs: Every attempt that was opened, by context.
        outcomes: Every sum that was published, by context.
        masked: Every vector that was taken, by context and region's uid.
    """

    configs: Mapping[bytes, RoundConfig]
    outcomes: Mapping[bytes, Outcome]
    masked: Mapping[tuple[bytes, bytes], Masked]


def read_record(data: bytes, registry: Registry) -> CoordinatorRecord:
    """Read the record and check every signature in it.

    Args:
        data: The file.
        registry: Everybody's keys.

    Raises:
        ContradictedError: Naming the line.
    """
    configs: dict[bytes, RoundConfig] = {}
    outcomes: dict[bytes, Outcome] = {}
    masked: dict[tuple[bytes, bytes], Masked] = {}
    for number, event in _events(data):
        try:
            match event.get("event"):
                case "config":
                    config = _config(event, registry)
                    configs[config.context()] = config
                case "outcome":
                    outcome = Outcome.from_bytes(_bytes(event, "outcome"))
                    outcome.check_signature(registry, outcome.context)
                    outcomes[outcome.context] = outcome
                case "masked":
                    one = Masked.from_bytes(_bytes(event, "message"))
                    one.verify(registry.record(one.uid).identity_key)
                    masked[one.context, one.uid] = one
        except ProtocolError as error:
            raise ContradictedError(f"line {number}: {error}") from error
    return CoordinatorRecord(configs, outcomes, masked)


def _config(event: Mapping[str, object], registry: Registry) -> RoundConfig:
    signed = SignedConfig.from_bytes(_bytes(event, "signed"))
    signed.verify(registry.server_key)
    return signed.config


def _events(data: bytes) -> Iterator[tuple[int, Mapping[str, object]]]:
    if data and not data.endswith(b"\n"):
        raise ContradictedError("expected whole lines, the last one was cut off")
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"a line of {len(line)} bytes")
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ContradictedError(f"line {number} is no JSON: {error}") from error
        if not isinstance(event, dict):
            raise ContradictedError(f"line {number}: expected an object")
        yield number, event


def _bytes(event: Mapping[str, object], key: str) -> bytes:
    value = event.get(key)
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError as error:
        raise ContradictedError(f"expected {key} in hexadecimal") from error
