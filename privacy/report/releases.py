"""Every release of a report as a table for spreadsheets (RFC 4180)."""

from __future__ import annotations

import csv
import io

from privacy.report.model import Report

COLUMNS = (
    "region",
    "plan",
    "round",
    "component",
    "kind",
    "bytes",
    "sha256",
    "context",
    "destination",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def releases_csv(report: Report) -> str:
    """Return one row for each payload that was fixed and each message that left.

    Where no ledger was read, the rows are the vectors that the report itself names.
    """
    text = io.StringIO()
    # A spreadsheet takes what begins like a formula for one; a region's name may come from others.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in _rows(report):
        writer.writerow([_inert(value) for value in row])
    return text.getvalue()


def _rows(report: Report) -> list[tuple[str | int, ...]]:
    rows: list[tuple[str | int, ...]] = []
    for one in report.ledgers:
        rows += [
            (
                one.region,
                it.plan,
                it.round,
                it.component,
                "payload",
                it.payload_bytes,
                it.payload_sha256,
                "",
                "",
            )
            for it in one.released
        ]
        rows += [
            (
                one.region,
                it.plan,
                it.round,
                it.component,
                "message",
                it.wire_bytes,
                it.wire_sha256,
                it.context,
                it.destination,
            )
            for it in one.messages
        ]
    if report.ledgers:
        return rows
    return [
        (
            region.name,
            report.plan,
            sent.round,
            "train",
            "message",
            sent.wire_bytes,
            sent.wire_sha256,
            "",
            sent.destination,
        )
        for region in report.regions
        for sent in region.sent
    ]


def _inert(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
