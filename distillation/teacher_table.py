"""The table ``[teacher]`` of a study: which model labels the records, and what it was trained on.

What a teacher was trained on is declared here and admitted or refused when a plan is made
(`privacy.lineage`); this file checks only that the declaration is well formed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from distillation.kinds import Template
from distillation.study_file import Bounds, check_bounds, key
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import NEVER, WITHOUT_POPULATION, Declaration, TeacherLineage

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"package:[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_TRAINED_WITH_DP = (TeacherLineage.EXTERNAL_DP, TeacherLineage.FEDERATED_DP)
_ONLY_FOR: Mapping[str, tuple[TeacherLineage, ...]] = {
    "trained_epsilon": _TRAINED_WITH_DP,
    "trained_delta": _TRAINED_WITH_DP,
    "disjoint_attested_by": _TRAINED_WITH_DP,
    "plans": (TeacherLineage.FEDERATED_DP, TeacherLineage.REGION_DP),
    "public_attested_by": (TeacherLineage.HELD_OUT,),
}
"""Keys of [teacher] that say nothing for other lineages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """A model that teaches: where it lies, and what it was trained on."""

    model: str = key(
        "`package:NAME`, a folder relative to the study file, or a hub id with `revision`."
    )
    revision: str | None = key(
        "The commit of a hub id, 40 characters; needed for one, and only there.", default=None
    )
    lineage: TeacherLineage | None = key(
        "What the teacher was trained on. Needed, and never guessed: the guarantee rests on it. "
        "No plan accepts `cross-fit`, `region-private` or `undeclared`.",
        default=None,
    )
    population: str = key(
        "Whom its training data describe; needed unless the lineage is `public` or `region-dp`. "
        "The report says that they are not covered, or by what.",
        default="",
    )
    trained_epsilon: Decimal | None = key(
        "ε that the teacher's training promised or was charged, add-or-remove-one; for "
        "`external-dp` and `federated-dp`. Every plan pays it again unless nobody can be in both.",
        default=None,
        bounds=Bounds(above=0),
    )
    trained_delta: Decimal | None = key(
        "δ of the same.", default=None, bounds=Bounds(above=0, below=1)
    )
    trained_unit: Unit = key("What that training protected.", default=Unit.RECORD)
    disjoint_attested_by: str = key(
        "Who attests that nobody in the teacher's training data is in a region.", default=""
    )
    plans: tuple[str, ...] = key(
        "Hashes of the plans that trained it; needed for `federated-dp` and `region-dp`.",
        default=(),
    )
    public_attested_by: str = key(
        "For `held-out`: who declares the records that trained it public; they are not among "
        "those to label.",
        default="",
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        self._check_model()
        self._check_lineage()
        self._check_training()

    @property
    def declaration(self) -> Declaration:
        """What the study says about its teacher, as plans hold it."""
        trained: tuple[Bound, ...] = ()
        if self.trained_epsilon is not None and self.trained_delta is not None:
            relation = self.trained_unit, Neighbours.ADD_OR_REMOVE_ONE
            trained = (Bound(*relation, self.trained_epsilon, self.trained_delta),)
        return Declaration(
            lineage=self.lineage or TeacherLineage.UNDECLARED,
            population=self.population,
            guarantees=trained,
            disjoint_attested_by=self.disjoint_attested_by,
            plans=tuple(sorted(self.plans)),
            public_attested_by=self.public_attested_by,
        )

    def _check_model(self) -> None:
        is_package = self.model.startswith("package:")
        if not self.model.strip() or (is_package and not _PACKAGE.fullmatch(self.model)):
            raise ValueError(
                f"model: expected package:NAME, a folder or a hub id, got '{self.model[:80]}'"
            )
        if self.revision is None:
            return
        if is_package:
            raise ValueError("revision: a package is pinned by its hash: remove this key")
        if not _COMMIT.fullmatch(self.revision):
            raise ValueError(
                "revision: expected the 40 characters of a commit, in lower case, got "
                f"'{self.revision[:80]}': a branch or tag can change its meaning"
            )

    def _check_lineage(self) -> None:
        if self.lineage is None:
            choices = ", ".join(c for c in TeacherLineage if c not in NEVER)
            raise ValueError(
                f"needs the key 'lineage', one of {choices}: what the teacher was trained on "
                "decides whether the guarantee holds at all"
            )
        if self.lineage not in WITHOUT_POPULATION and not self.population.strip():
            raise ValueError(
                f"population: a teacher of lineage {self.lineage} needs the people named whom its "
                "training data describe; the report says that they are not covered: name them"
            )
        for name, lineages in _ONLY_FOR.items():
            if getattr(self, name) and self.lineage not in lineages:
                raise ValueError(
                    f"{name}: only a teacher of lineage {' or '.join(lineages)} has it, this one "
                    f"is {self.lineage}: remove this key, or correct the lineage"
                )

    def _check_training(self) -> None:
        if (self.trained_epsilon is None) != (self.trained_delta is None):
            raise ValueError("trained_epsilon: ε and δ come together: say both, or neither")
        wrong = [plan for plan in self.plans if not _SHA256.fullmatch(plan)]
        if wrong or len(set(self.plans)) < len(self.plans):
            raise ValueError(
                "plans: expected hashes of plans, 64 hexadecimal digits each, each once, got "
                f"{', '.join(plan[:70] for plan in wrong or self.plans)}: take them from the "
                "plans' reports"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertTable(ModelTable):
    """One more teacher, as `[[teacher.more]]`: labels are the weighted mean of all teachers'."""

    weight: Decimal = key(
        "Its share of the mixture where there are several teachers.",
        default=Decimal(1),
        bounds=Bounds(above=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTable(ExpertTable):
    """Who labels the records, inside each region."""

    max_tokens: int = key(
        "Longest text, in tokens; longer ones are refused.",
        default=64,
        bounds=Bounds(least=8, most=512),
    )
    template: Template = key(
        "For language models, how a record is read: plain `text`; a `chat`, a JSON list of "
        "messages with role and content, of which the assistant's turns count; or `chat-whole`, "
        "of which every token counts.",
        default=Template.TEXT,
    )
    prepare_epochs: int = key(
        "Passes over the public text by which a language model is made ready to teach. The text "
        "is declared public, so the lineage stays what it is.",
        default=0,
        bounds=Bounds(least=0),
    )

    prepare_learning_rate: Decimal = key(
        "The highest learning rate of that preparation.",
        default=Decimal("0.0001"),
        bounds=Bounds(above=0),
    )

    more: tuple[ExpertTable, ...] = key(
        "Further teachers of a classifier, as below; the student is cut from this one.", default=()
    )

    @property
    def all(self) -> tuple[ExpertTable, ...]:
        """Every teacher, this one first."""
        return (self, *self.more)
