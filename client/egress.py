"""The gate at a region's door: the one way by which an answer leaves for the coordinator.

What the handler answers is checked here against a closed list (``egress_rules``) and against the
ledger (``egress_ledger``), written to the region's list of what left (``manifest``), and only then
handed to the transport. The gate believes nothing of the handler: it hashes and counts the very
bytes that leave, on a copy that nobody else can change.

Anything else is an `EgressError`; like every error it leaves as a refusal with a fixed word.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from client.answers import Handler, refusal
from client.approval import approved_plan, pinned_registry
from client.egress_ledger import Vector, check_entries, vector_of
from client.egress_rules import Answer, EgressError, EgressRules
from client.folder import RegionFolder
from client.halt import require_running
from client.manifest import Departure, Manifest, SentVector, manifest_of
from client.policy import Policy
from distillation.plan_terms import weights_of
from privacy.ledger import Ledger
from privacy.ledger_values import LedgerState
from privacy.plan import Plan
from protocol.envelope import Envelope, MessageKind
from protocol.messages import Refusal
from protocol.wire import Kind

__all__ = ["EgressError", "EgressGate", "open_gate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressGate:
    """A handler behind its gate; it answers in the handler's place.

    Guarantees:
      - what it returns is a declared answer to what was asked, of at most the declared size;
      - a vector that it returns has its release and its SEND in the ledger, on the disk, with the
        hash and the size of exactly these bytes, and its line in the manifest, on the disk;
      - shares that it returns are for the survivors that the ledger names;
      - nothing but refusals is returned while the steward has halted the region;
      - the returned bytes are the gate's own: nobody changes them afterwards.

    Attributes:
        handler: Answers; what it says is checked.
        rules: The closed list.
        plan: The approved plan.
        ledger: The region's ledger.
        folder: Where a steward's stop is looked for.
        manifest: Where it is written what left.
        clock: Unix seconds.
    """

    handler: Handler
    rules: EgressRules
    plan: Plan
    ledger: Ledger
    folder: RegionFolder
    manifest: Manifest
    clock: Callable[[], int]

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes."""
        return self.rules.uid

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        """Answer one message.

        Raises:
            EgressError: If the handler's answer may not leave.
            ManifestError: If it cannot be written that it leaves.
            Exception: Whatever the handler raised. The refusal that the transport makes of it is
                in the manifest, unless that cannot be written; then the error has a note of it.
        """
        try:
            return self._clear(kind, self.handler.handle(kind, request))
        except Exception as error:  # the region's border: a refusal leaves for any error
            self.keep_refusal(kind, error)
            raise

    def keep_refusal(self, kind: MessageKind, error: Exception) -> None:
        """Write down the refusal that leaves for an error; it leaves in any case, being fixed.

        Args:
            kind: What was asked.
            error: What went wrong; it gets a note if the refusal cannot be written down.
        """
        answer = refusal(self.uid, error)
        try:
            message = Refusal.from_bytes(answer.body)
            line = self._departure(kind, message, answer, self.ledger.state, None)
            self.manifest.append(line)
        except Exception as second:  # the first error is the one that counts; both are reported
            error.add_note(f"and the refusal is not in the manifest: {second}")

    def _clear(self, kind: MessageKind, reply: Envelope) -> Envelope:
        """Return the gate's own copy of an answer, once it may leave and is on record."""
        chunks = tuple(bytes(chunk) for chunk in reply.chunks)  # no copy of what is bytes already
        answer = Envelope(reply.body, chunks)
        message = self.rules.read(kind, answer.body, chunks)
        vector, state, plan = vector_of(message, chunks), self.ledger.state, self.plan
        check_entries(state, message, vector, plan_hash=plan.hash, bits=plan.sum.bits)
        if not isinstance(message, Refusal):
            require_running(self.folder)
        self.manifest.append(self._departure(kind, message, answer, state, vector))
        return answer

    def _departure(
        self,
        kind: MessageKind,
        message: Answer,
        answer: Envelope,
        state: LedgerState,
        vector: Vector | None,
    ) -> Departure:
        sent = None
        if vector is not None:
            context = vector.context.hex()
            sent = SentVector(self.plan.hash, context, vector.sha256, vector.size_bytes)
        return Departure(
            time=self.clock(),
            kind=kind,
            message=Kind[type(message).__name__.upper()],
            size_bytes=len(answer.body) + sum(map(len, answer.chunks)),
            sha256=hashlib.sha256(answer.body).hexdigest(),
            round_=self._round(state, message),
            vector=sent,
        )

    def _round(self, state: LedgerState, message: Answer) -> tuple[int, int] | None:
        """Return the round and attempt that a message names, or else the latest accepted one."""
        plan = state.plans.get(self.plan.hash)
        contexts = plan.contexts if plan else {}
        context = getattr(message, "context", b"")
        return contexts.get(context.hex(), state.last_round(self.plan.hash))


def open_gate(
    folder: RegionFolder, handler: Handler, *, ledger: Ledger, clock: Callable[[], int]
) -> EgressGate:
    """Return a region's handler behind its gate, for the plan that the region approved.

    The gate reads plan, policy and registry itself, as the region did.

    Args:
        folder: The region's folder.
        handler: The region's handler.
        ledger: The region's ledger, open.
        clock: Unix seconds.

    Raises:
        NotApprovedError: If no plan was approved here.
        ClientError: If the policy or the registry cannot be used.
    """
    policy, plan = Policy.load(folder.policy), approved_plan(folder, ledger)
    rules = EgressRules(
        uid=handler.uid,
        plan_hash=bytes.fromhex(plan.hash),
        cohort=frozenset(weights_of(plan)),
        registry=pinned_registry(folder, policy),
    )
    return EgressGate(
        handler=handler,
        rules=rules,
        plan=plan,
        ledger=ledger,
        folder=folder,
        manifest=manifest_of(folder),
        clock=clock,
    )
