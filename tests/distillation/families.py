"""Students of every family that is offered, a few thousand parameters each; random weights.

Each answers with logits for every position, so that all objectives and ragged lengths apply.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
)

from distillation.objectives import Objective, Targets

VOCABULARY, WIDTH, CLASSES, LONGEST = 23, 8, 4, 9


class Family(StrEnum):
    LINEAR = "linear"
    MLP = "mlp"
    BERT = "bert"
    GPT2 = "gpt2"
    LLAMA = "llama"
    LORA = "lora"


class Trained(StrEnum):
    ALL = "all"
    NO_EMBEDDINGS = "no embeddings"
    HEAD = "head"


class Student(nn.Module):
    """A body over token ids, and a head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits, (B, T, K)."""
        if isinstance(self.body, nn.Sequential):
            hidden = self.body(ids)
        else:
            hidden = self.body(ids, attention_mask=mask.long(), **_places(self.body, ids))[0]
        out: Tensor = self.head(hidden)
        return out


def _places(body: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    """Return what a body would otherwise share between all records of a batch."""
    places = torch.arange(ids.shape[1]).expand_as(ids)
    kind = body.config.model_type  # type: ignore[union-attr]  # a transformers model
    types = {"token_type_ids": torch.zeros_like(ids)} if kind == "bert" else {}
    return {"position_ids": places, **types}


def student(family: Family, trained: Trained = Trained.ALL) -> Student:
    """Return a student, with the same random weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = Student(_BODIES[family]())
        for p in made.parameters():  # no zero, no one: what multiplies by a weight is seen
            nn.init.normal_(p, std=0.4)
    for name, p in made.named_parameters():
        p.requires_grad_(_is_trained(name, family, trained))
    made.train()
    return made


def _is_trained(name: str, family: Family, trained: Trained) -> bool:
    if name.startswith("head."):
        return True
    if trained is Trained.HEAD:
        return False
    if family is Family.LORA:
        return "lora_" in name
    tables = ("embed", "wte", "wpe", "body.0.")
    return trained is Trained.ALL or not any(table in name for table in tables)


def _linear() -> nn.Module:
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH, padding_idx=0))


def _mlp() -> nn.Module:
    layers = [nn.Linear(WIDTH, 12), nn.GELU(), nn.Linear(12, WIDTH), nn.LayerNorm(WIDTH)]
    return nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), *layers)


def _bert() -> PreTrainedModel:
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False)


def _gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        n_positions=16,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        use_cache=False,
    )
    return GPT2Model(config)


def _llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=12,
        use_cache=False,
    )
    return LlamaModel(config)


def _lora() -> nn.Module:
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], lora_dropout=0.0)
    return inject_adapter_in_model(config, _llama())


def adapted(target: str, *, dora: bool = False) -> Student:
    """Return a student with adapters on one kind of layer; only they are trained."""
    config = LoraConfig(r=2, target_modules=[target], lora_dropout=0.0, use_dora=dora)
    made = Student(inject_adapter_in_model(config, _llama()))
    for name, p in made.named_parameters():
        p.requires_grad_("lora_" in name)
    return made


_BODIES: dict[Family, Callable[[], nn.Module]] = {
    Family.LINEAR: _linear,
    Family.MLP: _mlp,
    Family.BERT: _bert,
    Family.GPT2: _gpt2,
    Family.LLAMA: _llama,
    Family.LORA: _lora,
}


class Corpus:
    """Ragged records with targets."""

    def __init__(self, lengths: Sequence[int]) -> None:
        chance = torch.Generator().manual_seed(5)
        count = len(lengths)
        self.mask = torch.arange(LONGEST) < torch.tensor(lengths).view(-1, 1)
        ids = torch.randint(1, VOCABULARY, (count, LONGEST), generator=chance)
        self.ids = ids * self.mask
        log_probs = torch.randn(count, LONGEST, CLASSES, generator=chance).log_softmax(-1)
        reference = torch.randint(0, CLASSES, (count, LONGEST), generator=chance)
        self.targets = Targets(log_probs, reference, self.mask)

    def losses(self, module: nn.Module, rows: Tensor, objective: Objective) -> Tensor:
        """Return one loss a record."""
        logits = module(self.ids[rows], self.mask[rows])
        return objective.per_record(logits, self.targets[rows])

    def spoil(self, row: int) -> None:
        """Make one record's loss NaN."""
        self.targets.log_probs[row] = float("nan")
