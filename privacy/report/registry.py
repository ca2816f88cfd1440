"""The report as an entry of the OpenDP Deployments Registry, in all fields of its tier 3.

The form is the registry's ``schemas/deployments-schema.yaml``. What nobody declared is in the
entry as such, for its author to fill in; the entry is a draft until they do.
"""

from __future__ import annotations

import re

from privacy.guarantee import Neighbours, Unit
from privacy.report.declared import NOT_DECLARED
from privacy.report.model import Report
from privacy.report.yaml_text import Yaml, to_yaml

SECTORS = ("Technology", "Healthcare", "Education", "Government", "Energy", "Finance")
_ADJACENT = {
    Neighbours.ADD_OR_REMOVE_ONE: "one has {what} that the other lacks",
    Neighbours.REPLACE_ONE: "one has {what} where the other has another's",
}


_WHAT = {Unit.RECORD: "one record", Unit.PERSON: "all records of one person"}


def registry_entry(report: Report) -> str:
    """Return the entry as YAML."""
    return to_yaml(entry(report))


def entry(report: Report) -> dict[str, Yaml]:
    """Return the entry as plain values."""
    return {
        "url_slug": _slug(report),
        "status": "Draft",
        "tier": 3,
        "deployment": {
            "basic": _basic(report),
            "dp_variant": _variant(report),
            "privacy_loss": _loss(report),
            "deployment_model": _model(report),
            "accounting": _accounting(report),
            "implementation": _implementation(report),
            "administrative": {
                "sources": "The report beside this entry, report.html and report.json.",
                "notes": _notes(report),
                "registry_authors": [report.declared.governance.declared_by],
            },
        },
    }


def _basic(report: Report) -> dict[str, Yaml]:
    who = report.declared.identity
    sector: dict[str, Yaml] = {"data_product_sector": who.sector} if who.sector in SECTORS else {}
    return {
        "name": report.study if who.system_name == NOT_DECLARED else who.system_name,
        "data_curators": [who.controllers],
        "intended_use": who.purpose,
        "data_product_type": "Machine learning model",
        "data_product_region": who.jurisdiction,
        "description": (
            f"{report.student.name}, distilled from {report.teacher.name} on the records of "
            f"{len(report.regions)} regions. {report.data.description}"
        ),
        "publication_date": report.created_at[:10],
        **sector,
    }


def _variant(report: Report) -> dict[str, Yaml]:
    return {
        "variant_name": "Approximate DP",
        "data_domain": (
            f"All sets of records of a region's lineage with at most the public size of units. "
            f"{report.data.description} Categories: {report.declared.data.categories}"
        ),
        "unprotected_quantities": " ".join(report.exceptions),
    }


def _loss(report: Report) -> dict[str, Yaml]:
    charged = report.worst.charged
    adjacent = _ADJACENT[charged.neighbours].format(what=_WHAT[charged.unit])
    return {
        "privacy_unit": f"{charged.unit} ({charged.neighbours})",
        "privacy_unit_details": (
            f"Two versions of one region's lineage are adjacent if {adjacent}. Which records are "
            f"a unit's: {report.declared.data.units}"
        ),
        "privacy_parameters": {"epsilon": float(charged.epsilon), "delta": float(charged.delta)},
        "privacy_parameters_details": (
            "The largest charge of any region, over all plans that were ever charged to its "
            "lineage. " + " ".join(report.claims)
        ),
    }


def _model(report: Report) -> dict[str, Yaml]:
    actors = "; ".join(
        f"{one.name}: sees {one.sees}; trusted for {one.trusted_for}" for one in report.actors
    )
    return {
        "model_name": "Federated",
        "model_name_details": (
            "Each region adds noise to its own updates; the figures hold even if each region's "
            "update is read by itself."
        ),
        "actors": actors,
        "release_type": "Many releases",
        "release_type_details": (
            f"One noised update a region and round, {report.final.round} rounds. The account is "
            "never refilled; a plan is charged in full before its first release, and refused if "
            "the account has less left."
        ),
        "data_source_type": "Static",
        "data_source_type_details": (
            "All versions of a lineage share one account; retention: "
            f"{report.declared.data.retention}"
        ),
        "access_type": "Non-interactive",
        "access_type_details": "Nobody can query the records; the coordinator's requests are the "
        "approved plan's, and other ones are refused.",
    }


def _accounting(report: Report) -> dict[str, Yaml]:
    it = report.accounting
    return {
        "post_processing": (
            "Sums over regions, the optimizer's step, evaluation on public data, conversion of "
            "the student to other formats."
        ),
        "composition": f"{it.composition}. Accountant: {it.accountant} ({it.version}). "
        f"{it.rounding}. {it.stopping}.",
    }


def _implementation(report: Report) -> dict[str, Yaml]:
    training, data = report.declared.training, report.declared.data
    versions = ", ".join(f"{one.name} {one.version}" for one in report.versions)
    assumptions = " ".join(f"{one.text} ({one.support})." for one in report.assumptions)
    return {
        "preprocessing_and_hyperparameter_tuning": (
            f"Pre-processing: {data.preprocessing} Tuning: {training.tuning}"
        ),
        "mechanisms": (
            "Poisson-sampled Gaussian mechanism on clipped per-unit gradients (DP-SGD), noise in "
            "float64 from a cryptographic generator, several normal draws combined against "
            "floating-point attacks. Times of answers are not hidden. "
            f"Security: {report.declared.governance.security} Versions: {versions}. Commit: "
            f"{report.software.commit}."
        ),
        "justification": (
            f"Choice of ε and δ: {training.epsilon_rationale} Assumptions and their support: "
            f"{assumptions}"
        ),
    }


def _notes(report: Report) -> str:
    missing = report.declared.missing
    words = f"Generated by {report.origin.generator} from report {report.origin.report}."
    return f"{words} {len(missing)} fields say {NOT_DECLARED}." if missing else words


def _slug(report: Report) -> str:
    words = re.sub("[^a-z0-9]+", "-", report.study.lower()).strip("-") or "study"
    return f"{words[:60]}-{report.created_at[:4]}"
