"""A policy says what it says, and a region's folder keeps to its owner."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import PolicyError, RegionFolderError
from client.folder import RegionFolder, create_keys, write_durably
from client.local_log import LocalLog
from client.policy import Policy
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import TeacherLineage

_POLICY = Policy(
    region="north",
    source="records.csv",
    text="text",
    label=None,
    unit="patient",
    lineage="patients",
    limit=Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal("2.5"), Decimal("0.00001")),
    lineages=(TeacherLineage.PUBLIC, TeacherLineage.EXTERNAL_PRIVATE),
    registry_sha256="0" * 64,
    min_cohort=5,
    max_weight=Fraction(1, 4),
    label_days=30,
)

_REPLACING = Bound(Unit.RECORD, Neighbours.REPLACE_ONE, Decimal(5), Decimal("0.00001"))
_MERGED = replace(
    _POLICY,
    more_limits=(_REPLACING,),
    lineages_merged=("visits",),
    lineages=(*_POLICY.lineages, TeacherLineage.REGION_DP),
    teachers=("0f" * 32,),
)


def test_a_policy_survives_the_disk(tmp_path: Path) -> None:
    """What was written is what is read, numbers exact."""
    _POLICY.save(tmp_path / "policy.toml")

    assert Policy.load(tmp_path / "policy.toml") == _POLICY


def test_a_policy_with_all_it_can_say_survives_the_disk(tmp_path: Path) -> None:
    """Several limits, overlapping accounts and a list of teachers are read as written."""
    _MERGED.save(tmp_path / "policy.toml")

    assert Policy.load(tmp_path / "policy.toml") == _MERGED


def test_limits_may_be_written_as_tables(tmp_path: Path) -> None:
    """The form that a person would write."""
    path = tmp_path / "policy.toml"
    _POLICY.save(path)
    single = 'unit = "record"\nneighbours = "add-or-remove-one"\nepsilon = 2.5\ndelta = 0.00001\n'
    second = 'unit = "record"\nneighbours = "replace-one"\nepsilon = 5\ndelta = 1e-5\n'
    tables = f"\n[[budget.limits]]\n{single}\n[[budget.limits]]\n{second}"
    assert single in path.read_text()
    path.write_text(path.read_text().replace(single, tables))

    assert Policy.load(path) == replace(_POLICY, more_limits=(_REPLACING,))


def test_the_limits_begin_with_the_one_of_the_short_form() -> None:
    """One account has a limit for each declared unit and relation."""
    assert _POLICY.limits == (_POLICY.limit,)
    assert _MERGED.limits == (_POLICY.limit, _REPLACING)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('neighbours = "replace-one"', 'neighbours = "add-or-remove-one"', "keep the smallest"),
        (', neighbours = "replace-one"', "", "limits 2: unknown nothing; missing neighbours"),
        ('neighbours = "replace-one"', 'neighbour = "replace-one"', "unknown neighbour;"),
        (", delta = 0.00001 }", ", delta = 0.00001, sigma = 1 }", "limits 1: unknown sigma;"),
        ("limits = [", "limit = [", r"unknown budget\.limit;"),
        (
            "epsilon = 5.0",
            'epsilon = "five"',
            "limits 2: expected a number for epsilon, got 'five'",
        ),
        ('lineage = "patients"\n', 'lineage = "patients"\nunit = "record"\n', "got both"),
    ],
)
def test_a_wrong_limit_among_several_is_named(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    """The second form is as strict as the first."""
    path = tmp_path / "policy.toml"
    _MERGED.save(path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(PolicyError, match=words):
        Policy.load(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epsilon", "epsilom", r"budget\.epsilom"),
        ("[retention]", "[retensions]", "retensions"),
        ('lineage = "patients"\n', "", r"budget\.lineage"),
        ("min_cohort = 5", "min_cohort = 2", "min_cohort"),
        ("min_cohort = 5", 'min_cohort = "five"', "five"),
        ("epsilon = 2.5", "epsilon = 0", "ε > 0"),
        ("epsilon = 2.5", "epsilon = nan", "NaN"),
        ('"public"', '"region-private"', "region-private"),
        ('"public"', '"undeclared"', "undeclared"),
        ('"1/4"', '"3/2"', "max_weight"),
        ('source = "records.csv"', "source = 7", "source"),
        ("[region]", "[region", "TOML"),
        ("[teacher]", 'overlaps = "visits"\n[teacher]', r"budget\.overlaps: expected a list"),
        ("[teacher]", 'overlaps = ["patients"]\n[teacher]', "names of other accounts"),
        ("[teacher]", 'overlaps = ["a", "a"]\n[teacher]', "each once"),
        ("[teacher]", "limits = []\n[teacher]", "either one limit or"),
        ("[teacher]", '[teacher]\nsha256 = ["abc"]', r"teacher\.sha256"),
        ("[teacher]", '[teacher]\nsha256 = "abc"', "a list of texts"),
        ('"public"', '"cross-fit"', "cross-fit"),
        ('unit = "record"\n', "", "missing unit"),
    ],
)
def test_a_wrong_policy_is_refused_by_its_key(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    """Unknown, missing and impossible values are named."""
    path = tmp_path / "policy.toml"
    _POLICY.save(path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(PolicyError, match=words):
        Policy.load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    policy=st.sampled_from([_POLICY, _MERGED]),
    place=st.integers(0, 800),
    text=st.text(max_size=8),
    cut=st.integers(0, 8),
)
def test_an_edited_policy_is_a_policy_or_is_refused(
    tmp_path: Path, policy: Policy, place: int, text: str, cut: int
) -> None:
    """Whatever is typed into the file, it is read as a policy or refused, nothing else."""
    path = tmp_path / "policy.toml"
    policy.save(path)
    content = path.read_text()
    path.write_text(content[:place] + text + content[place + cut :], encoding="utf-8")
    assert _read_or_refuse(path)


def _read_or_refuse(path: Path) -> str:
    """Return the region, or the sentence that refuses the file."""
    try:
        return Policy.load(path).region
    except PolicyError as error:
        return str(error)


def test_a_missing_policy_says_what_to_do(tmp_path: Path) -> None:
    """What to name instead is said."""
    with pytest.raises(PolicyError, match="folder of a region"):
        Policy.load(tmp_path / "policy.toml")


def test_keys_are_their_owners_alone_and_made_once(tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700; a second region in the folder is refused."""
    folder = RegionFolder(tmp_path / "north")
    keys = create_keys(folder)

    assert keys.identity_key == folder.identity().public_bytes()
    assert keys.identity_key != keys.ledger_key
    assert folder.root.stat().st_mode & 0o777 == 0o700
    for name in ("identity.key", "ledger.key", "labels.key"):
        assert (folder.root / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(RegionFolderError, match="already"):
        create_keys(folder)


def test_a_damaged_or_missing_key_is_named(tmp_path: Path) -> None:
    """A truncated key is not used, and a missing one is asked for."""
    folder = RegionFolder(tmp_path / "north")
    create_keys(folder)
    (folder.root / "labels.key").write_bytes(b"short")
    with pytest.raises(RegionFolderError, match="32 bytes"):
        folder.labels_key()
    (folder.root / "identity.key").unlink()
    with pytest.raises(RegionFolderError, match=r"identity\.key"):
        folder.identity()


def test_a_durable_write_is_whole(tmp_path: Path) -> None:
    """The new content replaces the old as a whole, and leaves nothing else behind."""
    write_durably(tmp_path / "deep" / "file", b"old")
    write_durably(tmp_path / "deep" / "file", b"new")

    assert (tmp_path / "deep" / "file").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_the_local_log_keeps_what_never_leaves(tmp_path: Path) -> None:
    """Kind and text of an error, for the owner's eyes."""
    log = LocalLog(tmp_path / "errors.log")
    assert log.last() == ""
    log.report(ValueError("row 17"))
    log.report(ValueError("half a pair \ud800\nand a second line"))
    assert "a second line" in log.last()
    log.report(KeyError("x"))

    assert "KeyError" in log.last()
    assert "row 17" in log.path.read_text()
    assert log.path.stat().st_mode & 0o777 == 0o600
