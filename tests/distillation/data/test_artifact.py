"""The file of public texts reads back as it was written, and as nothing else."""

import contextlib
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.data import artifact
from distillation.data.word_mix import WordMix, word_mix
from distillation.errors import ArtifactError
from tests.distillation.data import publics

_CURATED = publics.texts("Cholera", "Naïve – “titles”")
_ALL = (*_CURATED, *word_mix(_CURATED, ["river"], count=3, settings=WordMix(), seed=1))


def test_texts_come_back_with_their_origins(tmp_path: Path) -> None:
    """The same values, the same bytes, and the hash that a plan names."""
    path = tmp_path / "public_texts.jsonl"
    digest = artifact.write(path, _ALL)

    assert artifact.read(path, expected_sha256=digest) == _ALL
    assert digest == artifact.sha256(_ALL) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + len(_ALL)


def test_another_file_than_the_plans_is_refused(tmp_path: Path) -> None:
    """A changed word, a missing file: an error that names the file."""
    path = tmp_path / "public_texts.jsonl"
    digest = artifact.write(path, _ALL)
    path.write_bytes(path.read_bytes().replace(b"Cholera", b"Measles"))

    with pytest.raises(ArtifactError, match="not the file that the plan names"):
        artifact.read(path, expected_sha256=digest)
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifact.read(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"count":5', b'"count":4'),
        (b"public-texts/v1", b"public-texts/v2"),
        (b'"declaration":0', b'"declaration":1'),
        (b'"declaration":0', b'"declaration":-1'),
        (b'"generator":"curated"', b'"generator":"private"'),
        (b'"rows":[1]', b'"rows":[0]'),
        (b'"rows":[1]', b'"rows":"1"'),
        (b'"reason":"they are in the source code"', b'"reason":""'),
        (b'"text":"Cholera"', b'"text":""'),
        (b'"text":"Cholera"', b'"text": "Cholera"'),
        (b'"text":"Cholera"', b'"text":["Cholera"]'),
        (b"}\n", b"}"),
    ],
)
def test_a_damaged_file_is_refused(old: bytes, new: bytes) -> None:
    """Whatever was changed, it is no file of ours any more."""
    content = artifact.to_bytes(_ALL)
    assert old in content

    with pytest.raises(ArtifactError, match="public texts of kind"):
        artifact.from_bytes(content.replace(old, new))


@settings(max_examples=60)
@given(data=st.binary(max_size=80), cut=st.integers(0, 400))
def test_garbage_raises_only_artifact_errors(data: bytes, cut: int) -> None:
    """Any bytes are read or refused, also after a true beginning."""
    for content in (data, artifact.to_bytes(_ALL)[:cut] + data):
        with contextlib.suppress(ArtifactError):
            assert artifact.to_bytes(artifact.from_bytes(content)) == content
