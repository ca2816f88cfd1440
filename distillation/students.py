"""Students for classification: an encoder, its tokens' mean on the unit sphere, a linear head.

The class is registered with transformers: after ``import distillation.students``, one line loads a
student, ``AutoModelForSequenceClassification.from_pretrained(folder)``. Vendors may ship a teacher
in the same form. A student is cut from its teacher by keeping some of its layers
(Sanh et al. 2019, section 3, keeps every other one).
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from distillation.errors import TeacherError
from distillation.loading import one_at_a_time


class MeanPoolConfig(PreTrainedConfig):
    """Configuration of a `MeanPoolClassifier`.

    Attributes:
        encoder: The configuration of the encoder, as a dictionary with its ``model_type``.
        feature_scale: Length of a feature vector before the head.
    """

    model_type = "stillroom-mean-pool"
    encoder: dict[str, object] | None = None
    feature_scale: float = 1.0


class MeanPoolClassifier(PreTrainedModel):
    """Logits from the scaled, normalised mean of an encoder's last hidden states."""

    config_class = MeanPoolConfig
    config: MeanPoolConfig

    def __init__(self, config: MeanPoolConfig) -> None:
        super().__init__(config)
        encoder = dict(config.encoder or {})
        kind = str(encoder.pop("model_type", ""))
        self.encoder = AutoModel.from_config(
            AutoConfig.for_model(kind, **encoder), add_pooling_layer=False
        )
        self.head = nn.Linear(self.encoder.config.hidden_size, int(config.num_labels or 0))
        self.post_init()  # type: ignore[no-untyped-call]  # transformers is partly typed

    def get_input_embeddings(self) -> nn.Module:
        """Return the encoder's table of tokens."""
        table: nn.Module = self.encoder.get_input_embeddings()
        return table

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool = False
    ) -> SequenceClassifierOutput:
        """Return logits (B, K) and, if asked, the hidden states of every layer, (B, L, H) each."""
        out = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=output_hidden_states,
        )
        pooled = pool(out.last_hidden_state, attention_mask)
        logits = self.head(self.config.feature_scale * pooled)
        return SequenceClassifierOutput(logits=logits, hidden_states=out.hidden_states)


AutoConfig.register(MeanPoolConfig.model_type, MeanPoolConfig)
AutoModelForSequenceClassification.register(MeanPoolConfig, MeanPoolClassifier)


def pool(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean over each record's own tokens, (B, H), scaled to length 1."""
    weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return normalize((hidden * weights).sum(dim=1) / weights.sum(dim=1), dim=-1)


def encoder_layers(encoder: nn.Module) -> nn.ModuleList:
    """Return the stack of layers of a BERT-like encoder.

    Raises:
        TeacherError: If the encoder has no such stack.
    """
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise TeacherError(
            f"expected a BERT-like encoder with encoder.layer, got {type(encoder).__name__}: "
            "students are cut from encoders only, in this version"
        )
    return layers


def cut_student(
    encoder: PreTrainedModel,
    *,
    layers: Sequence[int],
    classes: Sequence[str],
    feature_scale: float,
) -> MeanPoolClassifier:
    """Return a student with copies of some of the encoder's layers and an untrained (zero) head.

    It has no dropout: what is noised and small needs no further regularisation, and a forward
    pass is then the same in training and evaluation.

    Args:
        encoder: The teacher's encoder; not changed.
        layers: Which layers to keep, ascending, each at most once.
        classes: Names of the K classes, in the teacher's order.
        feature_scale: Length of a feature vector before the head.

    Raises:
        TeacherError: If a layer does not exist.
    """
    stack = encoder_layers(encoder)
    if (
        not layers
        or sorted(set(layers)) != list(layers)
        or not 0 <= layers[0] <= layers[-1] < len(stack)
    ):
        raise TeacherError(
            f"expected student.layers ascending within 0..{len(stack) - 1}, got {list(layers)}"
        )
    smaller = copy.deepcopy(encoder.config)
    smaller.num_hidden_layers = len(layers)
    smaller.hidden_dropout_prob = smaller.attention_probs_dropout_prob = 0.0
    config = MeanPoolConfig(
        encoder=smaller.to_dict(),
        feature_scale=feature_scale,
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
    )
    student = MeanPoolClassifier(config)
    kept = {name: value for name, value in encoder.state_dict().items() if ".layer." not in name}
    for new, old in enumerate(layers):
        for name, value in stack[old].state_dict().items():
            kept[f"encoder.layer.{new}.{name}"] = value
    student.encoder.load_state_dict(
        {name: value for name, value in kept.items() if not name.startswith("pooler.")}
    )
    student.train(False)
    return student


def load_classifier(folder: Path) -> PreTrainedModel:
    """Load a classifier that transformers knows, in float32 and in evaluation mode.

    Raises:
        TeacherError: If the folder holds no classifier, or some of its weights are not there.
    """
    transformers.logging.disable_progress_bar()
    try:
        with one_at_a_time:
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (KeyError, OSError, RuntimeError, SafetensorError, ValueError) as error:
        raise TeacherError(
            f"expected a sequence classifier with safetensors in '{folder.name}', "
            f"transformers says {type(error).__name__}: check the folder's config.json"
        ) from error
    if found["missing_keys"]:  # transformers would fill them with random numbers
        raise TeacherError(
            f"expected every weight of the classifier in '{folder.name}', found none for "
            f"{', '.join(sorted(found['missing_keys'])[:5])}: is it an encoder without its head?"
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def save_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    """Write a classifier as safetensors with its tokenizer.

    Raises:
        OSError: If the disk is full or read-only.
    """
    transformers.logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:  # safetensors reports a full disk as an error of its own
        raise OSError(f"the model cannot be written to {folder}: {error}") from error
    tokenizer.save_pretrained(folder)
