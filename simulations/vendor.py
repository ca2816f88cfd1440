"""The demo's vendor trains the head of its classifier and ships a folder, as vendors do.

A logistic regression on the encoder's pooled features, L2-regularised as scikit-learn's
``LogisticRegression(C=10)``, fitted by L-BFGS: deterministic, seconds.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModel, PreTrainedModel

from distillation.model_files import ModelFiles
from distillation.students import MeanPoolClassifier, MeanPoolConfig, pool, save_classifier
from distillation.teacher import load_tokenizer
from distillation.tokens import Tokens, fixed_batches, tokenize

_INVERSE_PENALTY = 10.0
_MAX_TOKENS = 64
_ROWS = 32


def build_teacher(
    encoder: ModelFiles, texts: Sequence[str], labels: Sequence[str], *, folder: Path
) -> None:
    """Train a head on ``texts`` and write encoder, head and tokenizer to ``folder``.

    Args:
        encoder: A BERT-like encoder.
        texts: The vendor's own training texts.
        labels: Their classes.
        folder: Where the classifier goes; made if missing.
    """
    model = AutoModel.from_pretrained(encoder.folder, add_pooling_layer=False).eval()
    tokenizer = load_tokenizer(encoder)
    classes = sorted(set(labels), key=_roman)
    features = _features(model, tokenize(texts, tokenizer, max_tokens=_MAX_TOKENS))
    target = torch.tensor([classes.index(label) for label in labels])
    weight, bias = _logistic_regression(features, target, len(classes))
    config = MeanPoolConfig(
        encoder=model.config.to_dict(),
        id2label=dict(enumerate(classes)),
        label2id={name: index for index, name in enumerate(classes)},
    )
    classifier = MeanPoolClassifier(config)
    classifier.encoder.load_state_dict(model.state_dict())
    with torch.no_grad():
        classifier.head.weight.copy_(weight)
        classifier.head.bias.copy_(bias)
    save_classifier(classifier, tokenizer, folder)


@torch.no_grad()
def _features(model: PreTrainedModel, tokens: Tokens) -> Tensor:
    features: list[Tensor] = [torch.empty(0)] * len(tokens)
    for batch in fixed_batches(tokens, size=_ROWS):
        out = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        pooled = pool(out.last_hidden_state, batch.attention_mask)
        for place, row in enumerate(batch.rows.tolist()):
            features[row] = pooled[place]
    return torch.stack(features)


def _logistic_regression(features: Tensor, target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Minimise C · Σ cross-entropy + ½‖W‖²; the bias is not penalised."""
    x = features.double()
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        fit = cross_entropy(x @ weight.T + bias, target, reduction="sum")
        value = _INVERSE_PENALTY * fit + 0.5 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weight.detach().float(), bias.detach().float()


def _roman(name: str) -> tuple[int, str]:
    """Sort chapters I, II, … XXI by number, anything else by name."""
    values = {"I": 1, "V": 5, "X": 10}
    if not set(name) <= values.keys():
        return (0, name)
    digits = [values[letter] for letter in name]
    pairs = zip(digits, [*digits[1:], 0], strict=True)
    return (sum(-d if d < after else d for d, after in pairs), name)
