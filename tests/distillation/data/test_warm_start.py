"""The record of a warm start: it reads back, adds up, and says what a report must say."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.data.filters import Reason
from distillation.data.warm_start import WarmStart, generator_seed
from distillation.errors import ArtifactError
from privacy.lineage import Declaration, TeacherLineage

_VENDOR = Declaration(TeacherLineage.EXTERNAL_PRIVATE, population="the customers of the vendor")
_RECORD = WarmStart(
    curated=3,
    tried=10,
    kept=6,
    dropped={Reason.DUPLICATE: 3, Reason.TOO_LONG: 1},
    seed=generator_seed(0),
    epochs=2,
    public_file="ab" * 32,
    public_texts="cd" * 32,
    teacher="ef" * 32,
    declaration=_VENDOR,
    student="01" * 32,
)


@given(
    kept=st.integers(0, 2**40),
    dropped=st.dictionaries(st.sampled_from(Reason), st.integers(1, 2**40)),
)
def test_a_record_reads_back_what_it_wrote(kept: int, dropped: dict[Reason, int]) -> None:
    """Whatever was kept and dropped, and as the same bytes: its hash is what a plan names."""
    tried = kept + sum(dropped.values())
    record = dataclasses.replace(_RECORD, tried=tried, kept=kept, dropped=dropped)

    assert WarmStart.from_bytes(record.to_bytes()) == record
    assert WarmStart.from_bytes(record.to_bytes()).hash == record.hash


@given(junk=st.binary(max_size=200))
def test_garbage_raises_only_artifact_errors(junk: bytes) -> None:
    """Any other bytes, and a record with one byte more."""
    for content in (junk, _RECORD.to_bytes() + junk[:1] + b" "):
        with pytest.raises(ArtifactError):
            WarmStart.from_bytes(content)


def test_every_generated_text_is_kept_or_dropped() -> None:
    """A record in which texts vanish is none; neither is one written by hand with other counts."""
    with pytest.raises(ArtifactError, match="kept or dropped"):
        dataclasses.replace(_RECORD, tried=11)
    with pytest.raises(ArtifactError, match="expected the record"):
        WarmStart.from_bytes(_RECORD.to_bytes().replace(b'"tried":10', b'"tried":12'))


def test_the_sentences_name_counts_filters_and_lineage() -> None:
    """What a compliance officer looks for; nothing is left out only where the teacher is public."""
    public = dataclasses.replace(_RECORD, declaration=Declaration(TeacherLineage.PUBLIC))

    assert "3 public texts and 6 generated ones" in _RECORD.said
    assert "10 tried, dropped: 3 duplicate, 1 too-long" in _RECORD.said
    assert "lineage external-private" in _RECORD.said
    assert "the customers of the vendor" in _RECORD.not_covered
    assert public.not_covered == ""


def test_the_generators_seed_is_apart_from_the_order_of_records() -> None:
    """Seeds of a study give different generators, none of them the study's seed itself."""
    seeds = [generator_seed(seed) for seed in range(50)]

    assert len(set(seeds)) == 50
    assert all(50 < seed < 2**53 for seed in seeds)
