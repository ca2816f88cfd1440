"""Causal students: some layers of their teacher, with its embeddings, final norm and head.

A cut model says nothing sensible before it was healed on public text (`warm_up`): its layers have
never met each other. Tied embeddings and head stay tied.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from distillation.errors import TeacherError
from distillation.language.families import family_of

_DROPOUTS = ("attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop")
"""Configuration keys of the families in the table; a forward pass is then the same in training."""


def cut_causal(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Return a model of the same family with copies of some of the layers.

    Args:
        model: The teacher's; not changed.
        layers: Which layers to keep, ascending, each at most once.

    Raises:
        TeacherError: If a layer does not exist, or the family is not known.
    """
    family = family_of(model)
    count = len(family.layers(model.base_model))
    if (
        not layers
        or sorted(set(layers)) != list(layers)
        or not 0 <= layers[0] <= layers[-1] < count
    ):
        raise TeacherError(
            f"expected student.layers ascending within 0..{count - 1}, got {list(layers)}"
        )
    student: PreTrainedModel = AutoModelForCausalLM.from_config(
        _smaller(model.config, layers), dtype=torch.float32
    )
    student.load_state_dict(_kept(model, f"{model.base_model_prefix}.{family.stack}.", layers))
    student.tie_weights()
    without_dropout(student)
    student.train(False)
    return student


def without_dropout(model: nn.Module) -> None:
    """Switch off dropout: what is noised and small needs no further regularisation."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]  # attribute of a Module


def _smaller(config: PreTrainedConfig, layers: Sequence[int]) -> PreTrainedConfig:
    smaller = copy.deepcopy(config)
    smaller.num_hidden_layers = len(layers)
    for name in _DROPOUTS:
        if hasattr(smaller, name):
            setattr(smaller, name, 0.0)
    if hasattr(smaller, "quantization_config"):  # the GGUF file's; the student is float32
        del smaller.quantization_config
    return smaller


def _kept(model: PreTrainedModel, stack: str, layers: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return the state of the smaller model."""
    new_number = {str(old): new for new, old in enumerate(layers)}
    kept = {}
    for name, value in model.state_dict().items():
        if not name.startswith(stack):
            kept[name] = value
            continue
        number, _, rest = name.removeprefix(stack).partition(".")
        if number in new_number:
            kept[f"{stack}{new_number[number]}.{rest}"] = value
    return kept
