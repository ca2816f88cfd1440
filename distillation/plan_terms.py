"""What a plan says about rounds, in the terms of the secure sum and of the server's optimizer.

Coordinator and regions read the same plan with the same code; a region never takes these from the
coordinator.
"""

from collections.abc import Mapping
from fractions import Fraction

from distillation.aggregate import ServerOptimizer, Squares
from distillation.layout import Layout
from privacy.plan import Plan
from protocol.encoding import tagged_hash
from protocol.fixed_point import Block, Encoding
from protocol.identity import region_uid


def encoding_of(plan: Plan, layout: Layout) -> Encoding:
    """Return how deltas become words: one block, the finest grid that cannot wrap."""
    block = Block(layout.size, float(plan.sum.value_range))
    return Encoding.for_regions(len(plan.regions), bits=plan.sum.bits, blocks=(block,))


def weights_of(plan: Plan) -> Mapping[bytes, Fraction]:
    """Return each region's share of the mean, by uid, ascending."""
    return dict(sorted((region_uid(region.name), region.weight) for region in plan.regions))


def rotation_of(plan: Plan, round_: int) -> bytes:
    """Return the public seed of a round's rotation, 32 bytes; empty if the plan has none.

    It follows from the plan and the round alone, so nobody chooses it.
    """
    if not plan.sum.rotate:
        return b""
    return tagged_hash("rotation", bytes.fromhex(plan.hash), round_)


def optimizer_of(plan: Plan) -> ServerOptimizer:
    """Return the plan's server optimizer."""
    said = plan.optimizer
    squares = None
    if said.second_momentum is not None and said.adaptivity is not None:
        squares = Squares(float(said.second_momentum), float(said.adaptivity))
    return ServerOptimizer(
        learning_rate=float(said.learning_rate),
        momentum=float(said.momentum),
        squares=squares,
        average=said.average,
    )
