"""One claim, both bounds: what refutes it, and the result that says so.

The Gaussian bound reads the claim as a whole curve, the Gaussian one through (ε, δ). That is fair
to the plan only if the plan's own curve lies within it, so that is asked of the accountant first.
It may lie below by δ: up to ε that is checked, and beyond ε no more than δ is left to lie below by.
"""

from dataclasses import dataclass
from decimal import Decimal

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import delta_slack, gaussian_mu
from distillation.audit.one_run import (
    Guesses,
    gaussian_bound,
    gaussian_refuted,
    steinke_bound,
    steinke_p_value,
)
from distillation.audit.power import Refutes
from distillation.audit.result import Access, AuditResult, Method, rounded
from distillation.dp.optimizer import StepTerms
from privacy.accountant import PldAccountant
from privacy.events import SampledGaussian
from privacy.guarantee import Guarantee, Neighbours

_ROUNDING = 1e-3  # ε is charged in steps of 0.001; relative to δ


@dataclass(frozen=True, slots=True)
class Claim:
    """An (ε, δ) that an audit attacks.

    Attributes:
        guarantee: (ε, δ).
        confidence: Of each bound.
        mu: The Gaussian curve through (ε, δ).
    """

    guarantee: Guarantee
    confidence: float
    mu: float

    @classmethod
    def of(cls, guarantee: Guarantee, confidence: float) -> "Claim":
        """Return the claim with its curve.

        Raises:
            AuditError: If δ is 0: no Gaussian mechanism has such a claim.
        """
        mu = gaussian_mu(float(guarantee.epsilon), float(guarantee.delta))
        return cls(guarantee, confidence, mu)

    def require_covers(self, terms: StepTerms, steps: int) -> None:
        """Check that these releases keep the claim, and that their curve is within its own.

        Raises:
            AuditError: If they do not: flagging them would accuse the plan, not the trainer.
        """
        event = SampledGaussian(terms.noise_multiplier, terms.sample_rate, steps)
        accountant = PldAccountant(Neighbours.ADD_OR_REMOVE_ONE)
        epsilon, delta = float(self.guarantee.epsilon), float(self.guarantee.delta)
        slack = delta_slack(
            self.mu, lambda point: accountant.delta(event, point), most_epsilon=epsilon
        )
        if slack > delta * (1 + _ROUNDING):
            raise AuditError(
                f"expected terms that keep the claim ε = {epsilon} at δ = {delta} over {steps} "
                f"steps, but their curve exceeds its Gaussian one by {slack:.3g}: audit the steps "
                "and the claim of one plan"
            )

    def refuted_by(self, method: Method) -> Refutes:
        """Return the test of the claim."""
        epsilon, delta = float(self.guarantee.epsilon), float(self.guarantee.delta)
        if method is Method.GAUSSIAN:
            return lambda made: gaussian_refuted(
                made, mu=self.mu, confidence=self.confidence, slack=delta
            )
        return lambda made: (
            steinke_p_value(made, epsilon=epsilon, delta=delta) <= 1 - self.confidence
        )

    def result(
        self,
        method: Method,
        made: Guesses,
        *,
        access: Access,
        power: Decimal | str,
        date: str,
        who: str,
    ) -> AuditResult:
        """Return what these guesses show."""
        return AuditResult(
            method=method,
            access=access,
            canaries=made.canaries,
            guesses=made.made,
            right=made.right,
            delta=self.guarantee.delta,
            confidence=Decimal(f"{self.confidence:.9f}"),
            lower_bound=rounded(self._bound(method, made)),
            cap=rounded(self._bound(method, made.all_right)),
            power=power,
            claim=self.guarantee.epsilon,
            date=date,
            who=who,
        )

    def _bound(self, method: Method, made: Guesses) -> float:
        delta = float(self.guarantee.delta)
        if method is Method.GAUSSIAN:
            return gaussian_bound(made, delta=delta, confidence=self.confidence, slack=delta)
        return steinke_bound(made, delta=delta, confidence=self.confidence)
