"""Threads that load models at once leave transformers as it was."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from distillation.students import load_classifier
from tests.distillation import tiny


@pytest.mark.slow
def test_threads_that_load_at_once_leave_no_function_swapped(tmp_path: Path) -> None:
    """Else every later model would have an untied head, and nobody would be told."""
    before = PreTrainedModel.tie_weights
    tiny.student_model().save_pretrained(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(load_classifier, [tmp_path] * 40))

    assert PreTrainedModel.tie_weights is before
    assert len(loaded) == 40
