"""``stillroom report DIR``: the run's report again, complete with ledgers, audits and declarations.

``--init`` writes the file that asks a person for what software cannot know. Without it, ledgers
are read, the figures made anew, and the report, its page and its exports written into the folder.
"""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from privacy.cosignatures import COSIGNER_NAME, cosigned_at, ledger_origin
from privacy.errors import MalformedDocumentError, PrivacyError
from privacy.notes import Checkpoint, open_note
from privacy.pack.bodies import read_bodies
from privacy.plan import Plan
from privacy.report.audits import Audit, is_audit, read_audit
from privacy.report.card import card_metadata, card_section
from privacy.report.declarations_file import FILE_NAME, declarations_template, read_declarations
from privacy.report.declared import NOT_DECLARED, Declarations
from privacy.report.evidence import Witnessed
from privacy.report.html import render
from privacy.report.model import Report
from privacy.report.pdf import PdfUnavailableError, to_pdf
from privacy.report.recomputed import LedgerCopy, completed
from privacy.report.registry import registry_entry
from privacy.report.releases import releases_csv
from privacy.report.schema import schema_bytes
from protocol.errors import ProtocolError
from protocol.identity import Registry, region_uid
from stillroom.exits import Exit
from stillroom.terminal import out

_CHECKPOINTS = ("checkpoint.note", "cosigned.note")


def write_declarations(folder: Path) -> Exit:
    """Write the file of declarations, with a sentence of help for each; keep what it says already.

    Raises:
        MalformedDocumentError: If there is a file that cannot be read.
    """
    path = folder / FILE_NAME
    known = _declarations(folder)
    path.write_text(declarations_template(known), encoding="utf-8")
    out.print(
        f"{path}: {len(known.missing)} of {len(list(known.rows()))} fields are not declared; fill "
        f"in what you can answer for, then say: stillroom report {folder}",
        soft_wrap=True,
        markup=False,
    )
    return Exit.DONE


def write_report(folder: Path, target: Path, *, pdf: bool, as_json: bool) -> Exit:
    """Complete the run's report and write it with its page and exports.

    Args:
        folder: The run's folder; ledgers in it are read from copies.
        target: The folder for what is written; the run's own is fine.
        pdf: Whether a PDF is wanted.
        as_json: Whether to print one JSON object.

    Raises:
        MalformedDocumentError: If something in the folder is no document of this release.
        LedgerError: If a ledger is damaged.
    """
    report = complete_report(folder, created_at=_now())
    files = files_of(report)
    code, trouble = Exit.DONE, ""
    if pdf:
        try:
            files["report.pdf"] = to_pdf(files["report.html"].decode())
        except PdfUnavailableError as error:
            code, trouble = Exit.INCOMPLETE, str(error)
    write_files(files, target)
    _tell(report, target, sorted(files), trouble, as_json=as_json)
    return code


def files_of(report: Report) -> dict[str, bytes]:
    """Return what a report is written as, by name: for machines, for people, for others' tools."""
    return {
        "report.json": report.to_json(),
        "report.html": render(report).encode(),
        "schema.json": schema_bytes(),
        "releases.csv": releases_csv(report).encode(),
        "registry-entry.yaml": registry_entry(report).encode(),
        "model-card-sections.md": (card_metadata(report) + "\n" + card_section(report)).encode(),
    }


def write_files(files: Mapping[str, bytes], target: Path) -> None:
    """Write the files of a report into a folder, which is made if it is not there."""
    target.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (target / name).write_bytes(data)


def complete_report(folder: Path, *, created_at: str, all_relations: bool = True) -> Report:
    """Return the report of a run's folder, with all that is in the folder.

    Args:
        folder: Holds ``report.json``, ``plan.json`` and ``regions/``, and may hold
            ``declarations.toml``, ``evidence/*.json`` and ``server/registry.bin``.
        created_at: The time of the report, which its claims say too.
        all_relations: Whether to compute relations that no account limits; persons take minutes.

    Raises:
        MalformedDocumentError: If something in the folder is no document of this release.
        LedgerError: If a ledger is damaged.
    """
    plan = Plan.from_bytes((folder / "plan.json").read_bytes())
    return completed(
        Report.from_json((folder / "report.json").read_bytes()),
        plan,
        _ledgers(folder, plan),
        created_at=created_at,
        declared=_declarations(folder),
        audits=_audits(folder),
        all_relations=all_relations,
    )


def _ledgers(folder: Path, plan: Plan) -> dict[str, LedgerCopy]:
    registry = _registry(folder)
    found = {}
    for name in plan.cohort:
        bodies = read_bodies(folder / "regions" / name)
        if bodies is None:
            raise MalformedDocumentError(
                f"expected the ledger of {name} in {folder / 'regions' / name}, got none; ask the "
                "region for it, as ledger.db or ledger.jsonl"
            )
        if registry is None:
            found[name] = LedgerCopy(bodies)
            continue
        key = registry.record(region_uid(name)).ledger_key
        found[name] = LedgerCopy(bodies, key.hex(), _checkpoints(folder, name, registry, key))
    return found


def _checkpoints(
    folder: Path, region: str, registry: Registry, key: bytes
) -> tuple[Witnessed, ...]:
    """Return the checkpoints that the region signed, with who cosigned them and when."""
    uid = region_uid(region)
    paths = [folder / "regions" / region / name for name in _CHECKPOINTS]
    paths.append(folder / "server" / "witness" / f"{uid.hex()}.note")
    found = set()
    for path in paths:
        if not path.is_file():
            continue
        note = path.read_bytes()
        said = Checkpoint.from_text(open_note(note, name=ledger_origin(uid), public_key=key))
        at = cosigned_at(note, name=COSIGNER_NAME, public_key=registry.cosigner_key)
        witnesses = () if at is None else (COSIGNER_NAME,)
        found.add(Witnessed(said.size, said.root.hex(), witnesses, at or 0))
    return tuple(sorted(found, key=lambda one: (one.size, one.at)))


def _registry(folder: Path) -> Registry | None:
    path = folder / "server" / "registry.bin"
    if not path.is_file():
        return None
    try:
        return Registry.from_bytes(path.read_bytes())
    except ProtocolError as error:
        raise MalformedDocumentError(f"{path} is no registry: {error}") from error


def _audits(folder: Path) -> tuple[Audit, ...]:
    """Return the audits among the run's evidence; what is of another kind is left to others."""
    found = []
    for path in sorted((folder / "evidence").glob("*.json")):
        try:
            if is_audit(data := path.read_bytes()):
                found.append(read_audit(data))
        except PrivacyError as error:
            raise MalformedDocumentError(f"{path} is no audit: {error}") from error
    return tuple(found)


def _declarations(folder: Path) -> Declarations:
    path = folder / FILE_NAME
    return read_declarations(path.read_bytes()) if path.is_file() else Declarations()


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tell(report: Report, target: Path, names: list[str], trouble: str, *, as_json: bool) -> None:
    missing = report.declared.missing
    if as_json:
        found = {
            "folder": str(target),
            "files": names,
            "not_declared": list(missing),
            "alarms": list(report.alarms),
            "trouble": trouble,
        }
        out.print_json(json.dumps(found, ensure_ascii=False))
        return
    out.print(f"{target}: {', '.join(names)}", soft_wrap=True, markup=False)
    if missing:
        out.print(f"{len(missing)} fields say {NOT_DECLARED}: stillroom report DIR --init asks")
    for sentence in (*report.alarms, *([trouble] if trouble else [])):
        out.print(sentence, soft_wrap=True, markup=False)
