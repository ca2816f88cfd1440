"""The trainer's self-test in a region's life: before a plan is charged, and at every start.

It runs on the trainer, trained part, recipe, terms and teacher that the rounds will use, and on
made-up records. Its result is a note in the region's ledger, with the hash of the code that ran;
a region whose trainer fails reserves nothing. Several regions of one process, as in a simulation,
share a result where all of that is the same.
"""

import hashlib
import importlib.metadata
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import distillation
import privacy
from client.materials import Materials
from client.training import step_terms
from distillation.dp.conformance import Conformance, check_trainer
from privacy.canonical import Json, dumps
from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.plan import Plan

TOPIC = "conformance"
_PACKAGES = (distillation, privacy)
LIBRARIES = ("cryptography", "numpy", "opacus", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Tested:
    """One self-test.

    Attributes:
        code_sha256: Of the code that ran, see `code_sha256`.
        subject_sha256: Of what it ran on: the plan's artifacts and the region's terms of a step.
        found: What it found.
    """

    code_sha256: str
    subject_sha256: str
    found: Conformance

    def to_note(self, plan: Plan) -> dict[str, Json]:
        """Return what the ledger keeps."""
        return {
            "plan": plan.hash,
            "code": self.code_sha256,
            "subject": self.subject_sha256,
            "passed": [f.check.value for f in self.found.findings if f.passed],
            "failed": [f"{f.check}: {f.came}" for f in self.found.failed],
        }


@dataclass(slots=True)
class PassedBefore:
    """The self-tests that this process has passed; one that failed is done again."""

    _found: dict[tuple[str, str], Tested] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def test(self, materials: Materials, plan: Plan, region: str) -> Tested:
        """Return the result for this code and subject; run the test if there is none.

        Args:
            materials: What the rounds will use.
            plan: The plan that they are for.
            region: The region's name in the plan.
        """
        code, subject = code_sha256(), subject_sha256(plan, region)
        with self._lock:
            known = self._found.get((code, subject))
            if known is None:
                terms = step_terms(plan, region)
                found = check_trainer(
                    materials.part, materials.recipe, terms, teacher=materials.teacher
                )
                known = Tested(code, subject, found)
                if found.passed:
                    self._found[code, subject] = known
            return known


passed_before = PassedBefore()
"""This process's. It holds no secret and decides nothing: it saves the second run of one test."""


def require_conformance(materials: Materials, plan: Plan, region: str, ledger: Ledger) -> None:
    """Go on only with a trainer that protects records as the plan promises.

    Guarantees: whatever the result, the ledger has it before this returns or raises. A result that
    is the last one on record is not written again.

    Args:
        materials: What the rounds will use.
        plan: The plan that they are for.
        region: The region's name in the plan.
        ledger: The region's ledger.

    Raises:
        ConformanceError: Naming each check that failed, what was expected and what came.
        LedgerError: If the ledger cannot be written.
    """
    tested = passed_before.test(materials, plan, region)
    note = tested.to_note(plan)
    if note != _last_note(ledger):
        ledger.note(TOPIC, note)
    tested.found.require()


@cache
def code_sha256() -> str:
    """Return the hash of the training code of this process: our sources, and others' versions."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            name = f"{root.name}/{file.relative_to(root).as_posix()}"
            digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()


def subject_sha256(plan: Plan, region: str) -> str:
    """Return the hash of what is tested: all that the test's result may depend on but the code."""
    artifacts, terms = plan.artifacts, step_terms(plan, region)
    said: dict[str, Json] = {
        "teacher": artifacts.teacher,
        "tokenizer": artifacts.tokenizer,
        "student": artifacts.student,
        "recipe": artifacts.recipe,
        "layout": artifacts.layout,
        "noise_multiplier": str(terms.noise_multiplier),
        "clip_norm": str(terms.clip_norm),
        "sample_rate": str(terms.sample_rate),
        "public_size": terms.public_size,
    }
    return hashlib.sha256(dumps(said)).hexdigest()


def _last_note(ledger: Ledger) -> object:
    notes = [
        entry.payload.content
        for entry in ledger.entries()
        if isinstance(entry.payload, Note) and entry.payload.topic == TOPIC
    ]
    return notes[-1] if notes else None
