"""The warm start on generated public text, and the record of it that a plan names.

A student's start learns from curated texts and from generated ones, all answered by the teacher.
No region's record is among them and no budget pays for them; but the start is a release of what
the teacher knows. So the record says which texts there were, how many each filter took away, and
what is declared about the teacher that answered: whoever reads the plan sees whom its guarantee
leaves out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from distillation.data.filters import Reason
from distillation.errors import ArtifactError
from privacy.canonical import Json, dumps, loads
from privacy.errors import InvalidBudgetError, MalformedDocumentError
from privacy.fields import Fields
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import Plan

RECORD = "warm-start.json"
"""What the record's file is called among a plan's artifacts."""

_KIND = "stillroom/warm-start/v1"
_SEED_BITS = 53  # what canonical JSON can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """What a student's start learned from, and by whose answers.

    Attributes:
        curated: Texts of the public file, all of them kept.
        tried: How many texts were generated, before the filters.
        kept: How many of them were learned from.
        dropped: How many each filter took away; a filter that took none is not there.
        seed: Of the generator.
        epochs: Passes over the texts.
        public_file: SHA-256 of the declared public file, hex.
        public_texts: SHA-256 of the texts with their origins, hex.
        teacher: SHA-256 of the weights that answered, hex.
        declaration: What is declared about that teacher.
        student: SHA-256 of the student that came out, hex.
    """

    curated: int
    tried: int
    kept: int
    dropped: Mapping[Reason, int]
    seed: int
    epochs: int
    public_file: str
    public_texts: str
    teacher: str
    declaration: Declaration
    student: str

    def __post_init__(self) -> None:
        counts = (self.curated, self.tried, self.kept, *self.dropped.values())
        if min(counts) < 0 or self.kept + sum(self.dropped.values()) != self.tried:
            raise ArtifactError(
                f"expected the {self.tried} generated texts of a warm start to be kept or dropped, "
                f"got {self.kept} kept and {dict(self.dropped)} dropped"
            )

    @property
    def hash(self) -> str:
        """SHA-256 of the record, hex: what a plan names as its public data."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def require_plan(self, plan: Plan) -> None:
        """Check that this is the warm start of a plan, down to teacher, lineage and student.

        Raises:
            ArtifactError: If it is another plan's, or was changed.
        """
        rows = (
            ("record of the warm start", self.hash, plan.artifacts.public_data),
            ("teacher that answered public texts", self.teacher, plan.artifacts.teacher),
            ("student after its warm start", self.student, plan.artifacts.student),
        )
        for name, found, expected in rows:
            if found != expected:
                raise ArtifactError(
                    f"the {name} is not the plan's: expected sha256 {expected[:16]}…, found "
                    f"{found[:16]}…; fetch {RECORD} again from beside the plan"
                )
        if self.declaration != plan.teacher:
            raise ArtifactError(
                f"{RECORD} declares another lineage of the teacher than the plan "
                f"({self.declaration.lineage}, not {plan.teacher.lineage}): make the plan again"
            )

    @property
    def said(self) -> str:
        """What was learned from and what was dropped, in one sentence for the report."""
        gone = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.dropped.items()))
        return (
            f"Before the first round the student learned from {self.curated:,} public texts and "
            f"{self.kept:,} generated ones (words of the tokenizer beside words of public texts; "
            f"{self.tried:,} tried, dropped: {gone or 'none'}), all answered by the teacher of "
            f"lineage {self.declaration.lineage}; no record of a region was read."
        )

    @property
    def not_covered(self) -> str:
        """What the guarantee leaves out because of it; empty where the teacher is public."""
        if self.declaration.lineage is TeacherLineage.PUBLIC:
            return ""
        return (
            "What the teacher's answers to public and generated texts tell of its own training "
            "data: the student's start learned from them, and no region's budget pays for that. "
            f"{self.declaration.not_covered}"
        )

    def to_bytes(self) -> bytes:
        """Return the record as canonical JSON."""
        found: dict[str, Json] = {
            "kind": _KIND,
            "curated": self.curated,
            "tried": self.tried,
            "kept": self.kept,
            "dropped": [
                {"reason": reason.value, "texts": count}
                for reason, count in sorted(self.dropped.items())
            ],
            "seed": self.seed,
            "epochs": self.epochs,
            "public_file": self.public_file,
            "public_texts": self.public_texts,
            "teacher": self.teacher,
            "declaration": self.declaration.to_json(),
            "student": self.student,
        }
        return dumps(found)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a record.

        Raises:
            ArtifactError: For any other bytes; nothing else is ever raised.
        """
        try:
            found = cls._read(Fields(loads(content), where="warm start"))
            if found.to_bytes() != content:
                raise MalformedDocumentError("another spelling")
        except (ArtifactError, InvalidBudgetError, MalformedDocumentError) as error:
            raise ArtifactError(
                f"expected the record of a warm start ({_KIND}) as it was written, got something "
                "else: fetch it again from beside the plan"
            ) from error
        return found

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        if fields.text("kind") != _KIND:
            raise MalformedDocumentError("another kind")
        found = cls(
            curated=fields.integer("curated"),
            tried=fields.integer("tried"),
            kept=fields.integer("kept"),
            dropped=dict(map(_dropped, fields.objects("dropped"))),
            seed=fields.integer("seed"),
            epochs=fields.integer("epochs"),
            public_file=fields.hex_bytes("public_file", size=32),
            public_texts=fields.hex_bytes("public_texts", size=32),
            teacher=fields.hex_bytes("teacher", size=32),
            declaration=Declaration.from_fields(fields.object("declaration")),
            student=fields.hex_bytes("student", size=32),
        )
        fields.close()
        return found


def _dropped(fields: Fields) -> tuple[Reason, int]:
    found = fields.choice("reason", Reason), fields.integer("texts", least=1)
    fields.close()
    return found


def generator_seed(seed: int) -> int:
    """Return the generator's seed for a study's seed: apart from that of the records' order."""
    digest = hashlib.sha256(b"stillroom/generated-text/v1" + str(seed).encode()).digest()
    return int.from_bytes(digest, "big") >> (8 * len(digest) - _SEED_BITS)
