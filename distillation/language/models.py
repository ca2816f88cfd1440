"""Causal models on disk: a folder with safetensors, or one GGUF file; never a pickle.

Quantised weights of a GGUF file are unpacked to float32 once, at loading.
"""

import importlib.util
import struct
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from distillation.errors import TeacherError
from distillation.language.families import family_of
from distillation.loading import one_at_a_time

_UNREADABLE = (
    ImportError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError, SafetensorError,
    ValueError, struct.error,  # the last from a GGUF file that is cut off
)  # fmt: skip


def load_causal(folder: Path, *, gguf: str | None = None) -> PreTrainedModel:
    """Load a causal model in float32 and in evaluation mode.

    Args:
        folder: Holds ``config.json`` and safetensors, or the GGUF file.
        gguf: The name of the GGUF file; None where there are safetensors.

    Raises:
        TeacherError: If there is none, some of its weights are not there, or its family is unknown.
    """
    if gguf is not None and importlib.util.find_spec("gguf") is None:
        raise TeacherError(
            f"the GGUF file '{gguf}' is read with the package gguf, which is not installed: "
            "pip install gguf, or convert the model to safetensors"
        )
    transformers.logging.disable_progress_bar()
    option = {} if gguf is None else {"gguf_file": gguf}
    try:
        pair: tuple[PreTrainedModel, Mapping[str, Collection[str]]]
        with one_at_a_time:
            pair = AutoModelForCausalLM.from_pretrained(  # type: ignore[assignment]  # by a key
                folder,
                dtype=torch.float32,
                output_loading_info=True,
                use_safetensors=True,
                **option,
            )
    except _UNREADABLE as error:
        raise TeacherError(
            f"expected a causal language model with safetensors, or a GGUF file, in "
            f"'{folder.name}', transformers says {type(error).__name__}: check its config.json"
        ) from error
    model, found = pair
    if found["missing_keys"]:  # transformers would fill them with random numbers
        raise TeacherError(
            f"expected every weight of the model in '{folder.name}', found none for "
            f"{', '.join(sorted(found['missing_keys'])[:5])}"
        )
    family_of(model)
    if gguf is not None:
        _forget_packing(model)
    model.train(False)
    return model


def _forget_packing(model: PreTrainedModel) -> None:
    """Make a model that came out of a GGUF file an ordinary one, which transformers will save.

    Its weights are float32 already; only marks of how they were packed are left on it.
    """
    for name in ("hf_quantizer", "quantization_method", "is_quantized"):
        vars(model).pop(name, None)
    vars(model.config).pop("quantization_config", None)


def save_causal(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model as safetensors with its tokenizer.

    Raises:
        OSError: If the disk is full or read-only.
    """
    transformers.logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:  # safetensors reports a full disk as an error of its own
        raise OSError(f"the model cannot be written to {folder}: {error}") from error
    tokenizer.save_pretrained(folder)
