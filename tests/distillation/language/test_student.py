"""Students cut from causal models keep what they should, in every family of the table."""

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel

from distillation.errors import TeacherError
from distillation.language.families import FAMILIES as TABLE
from distillation.language.families import family_of
from distillation.language.models import load_causal, save_causal
from distillation.language.samples import generate
from distillation.language.student import cut_causal
from tests.distillation.language.causal import FAMILIES, MODELS, causal_model
from tests.distillation.language.words import word_tokenizer


def test_every_family_of_the_table_is_tested() -> None:
    """A new row makes the other tests run on it."""
    assert set(MODELS) == set(TABLE)


@pytest.mark.parametrize("family", FAMILIES)
def test_keeping_all_layers_changes_nothing(family: str) -> None:
    """The cut of everything is the model itself."""
    model = causal_model(family)
    whole = cut_causal(model, [0, 1, 2, 3])

    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(model(input_ids=ids).logits, whole(input_ids=ids).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_is_the_model_with_the_other_layers_skipped(family: str) -> None:
    """Layers 0 and 3 in a row give what the student gives; the head stays tied."""
    model = causal_model(family)
    student = cut_causal(model, [0, 3])
    row = family_of(model)
    stack = row.layers(model.base_model)
    del stack[1:3]
    model.config.num_hidden_layers = 2
    attention = "attn" if family == "gpt2" else "self_attn"
    for place, layer in enumerate(stack):
        layer.get_submodule(attention).layer_idx = place  # type: ignore[assignment]  # a number

    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(model(input_ids=ids).logits, student(input_ids=ids).logits)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
    assert not student.training


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_is_loaded_as_it_was_saved(family: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Bit by bit, with its tied head."""
    student = cut_causal(causal_model(family), [0, 2])
    save_causal(student, word_tokenizer(), tmp_path)
    again = load_causal(tmp_path)

    ids = torch.tensor([[3, 1, 4, 1, 5]])
    assert torch.equal(student(input_ids=ids).logits, again(input_ids=ids).logits)
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight


@pytest.mark.parametrize("layers", [[], [1, 0], [0, 0], [4], [-1]])
def test_layers_that_are_not_there_are_refused(layers: list[int]) -> None:
    """The message names what there is."""
    with pytest.raises(TeacherError, match=r"within 0\.\.3"):
        cut_causal(causal_model(), layers)


def test_an_unknown_family_is_refused_by_name() -> None:
    """And the message says where a new one goes."""
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, is_decoder=True,
    )  # fmt: skip
    with pytest.raises(TeacherError, match=r"got 'bert'.*one row"):
        cut_causal(BertLMHeadModel(config), [0])


def test_samples_are_greedy_and_repeat() -> None:
    """Each next token is the most likely one, and a second call gives the same."""
    model, tokenizer = cut_causal(causal_model(), [0, 3]), word_tokenizer()
    model.get_output_embeddings().weight.data[15:] = 0  # the tokenizer's words only
    (text,) = generate(model, tokenizer, ["hello who are"], max_new_tokens=4)
    (again,) = generate(model, tokenizer, ["hello who are"], max_new_tokens=4)
    first = model(input_ids=torch.tensor([[6, 7, 8]])).logits[0, -1].argmax()

    assert text == again
    assert text == "" or text.split()[0] == tokenizer.decode([int(first)])
