"""What a study says of its teacher becomes the declaration that plans hold."""

from decimal import Decimal
from pathlib import Path

import pytest

from distillation.errors import StudyError
from privacy.errors import LineageRefusedError
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import Declaration, TeacherLineage, admit
from tests.distillation.studies import edited, load

_LINE = 'lineage = "external-private"\n'
_FIRST, _SECOND = "1" * 64, "2" * 64
_PEOPLE = "customers of the vendor"
_TRAINED = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(2), Decimal("0.000001"))
_PRICE = "trained_epsilon = 2\ntrained_delta = 1e-6\n"


def declared(folder: Path, lines: str) -> Declaration:
    """Return the declaration of the short study with these lines for its lineage."""
    return load(folder, edited(_LINE, lines)).teacher.declaration


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (_LINE, Declaration(TeacherLineage.EXTERNAL_PRIVATE, _PEOPLE)),
        (
            f'lineage = "external-dp"\n{_PRICE}',
            Declaration(TeacherLineage.EXTERNAL_DP, _PEOPLE, (_TRAINED,)),
        ),
        (
            'lineage = "external-dp"\ndisjoint_attested_by = "a DPO"\n',
            Declaration(TeacherLineage.EXTERNAL_DP, _PEOPLE, disjoint_attested_by="a DPO"),
        ),
        (
            f'lineage = "federated-dp"\n{_PRICE}plans = ["{_SECOND}", "{_FIRST}"]\n',
            Declaration(TeacherLineage.FEDERATED_DP, _PEOPLE, (_TRAINED,), plans=(_FIRST, _SECOND)),
        ),
        (
            'lineage = "held-out"\npublic_attested_by = "the board"\n',
            Declaration(TeacherLineage.HELD_OUT, _PEOPLE, public_attested_by="the board"),
        ),
    ],
)
def test_a_study_can_declare_every_teacher_that_is_admitted(
    tmp_path: Path, lines: str, expected: Declaration
) -> None:
    """Each row that an empty account admits can be said in a study, and is admitted."""
    found = declared(tmp_path, lines)
    admit(found)

    assert found == expected


def test_a_regions_own_teacher_names_its_plans(tmp_path: Path) -> None:
    """It is admitted where the account has them, and nowhere else."""
    found = declared(tmp_path, f'lineage = "region-dp"\nplans = ["{_FIRST}"]\n')
    admit(found, plans_on_record={_FIRST})
    with pytest.raises(LineageRefusedError, match="would pay"):
        admit(found)


@pytest.mark.parametrize("lineage", ["cross-fit", "region-private", "undeclared"])
def test_a_study_may_say_what_no_plan_accepts(tmp_path: Path, lineage: str) -> None:
    """An honest study is read, and its plan is refused with the reason."""
    found = declared(tmp_path, f'lineage = "{lineage}"\n')
    with pytest.raises(LineageRefusedError):
        admit(found)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('lineage = "external-dp"\ntrained_epsilon = 2\n', "come together"),
        ('lineage = "external-dp"\ntrained_delta = 1e-6\n', "come together"),
        (f'lineage = "external-dp"\n{_PRICE.replace("= 2", "= 0")}', "trained_epsilon.*> 0"),
        (f'lineage = "external-dp"\n{_PRICE.replace("1e-6", "1")}', "trained_delta.*< 1"),
        (f"{_LINE}{_PRICE}", "trained_epsilon: only a teacher of lineage external-dp or"),
        (f'{_LINE}disjoint_attested_by = "me"\n', "disjoint_attested_by: only a teacher"),
        (f'{_LINE}plans = ["{_FIRST}"]\n', "plans: only a teacher of lineage federated-dp or"),
        (f'{_LINE}public_attested_by = "me"\n', "public_attested_by: only a teacher of"),
        ('lineage = "region-dp"\nplans = ["abc"]\n', "64 hexadecimal digits"),
        (f'lineage = "region-dp"\nplans = ["{_FIRST}", "{_FIRST}"]\n', "each once"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(
    tmp_path: Path, lines: str, words: str
) -> None:
    """Keys that say nothing for this lineage are not ignored, and halves are not guessed."""
    with pytest.raises(StudyError, match=words):
        load(tmp_path, edited(_LINE, lines))


def test_every_teacher_of_a_study_is_written_and_read_back(tmp_path: Path) -> None:
    """Further teachers, and those that answer prompts, with all that each declares."""
    more = (
        'model = "teacher"\nmore = [{model = "second", lineage = "external-dp", population = "x", '
        "trained_epsilon = 2, trained_delta = 1e-6, weight = 0.5}]"
    )
    study = load(tmp_path, edited('model = "teacher"', more))
    again = load(tmp_path, study.to_toml())

    assert again == study
    assert [each.weight for each in again.teacher.all] == [1, Decimal("0.5")]
    assert again.teacher.all[1].declaration.guarantees[0].epsilon == 2
