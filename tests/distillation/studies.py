"""Studies for tests: a short one as text, edits of it, and any valid one."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from distillation.kinds import TRAINED, ServerRule, Task
from distillation.study import (
    BaselinesTable,
    DataTable,
    EvaluationTable,
    FederationTable,
    GatesTable,
    LabelsTable,
    ObjectiveTable,
    OptimizerTable,
    PrivacyTable,
    RegionTable,
    StudentTable,
    Study,
    StudyTable,
    TeacherTable,
    TermTable,
    WarmUpTable,
)
from privacy.guarantee import Unit
from privacy.lineage import TeacherLineage

SHORT = """\
[study]
name = "chapters"
[data.public]
source = "public.csv"
[data.private]
source = "records.csv"
label = "chapter"
region = "hospital"
[data.test]
source = "test.csv"
label = "chapter"
[teacher]
model = "teacher"
lineage = "external-private"
population = "customers of the vendor"
[student]
layers = [0, 5]
[objective]
soft = 1.0
[privacy]
epsilon = 2.0
delta = 1e-5
[federation]
rounds = 10
sample_rate = 0.1
[regions.north]
public_size = 1800
[regions.east]
public_size = 1200
[regions.south]
public_size = 1200
[regions.west]
public_size = 1200
[regions.coast]
public_size = 1100
"""


def load(folder: Path, text: str | bytes) -> Study:
    """Return the study that a file with this content holds."""
    path = folder / "study.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Study.load(path)


def edited(old: str, new: str) -> str:
    """Return the short study with one place changed."""
    if SHORT.count(old) != 1:
        raise ValueError(f"expected {old!r} once in the short study")
    return SHORT.replace(old, new)


def numbers(least: str, most: str, *, places: int = 6) -> st.SearchStrategy[Decimal]:
    """Return decimals as a person writes them."""
    return st.decimals(least, most, places=places)


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_line = st.text("abc ÄÖé.,()'\"\\#=[]", min_size=1, max_size=20).filter(str.strip)
_count = st.integers(1, 1000)
_region = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
_share = st.none() | numbers("0", "1")
_positive = numbers("0.000001", "1000")
_weight = numbers("0", "10")
_terms = st.one_of(
    st.builds(
        TermTable,
        term=st.just("generalised-jsd"),
        weight=_positive,
        temperature=_positive,
        beta=numbers("0.1", "0.9"),
    ),
    st.builds(TermTable, term=st.just("brier"), weight=_positive),
)
_lineages = st.sampled_from(TeacherLineage)  # plans, not studies, refuse some


@st.composite
def studies(draw: st.DrawFn, base: Path) -> Study:
    """Return any study that a file in ``base`` could hold."""
    columns = draw(st.lists(_line, min_size=5, max_size=5, unique=True))
    names = draw(st.lists(_region, min_size=3, max_size=7, unique=True))
    return Study(
        base=base,
        study=draw(
            st.builds(
                StudyTable,
                name=_line,
                task=st.just(Task.CLASSIFICATION),
                seeds=_count,
                description=_text,
            )
        ),
        public=DataTable(
            source="a/public.csv", text=columns[0], origin="made up", reason="in the source code"
        ),
        private=DataTable(
            source="private.jsonl",
            text=columns[0],
            label=columns[1],
            region=columns[2],
            unit=draw(st.sampled_from([None, columns[3]])),
            all_labels=draw(st.sampled_from([None, columns[4]])),
        ),
        test=DataTable(source="test.parquet", text=columns[0], label=columns[1]),
        teacher=draw(
            st.builds(
                TeacherTable,
                model=st.sampled_from(["teacher", "package:some-model"]),
                revision=st.none(),
                lineage=_lineages,
                population=_line,
                max_tokens=st.integers(8, 512),
            )
        ),
        student=draw(
            st.builds(
                StudentTable,
                from_=st.just("teacher"),
                train=st.sampled_from(TRAINED[Task.CLASSIFICATION]),
                layers=st.sets(st.integers(0, 99), min_size=1).map(lambda s: tuple(sorted(s))),
                feature_scale=_positive,
            )
        ),
        labels=draw(st.builds(LabelsTable, top_k=st.integers(1, 99))),
        objective=draw(
            st.builds(
                ObjectiveTable,
                soft=_positive,
                hard=_weight,
                label=_weight,
                temperature=_positive,
                more=st.lists(_terms, max_size=2).map(tuple),
            )
        ),
        privacy=draw(
            st.builds(
                PrivacyTable,
                epsilon=_positive,
                delta=numbers("0.000001", "0.001"),
                unit=st.just(Unit.RECORD),
                clip_norm=_positive,
            )
        ),
        federation=draw(
            st.builds(
                FederationTable,
                rounds=_count,
                local_steps=_count,
                min_cohort=st.just(3),
                sample_rate=numbers("0.000001", "1").map(Fraction),
                bits=st.sampled_from([16, 32]),
            )
        ),
        optimizer=draw(
            st.builds(
                OptimizerTable,
                learning_rate=st.none() | _positive,
                momentum=numbers("0", "0.99"),
                server=st.sampled_from(ServerRule),
                server_learning_rate=_positive,
                server_momentum=numbers("0", "0.99"),
                average=st.integers(1, 9),
            )
        ),
        regions={
            name: draw(
                st.builds(
                    RegionTable,
                    public_size=_count,
                    max_records_per_unit=_count,
                    budget_epsilon=st.none() | _positive,
                )
            )
            for name in names
        },
        warm_up=draw(
            st.builds(
                WarmUpTable,
                epochs=st.integers(1, 9),
                generated=st.integers(0, 9),
                batch_size=_count,
                learning_rate=_positive,
                head_learning_rate=_positive,
                feature_weight=_weight,
                seed=st.integers(0, 9),
            )
        ),
        evaluation=draw(
            st.builds(
                EvaluationTable,
                gates=st.builds(GatesTable, accuracy=_share, calibration_error=_share),
            )
        ),
        baselines=draw(
            st.builds(BaselinesTable, run=st.booleans(), label_learning_rate=st.none() | _positive)
        ),
    )
