"""Package descriptions as a study whose privacy unit is a person: the maintainer.

A catalogue vendor owns a model that files software under one of sixteen sections, trained on the
descriptions of maintainers who are its customers. Three communities have descriptions by other
maintainers and have filed a tenth of them. Everything that one maintainer wrote is in one part
(vendor, private or test) and in one region; of a source package there is one record.

    python -m simulations.package_data --out runs/packages-data --fetch

writes files, teacher and the study; ``make packages`` does that and runs it. Descriptions and
addresses are public, a stand-in for private text. Even so, no address is written: the unit is a
pseudonym under a key that is thrown away, and a text with an address in it is left out.
"""

import argparse
import csv
import hashlib
import hmac
import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError
from distillation.model_files import locate
from distillation.teacher import load_tokenizer
from simulations.demo import study_file
from simulations.demo_data import ENCODER_PACKAGE
from simulations.package_index import Package, fetch, read_packages
from simulations.vendor import build_teacher

PUBLIC_SECTIONS = ("admin", "devel", "editors", "games", "gnome", "graphics", "mail", "net")
"""What the student may see in the open: the vendor's texts of these."""
SECTIONS = (
    *PUBLIC_SECTIONS,
    *("perl", "python", "science", "sound", "text", "utils", "web", "x11"),
)
"""Sections that say what a package is for and have many maintainers; libraries' siblings do not."""

MAX_TOKENS, CAP = 48, 8  # as studies/packages.toml has them
_VENDOR, _TEST = 25, 15
"""Of 100 maintainers: how many are the vendor's and how many are held out; the rest is private."""
_FILED = 10
"""Of 100 private records: how many carry a section that the region can see."""
_LABEL = b"stillroom/package-split/v1"
_TEAM_HOSTS = ("lists.", "alioth-lists.", "tracker.", "packages.")
_HAS_ADDRESS = re.compile(r"\S@\S+\.\S")


class Part(StrEnum):
    """Whose a maintainer's descriptions are."""

    VENDOR = "vendor"
    PRIVATE = "private"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Description:
    """One record: what a maintainer says of one source package.

    Attributes:
        text: At most `MAX_TOKENS` tokens.
        section: Its class.
        source: The source package.
        maintainer: An address, which is never written.
    """

    text: str
    section: str
    source: str
    maintainer: str


def descriptions(
    packages: Iterable[Package], tokenizer: PreTrainedTokenizerBase
) -> tuple[Description, ...]:
    """Return one record a source package, at most `CAP` a maintainer, in a fixed order.

    Of a source's packages the one of its name counts, else the first by name. A source with
    several maintainers is left out: it would tie two units. Which records of a maintainer stay
    depends on that maintainer's own alone: those with the smallest hashes.

    Args:
        packages: As `read_packages` gives them.
        tokenizer: The teacher's: texts are cut to what it may read.
    """
    own: dict[str, list[Package]] = {}
    for package in packages:
        own.setdefault(package.source, []).append(package)
    by_person: dict[str, list[Package]] = {}
    for source, members in own.items():
        filed = [each for each in members if each.section in SECTIONS]
        filed = [each for each in filed if not _HAS_ADDRESS.search(each.text)]
        if filed and len({each.maintainer for each in members}) == 1:
            main = min(filed, key=lambda each: (each.name != source, each.name))
            by_person.setdefault(main.maintainer, []).append(main)
    kept = [
        package
        for _, theirs in sorted(by_person.items())
        for package in sorted(theirs, key=lambda each: _number(b"cap", each.source))[:CAP]
    ]
    texts = _cut([package.text for package in kept], tokenizer)
    return tuple(
        Description(text, package.section, package.source, package.maintainer)
        for text, package in zip(texts, kept, strict=True)
    )


def part_of(maintainer: str, seed: int) -> Part:
    """Return where all of a maintainer's descriptions go."""
    place = _number(b"part%d" % seed, maintainer) % 100
    if place < _VENDOR:
        return Part.VENDOR
    return Part.TEST if place < _VENDOR + _TEST else Part.PRIVATE


def region_of(maintainer: str) -> str:
    """Return the region by the kind of address: ``developers``, ``teams`` or ``others``."""
    host = maintainer.rpartition("@")[2]
    if host == "debian.org":
        return "developers"
    return "teams" if host.startswith(_TEAM_HOSTS) else "others"


def write_files(records: Sequence[Description], folder: Path, *, seed: int) -> None:
    """Write ``vendor.csv``, ``public.csv``, ``records.csv`` and ``test.csv`` into ``folder``.

    ``records.csv`` has the column ``section``, empty where the region has not filed the package,
    ``section_if_filed`` for the researcher's comparison, ``person`` and ``region``. A person is a
    keyed hash of the address; the key is drawn here and kept nowhere, since addresses are public
    and anyone could hash them all.

    Args:
        records: As `descriptions` gives them.
        folder: Made if missing.
        seed: Of the split; public, it touches neither noise nor sampling.

    Raises:
        RecordsError: If a part came out empty.
        OSError: If they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[Part, list[Description]] = {part: [] for part in Part}
    for record in records:
        parts[part_of(record.maintainer, seed)].append(record)
    public = [each for each in parts[Part.VENDOR] if each.section in PUBLIC_SECTIONS]
    if not public or not all(parts.values()):
        raise RecordsError(
            f"expected descriptions for every part, got {len(records)} in all: are the indices "
            "those of a whole release?"
        )
    for name, own in (
        ("vendor", parts[Part.VENDOR]),
        ("public", public),
        ("test", parts[Part.TEST]),
    ):
        _write(folder / f"{name}.csv", ["text", "section"], [[r.text, r.section] for r in own])
    key = secrets.token_bytes(32)
    rows = [
        [
            record.text,
            record.section if _is_filed(record, seed) else "",
            record.section,
            hmac.digest(key, record.maintainer.encode(), "sha256").hex()[:16],
            region_of(record.maintainer),
        ]
        for record in parts[Part.PRIVATE]
    ]
    header = ["text", "section", "section_if_filed", "person", "region"]
    _write(folder / "records.csv", header, rows)


def write_study(records: Sequence[Description], folder: Path, *, seed: int) -> Path:
    """Write one split's files, its vendor's teacher and the study; return the study's path.

    The study is written last: with it, everything else is whole.
    """
    write_files(records, folder, seed=seed)
    theirs = [each for each in records if part_of(each.maintainer, seed) is Part.VENDOR]
    build_teacher(
        locate(f"package:{ENCODER_PACKAGE}"),
        [each.text for each in theirs],
        [each.section for each in theirs],
        folder=folder / "teacher",
    )
    study = folder / "study.toml"
    shutil.copyfile(study_file("packages.toml"), study)
    return study


def read_descriptions(lists: Path) -> tuple[Description, ...]:
    """Return the study's records from the indices in ``lists``.

    Raises:
        RecordsError: If an index is missing.
        TeacherError: If the encoder is not installed.
    """
    tokenizer = load_tokenizer(locate(f"package:{ENCODER_PACKAGE}"))
    return descriptions(read_packages(lists), tokenizer)


def main() -> None:
    """Write the study's files."""
    parser = argparse.ArgumentParser(description="Write the packages study and its data.")
    parser.add_argument("--out", type=Path, required=True, help="A folder.")
    parser.add_argument("--lists", type=Path, help="Where the indices are; else OUT/lists.")
    parser.add_argument("--fetch", action="store_true", help="Have apt fetch them first.")
    parser.add_argument("--seed", type=int, default=0, help="Of the split.")
    asked = parser.parse_args()
    lists = asked.lists or asked.out / "lists"
    try:
        if asked.fetch:
            fetch(lists)
        records = read_descriptions(lists)
        write_study(records, asked.out, seed=asked.seed)
    except RecordsError as error:
        parser.exit(1, f"{error}\n")
    people = len({record.maintainer for record in records})
    print(f"{len(records)} descriptions by {people} maintainers in {asked.out}")


def _is_filed(record: Description, seed: int) -> bool:
    return _number(b"filed%d" % seed, record.source) % 100 < _FILED


def _cut(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return texts of at most `MAX_TOKENS` tokens, cut between words."""
    read = tokenizer(
        list(texts), truncation=True, max_length=MAX_TOKENS, return_offsets_mapping=True
    )
    ends = [max(end for _, end in offsets) for offsets in read["offset_mapping"]]
    return [_whole_words(text, end) for text, end in zip(texts, ends, strict=True)]


def _whole_words(text: str, end: int) -> str:
    """Return the start of a text, without the word that ``end`` would cut in two."""
    start = text[:end]
    return start if text[end : end + 1].strip() == "" else start.rpartition(" ")[0]


def _number(purpose: bytes, text: str) -> int:
    """Return a number that anyone can recompute, and that no other record changes."""
    digest = hashlib.sha256(_LABEL + purpose + b"\0" + text.encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
