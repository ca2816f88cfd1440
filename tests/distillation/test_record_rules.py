"""What would let one record move another's part is refused by name, or shown to be harmless."""

from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn

from distillation.classifier_part import classifier_part
from distillation.dp.trainer import LocalOptimizer
from distillation.errors import ArtifactError, StudyError, TrainingError
from distillation.kinds import TRAINED, Task, Train
from distillation.objectives import Objective
from distillation.recipe import Recipe
from distillation.record_rules import RULES, Rule, require_per_record
from distillation.records import Columns, read_records
from distillation.study_file import toml_name
from distillation.study_tables import TABLES, GatesTable
from distillation.tokens import Tokens, fixed_batches
from privacy.canonical import dumps, loads
from tests.distillation import tiny
from tests.distillation.studies import SHORT, edited, load

_PLACES = ("[objective]", "[student]", "[privacy]", "[federation]", "[regions.north]", "[study]")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_study_that_asks_for_a_leak_gets_the_reason(tmp_path: Path, rule: Rule) -> None:
    """Each name by which people ask for it is refused in every table, with what to do instead."""
    for number, key in enumerate(sorted(rule.keys)):
        place = _PLACES[number % len(_PLACES)]
        with pytest.raises(StudyError, match=rf"{key}: {rule.name} is refused: .+: ") as caught:
            load(tmp_path, edited(f"{place}\n", f"{place}\n{key} = true\n"))
        assert place in str(caught.value)


def test_a_key_outside_of_any_table_is_refused_too(tmp_path: Path) -> None:
    """The top of the file is no way around."""
    with pytest.raises(StudyError, match="packing is refused"):
        load(tmp_path, "packing = true\n" + SHORT)


def test_no_key_of_a_study_is_the_name_of_a_leak() -> None:
    """The rules take no key away that a study has."""
    known = {toml_name(f) for table in (*TABLES.values(), GatesTable) for f in fields(table)}
    assert not known & {key for rule in RULES for key in rule.keys}


def test_a_region_may_have_any_name(tmp_path: Path) -> None:
    """The name of a table is no wish."""
    study = load(tmp_path, edited("[regions.coast]", "[regions.amp]"))
    assert "amp" in study.regions


@pytest.mark.parametrize("key", sorted(key for rule in RULES for key in rule.keys))
def test_a_recipe_has_no_key_for_a_leak(key: str) -> None:
    """What a region trains by is closed: one more key is no recipe."""
    recipe = Recipe(
        task=Task.CLASSIFICATION,
        train=Train.HEAD,
        max_tokens=32,
        objective=Objective(soft=1.0),
        optimizer=LocalOptimizer(learning_rate=0.5),
    )
    value = loads(recipe.to_bytes())
    assert isinstance(value, dict)
    with pytest.raises(ArtifactError, match="expected a recipe"):
        Recipe.from_bytes(dumps({**value, key: "1"}))


@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_a_cut_student_keeps_the_rules(train: Train) -> None:
    """What this product cuts from a teacher has neither dropout nor batch statistics."""
    student = tiny.student_model()
    part = classifier_part(student, train, max_tokens=32)
    require_per_record(student, part.module)

    dropped = [m.p for m in part.module.modules() if isinstance(m, nn.Dropout)]
    assert not any(dropped)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.BatchNorm1d(4), "batch normalisation in 1 is refused: batch statistics"),
        (nn.SyncBatchNorm(4), "batch normalisation in 1 is refused"),
        (nn.Dropout(0.1), "dropout in 1 is refused: one generator"),
        (nn.AlphaDropout(0.1), "dropout in 1 is refused"),
        (nn.Linear(4, 4, dtype=torch.bfloat16), r"loss scaling in 1\.weight, 1\.bias is refused"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_student_that_mixes_records_is_refused(layer: nn.Module, words: str) -> None:
    """Layer, rule and reason are named."""
    student = nn.Sequential(nn.Linear(4, 4), layer)
    with pytest.raises(TrainingError, match=words):
        require_per_record(student, student)


def test_batch_statistics_below_the_trained_part_are_refused() -> None:
    """Frozen inputs would depend on a batch as well, if ever it ran in training mode."""
    student = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(TrainingError, match="batch normalisation in 0"):
        require_per_record(student, student[1])


def test_dropout_lets_a_record_move_anothers_gradient() -> None:
    """The reason for the rule: from the same generator, company changes one's own output."""
    drop, records = nn.Dropout(0.5).train(), torch.ones(3, 64)
    torch.manual_seed(1)
    alone = drop(records[2:])
    torch.manual_seed(1)
    among_others = drop(records)[2:]

    assert not torch.equal(alone, among_others)
    assert torch.equal(nn.Dropout(0.0)(records[2:]), nn.Dropout(0.0)(records)[2:])


def test_equal_records_all_stay(tmp_path: Path) -> None:
    """No record goes because of another one: nothing here removes duplicates."""
    path = tmp_path / "records.csv"
    path.write_text("text\nthe same\nthe same\nanother\nthe same\n")
    records = read_records(path, Columns(text="text"))

    assert records.texts == ("the same", "the same", "another", "the same")
    assert len(set(records.units)) == len(set(records.ids)) == 4


def test_no_row_holds_two_records() -> None:
    """However short records are, none is packed beside another."""
    tokens = Tokens(((5, 6), (7,), (8, 9, 10)), padding=0)
    found = []
    for batch in fixed_batches(tokens, size=4):
        for row, ids, mask in zip(
            batch.rows.tolist(), batch.input_ids, batch.attention_mask, strict=False
        ):
            found.append((row, tuple(ids[mask.bool()].tolist())))

    assert sorted(found) == list(enumerate(tokens.ids))
