"""What a region accepts of a round: made from its plan, its policy and what it computed itself.

Nothing in it comes from the coordinator.
"""

from dataclasses import dataclass

from client.errors import ModelChainError
from client.model_chain import ModelChain
from client.policy import Policy
from distillation.layout import Layout
from distillation.plan_terms import encoding_of, rotation_of, weights_of
from privacy.plan import Plan
from protocol.config import RoundConfig
from protocol.identity import Registry
from protocol.policy import RegionPolicy
from protocol.transcript import start_hash


@dataclass(frozen=True, slots=True)
class RoundTerms:
    """One region's rules for one plan.

    Attributes:
        plan: The approved plan.
        policy_file: The steward's policy.
        layout: The trained tensors.
        registry: The pinned registry.
    """

    plan: Plan
    policy_file: Policy
    layout: Layout
    registry: Registry

    def policy(self, chain: ModelChain) -> RegionPolicy:
        """Return the rules for the round that this region's model is for."""
        terms, own = self.plan.sum, self.policy_file
        return RegionPolicy(
            registry=self.registry,
            plan_hash=bytes.fromhex(self.plan.hash),
            round_=chain.next_round,
            model_hash=start_hash(chain.model.hash, chain.last),
            layout_hash=self.layout.hash,
            encoding=encoding_of(self.plan, self.layout),
            rotation_seed=rotation_of(self.plan, chain.next_round),
            weights=weights_of(self.plan),
            threshold=terms.threshold,
            min_survivors=terms.min_survivors,
            min_cohort=own.min_cohort,
            assumed_colluders=max(own.assumed_colluders, terms.assumed_colluders),
            max_weight=own.max_weight,
            differencing=not (terms.any_survivors and own.any_survivors),
        )

    def check_published(self, config: RoundConfig, chain: ModelChain) -> None:
        """Check that a published round is the one that this region's model is for.

        Raises:
            ModelChainError: If it starts from another model, or is of another plan or round.
        """
        expected = self.policy(chain)
        found = (config.plan_hash, config.model_hash, config.layout_hash, config.encoding)
        own = (expected.plan_hash, expected.model_hash, expected.layout_hash, expected.encoding)
        if (config.round_, config.rotation_seed) != (
            chain.next_round,
            expected.rotation_seed,
        ) or found != own:
            raise ModelChainError(
                f"expected the sum of round {chain.next_round} of the approved plan, on the model "
                f"computed here, got one of round {config.round_} that differs"
            )
        cohort = (tuple(expected.weights), tuple(expected.weights.values()))
        limits = (expected.threshold, expected.min_survivors)
        if (config.cohort, config.weights) != cohort or (
            config.threshold,
            config.min_survivors,
        ) != limits:
            raise ModelChainError("expected a sum over the approved plan's regions and weights")
