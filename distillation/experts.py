"""Several teachers as one model: a folder with a manifest and a folder an expert.

The plan names one teacher by one hash. For several it is that of the manifest, which holds each
expert's hashes and weight; so a region approves exactly these experts in exactly this mixture.
"""

import hashlib
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from distillation.errors import TeacherError
from distillation.model_files import Expert, ModelFiles, locate
from privacy.canonical import Json, dumps, loads
from privacy.errors import MalformedDocumentError

MANIFEST = "experts.json"
_KIND = "stillroom/experts/v1"


def together(experts: Sequence[Expert]) -> ModelFiles:
    """Return several teachers' files as one teacher's; the first one's tokenizer reads the texts.

    Raises:
        TeacherError: If there are fewer than two, or a weight is none.
    """
    if len(experts) < 2:
        raise TeacherError(f"expected at least two teachers to mix, got {len(experts)}")
    if not all(expert.weight.is_finite() and expert.weight > 0 for expert in experts):
        raise TeacherError("expected a weight above 0 for every teacher of a mixture")
    first = experts[0].files
    digest = hashlib.sha256(_manifest(experts)).hexdigest()
    return ModelFiles(first.folder, digest, first.tokenizer_sha256, experts=tuple(experts))


def write_experts(files: ModelFiles, folder: Path) -> None:
    """Lay the experts out below ``folder`` by links; it is there whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for number, expert in enumerate(files.experts):
        (partial / str(number)).symlink_to(expert.files.folder, target_is_directory=True)
    (partial / MANIFEST).write_bytes(_manifest(files.experts))
    shutil.rmtree(folder, ignore_errors=True)  # of a start that was interrupted
    partial.rename(folder)


def locate_teacher(folder: Path) -> ModelFiles:
    """Find one teacher, or the experts that `write_experts` laid out, and hash it.

    Raises:
        TeacherError: If there is no model, or an expert is not the one that the manifest names.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return locate(str(folder))
    content = manifest.read_bytes()
    try:
        weights = _weights(content)
    except (ArithmeticError, MalformedDocumentError, TypeError, ValueError) as error:
        raise TeacherError(
            f"expected {MANIFEST} to be of kind {_KIND}, got something else: fetch the teacher's "
            "folder again from beside the plan"
        ) from error
    experts = [
        Expert(locate(str(folder / str(number))), weight) for number, weight in enumerate(weights)
    ]
    if _manifest(experts) != content:
        raise TeacherError(
            f"expected the teachers that {MANIFEST} names by their hashes, got others: fetch the "
            "teacher's folder again from beside the plan"
        )
    return together(experts)


def _manifest(experts: Sequence[Expert]) -> bytes:
    rows: list[Json] = [
        {
            "weight": str(expert.weight.normalize()),
            "weights_sha256": expert.files.weights_sha256,
            "tokenizer_sha256": expert.files.tokenizer_sha256,
        }
        for expert in experts
    ]
    return dumps({"kind": _KIND, "experts": rows})


def _weights(content: bytes) -> list[Decimal]:
    found = loads(content)
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise ValueError("another kind")
    rows = found.get("experts")
    if not isinstance(rows, list):
        raise TypeError("no experts")
    weights = []
    for row in rows:
        if not isinstance(row, dict):
            raise TypeError("no expert")
        weights.append(Decimal(str(row.get("weight"))))
    return weights
