"""What the engine has to know of a family of causal models: one row a family.

A family is named by the ``model_type`` of its configuration. A new one is a row here, and every
test of this package that goes over the table then runs on it. Models whose attention looks ahead
of a position, or whose head has a bias, have no place in the table.
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from distillation.errors import TeacherError


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Names inside the body of a causal model, the part below its head.

    Attributes:
        stack: The list of layers.
        final_norm: What follows the last layer.
        embedding: The token embedding.
        places: The learned embedding of positions that is added to the tokens', if there is one.
        linears: The linear layers of attention and feed-forward that take adapters.
        norms: The normalisations inside a layer.
        transposed: Whether the linear layers keep their weights as (in, out).
    """

    stack: str
    final_norm: str
    embedding: str
    places: str | None = None
    linears: tuple[str, ...]
    norms: tuple[str, ...]
    transposed: bool = False

    def layers(self, body: nn.Module) -> nn.ModuleList:
        """Return the layers of a body."""
        stack = getattr(body, self.stack)
        if not isinstance(stack, nn.ModuleList):
            raise TeacherError(f"expected a list of layers, got {type(stack).__name__}")
        return stack


_LLAMA = Family(
    stack="layers",
    final_norm="norm",
    embedding="embed_tokens",
    linears=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    norms=("input_layernorm", "post_attention_layernorm"),
)

FAMILIES = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "gpt2": Family(
        stack="h",
        final_norm="ln_f",
        embedding="wte",
        places="wpe",
        linears=("c_attn", "c_proj", "c_fc"),
        norms=("ln_1", "ln_2"),
        transposed=True,
    ),
}


def family_of(model: PreTrainedModel) -> Family:
    """Return the row of a model.

    Raises:
        TeacherError: If its family is not in the table, or its head is no plain matrix.
    """
    kind = str(model.config.model_type)
    if kind not in FAMILIES:
        raise TeacherError(
            f"expected a causal model of the families {', '.join(sorted(FAMILIES))}, got '{kind}': "
            "another family is one row in distillation/language/families.py"
        )
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise TeacherError(f"expected a '{kind}' with a linear head without bias")
    return FAMILIES[kind]
