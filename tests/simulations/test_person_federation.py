"""Persons as the privacy unit, through a whole federation: capped, counted, charged as persons."""

from pathlib import Path

import pytest

from distillation.study import Study
from privacy.guarantee import Unit
from privacy.plan import Plan
from simulations.simulate import Options, simulate
from simulations.study_data import StudyData
from tests.simulations import tiny_study
from tests.simulations.tiny_study import REGIONS, TinyStudy
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

_CAP, _PERSONS = 2, 5


def _make(folder: Path) -> TinyStudy:
    """Write the tiny study with five persons a region, of whom two have more than two records."""
    study = tiny_study.make(folder, rounds=2)
    head, *rows = study.records()
    of = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4]  # of the twelve records of a region
    named = [[*row, f"{row[3]}{of[place % len(of)]}"] for place, row in enumerate(rows)]
    study.write_records([[*head, "patient"], *named])
    study.edit('region = "region"', 'region = "region"\nunit = "patient"')
    study.edit("[privacy]", '[privacy]\nunit = "person"')
    study.edit(
        f"public_size = {tiny_study.SIZE + 2}",
        f"public_size = {_PERSONS + 1}\nmax_records_per_unit = {_CAP}",
    )
    study.edit("[warm_up]", "[baselines]\nrun = false\n[warm_up]")
    return study


def test_a_persons_further_records_are_left_out(tmp_path: Path) -> None:
    """Of each person at most the cap stays, and every person stays."""
    private = StudyData.read(Study.load(_make(tmp_path).file)).private
    counts = [private.units.count(unit) for unit in sorted(set(private.units))]

    assert max(counts) == _CAP
    assert len(counts) == _PERSONS * len(REGIONS)
    assert len(private) == 9 * len(REGIONS)


@pytest.mark.slow
def test_persons_are_protected_through_a_whole_federation(tmp_path: Path) -> None:
    """Plan, ledgers and report speak of persons, and the auditor's check holds."""
    study, out = _make(tmp_path / "study"), tmp_path / "run"
    report = simulate(study.file, out, Options()).report
    plan = Plan.from_bytes((out / "plan.json").read_bytes())

    assert plan.unit is Unit.PERSON
    assert {terms.max_records_per_unit for terms in plan.regions} == {_CAP}
    assert {region.charged.unit for region in report.regions} == {Unit.PERSON}
    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert check_ledgers(out).outcome is Outcome.HOLDS
