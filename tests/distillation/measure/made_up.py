"""Made-up answers of models to labelled records, always the same."""

import numpy as np
from hypothesis import strategies as st

from distillation.measure.judged import Judged


def answers(records: int, *, classes: int = 4, seed: int = 0, skill: float = 2.0) -> Judged:
    """Return answers that are right more often the larger ``skill`` is; calibrated at 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(records, classes)) * skill
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    labels = (rng.random((records, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    teacher = rng.dirichlet(np.ones(classes), records)
    return Judged(probabilities=shares, labels=np.minimum(labels, classes - 1), teacher=teacher)


sizes = st.integers(2, 40)
seeds = st.integers(0, 1000)
