"""What would let one record move another's part, each rule with its name and its reason.

The clip norm bounds what one record adds only if its gradient depends on that record, public
constants and nothing else. Most of what breaks this cannot be written in a study at all. Here are
the names by which people ask for it, so that a study gets the reason and not just "unknown key",
and what a student must not hold. docs/decisions/0019-teacher-lineage.md lists every rule with the
place that keeps it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from distillation.errors import StudyError, TrainingError

_BATCH_NORM: type[nn.Module] = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which records leak into each other.

    Attributes:
        name: What it is called.
        keys: How people would ask for it in a study.
        reason: Why it is refused, and what to do.
    """

    name: str
    keys: frozenset[str]
    reason: str


def _rule(name: str, keys: str, reason: str) -> Rule:
    return Rule(name, frozenset(keys.split()), reason)


RULES = (
    _rule(
        "batch normalisation",
        "batch_norm batchnorm norm_layer",
        "batch statistics carry one record into all others' gradients, and leave in buffers "
        "without noise: use a student with layer normalisation",
    ),
    _rule(
        "batch-mean loss",
        "reduction loss_reduction token_mean batch_mean",
        "a mean over the tokens of a batch scales each record's gradient by the length of the "
        "others: the loss here is always a mean within each record",
    ),
    _rule(
        "packing",
        "pack packing packed group_by_length sequence_packing",
        "packed records share one row, so a gradient is no single record's: each record has a "
        "row of its own here",
    ),
    _rule(
        "global normalisation",
        "normalize normalise normalization normalisation standardize standardise zscore",
        "a mean or deviation counted over records moves with each of them: scale by a public "
        "constant, such as student.feature_scale",
    ),
    _rule(
        "dropout",
        "dropout hidden_dropout attention_dropout attention_probs_dropout_prob hidden_dropout_prob",
        "one generator draws the dropped units of a whole batch in order, so a record's gradient "
        "would depend on who else is sampled: students have none, and the noise regularises",
    ),
    _rule(
        "dynamic loss scaling",
        "loss_scale loss_scaling dynamic_loss_scale amp fp16 bf16 mixed_precision grad_scaler",
        "a scale that follows overflows tells of single records in every later step: private "
        "steps run in float32",
    ),
    _rule(
        "deduplication",
        "dedup deduplicate deduplication drop_duplicates near_duplicates",
        "whether a record stays would depend on the others: remove duplicates before the data "
        "get their account, in every region by itself",
    ),
    _rule(
        "selection by other records",
        "class_weights class_weight balance balanced oversample quantile keep_best curriculum "
        "hard_negatives active_selection",
        "weights or choices that are counted over the records move with each of them: use public "
        "constants, or a rule that looks at one record alone",
    ),
    _rule(
        "fitting on private records",
        "fit_tokenizer train_tokenizer fit_vocabulary build_vocab calibrate calibration_set",
        "what is fitted on the records makes every record's input depend on all of them: fit it "
        "on public data, beside the teacher",
    ),
)


def refuse_by_name(found: Mapping[str, object]) -> None:
    """Refuse a study that asks for what would break a rule, saying why.

    Args:
        found: The tables of the file, as TOML has them.

    Raises:
        StudyError: Naming table, key and rule.
    """
    for where, key in _keys(found):
        for rule in RULES:
            if key.lower() in rule.keys:
                raise StudyError(f"[{where}] {key}: {rule.name} is refused: {rule.reason}")


def require_per_record(student: nn.Module, trained: nn.Module) -> None:
    """Check that a student holds nothing that would mix the records of a batch.

    The trainer refuses frozen tensors, buffers and batch normalisation in the trained part; this
    looks at the whole student, whose frozen part makes the inputs, and at how it trains.

    Args:
        student: The whole student.
        trained: The part of it that is trained privately.

    Raises:
        TrainingError: Naming the rule and the modules or tensors.
    """
    _refuse("batch normalisation", [n for n, m in _modules(student) if isinstance(m, _BATCH_NORM)])
    _refuse("dropout", [n for n, m in _modules(trained) if _drops(m)])
    _refuse(
        "dynamic loss scaling",
        [name for name, p in trained.named_parameters() if p.dtype is not torch.float32],
    )


def _drops(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0


def _refuse(name: str, places: list[str]) -> None:
    if places:
        reason = next(rule.reason for rule in RULES if rule.name == name)
        raise TrainingError(f"{name} in {', '.join(places[:5])} is refused: {reason}")


def _modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_modules():
        yield name or type(part).__name__, part


def _keys(tables: Mapping[str, object], where: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key that holds a value, with its table; names of tables are nobody's wish."""
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{where}.{name}" if where else name)
        else:
            yield where or "study file", name
