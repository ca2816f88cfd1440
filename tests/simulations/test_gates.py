"""A gate lets pass what reaches it, and names what does not."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from distillation.evaluation import Quality
from distillation.study import GatesTable
from simulations.gates import missed_gates

_QUALITY = Quality(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
_share = st.integers(0, 1000).map(lambda n: Decimal(n) / 1000)


@given(gate=st.none() | _share, limit=st.none() | _share, accuracy=_share, error=_share)
def test_one_sentence_for_each_gate_that_was_missed(
    gate: Decimal | None, limit: Decimal | None, accuracy: Decimal, error: Decimal
) -> None:
    """Accuracy at least, calibration error at most; equal is enough, no gate is no hurdle."""
    quality = replace(_QUALITY, accuracy=float(accuracy), calibration_error=float(error))
    missed = missed_gates(GatesTable(accuracy=gate, calibration_error=limit), quality)
    low = gate is not None and float(accuracy) < float(gate)
    high = limit is not None and float(error) > float(limit)

    assert len(missed) == low + high
    assert all("was not written out" in sentence for sentence in missed)
    assert any("accuracy" in sentence for sentence in missed) == low
    assert any("calibration" in sentence for sentence in missed) == high
