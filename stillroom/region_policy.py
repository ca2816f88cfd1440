"""The text of a region's policy.toml: the same values as `client.policy.Policy`, with comments.

Written once, by ``region init``; from then on the file is the steward's, and a command changes
one line of it at most.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

from client.errors import PolicyError
from client.folder import write_durably
from client.policy import Policy

NOT_PINNED = "not-pinned-yet"
"""Stands for the registry's hash until the steward pins one; no registry has it."""

_PIN = re.compile(r'^(\s*registry_sha256\s*=\s*)"[^"\n]*"', re.MULTILINE)
_WHAT = {"record": "each record", "person": "all records of one unit together"}


def policy_text(policy: Policy, *, public_size: int) -> str:
    """Return the policy as TOML that a steward can read and edit."""
    limit = policy.limit
    flag = "true" if policy.any_survivors else "false"
    return f"""\
# What this region allows. Its steward owns this file; no coordinator can change it. A plan that
# goes beyond a line is refused with the name of that line. To see what holds now:
#   stillroom region check FOLDER

[region]
name = {_quoted(policy.region)}  # as in plans and in the registry

[data]
source = {_quoted(policy.source)}  # relative to this folder, or an absolute path
text = {_quoted(policy.text)}  # column of the text
{_column("label", policy.label, "column of the label; an empty cell: not labelled")}
{_column("unit", policy.unit, "column of the privacy unit, such as the patient's number")}

[budget]
# Granted once to the data of this name, for ever and in all its versions. The ledger holds the
# same numbers and is what counts: changing them here grants nothing more.
# Declared as the public size at the start: at most {public_size} units.
lineage = {_quoted(policy.lineage)}
unit = {_quoted(limit.unit.value)}  # protected is {_WHAT[limit.unit.value]}
neighbours = {_quoted(limit.neighbours.value)}  # which two data sets are hard to tell apart
epsilon = {limit.epsilon:f}
delta = {limit.delta:f}

[teacher]
# Teachers that may label these records, by what they were trained on (docs/study.md). One that saw
# these records, without differential privacy or in another account, can never be allowed.
lineages = [{", ".join(_quoted(lineage.value) for lineage in policy.lineages)}]

[federation]
# The registry of everybody's public keys; written by: stillroom region pin FOLDER REGISTRY
registry_sha256 = {_quoted(policy.registry_sha256)}
min_cohort = {policy.min_cohort}  # fewest regions in a plan
min_survivors = {policy.min_survivors}  # fewest regions in a sum
max_weight = {_quoted(str(policy.max_weight))}  # largest share of one region in a sum
# So many regions may work with the coordinator, and the rest is still hidden in the sum.
assumed_colluders = {policy.assumed_colluders}
any_survivors = {flag}  # true: sums may be allowed that together isolate a few regions
# Most made-up records that a plan may add to the training, to audit it; they cost no ε.
max_canaries = {policy.max_canaries}

[retention]
label_days = {policy.label_days}  # how long a teacher's soft label is kept
"""


def write_policy(path: Path, policy: Policy, *, public_size: int) -> None:
    """Write the file, and see that it says exactly what ``policy`` says.

    Raises:
        PolicyError: If it would not, such as for a name that TOML cannot hold.
    """
    _write_checked(path, policy_text(policy, public_size=public_size), policy)


def write_pin(path: Path, policy: Policy, registry_sha256: str) -> None:
    """Change the line of the registry's hash and no other.

    Raises:
        PolicyError: If the file has no such line.
    """
    text = path.read_text(encoding="utf-8")
    changed, lines = _PIN.subn(lambda found: f'{found[1]}"{registry_sha256}"', text)
    if lines != 1:
        raise PolicyError(
            f'expected one line registry_sha256 = "…" in {path.name}, got {lines}: write it '
            "under [federation] on a line of its own"
        )
    _write_checked(path, changed, replace(policy, registry_sha256=registry_sha256))


def _write_checked(path: Path, text: str, policy: Policy) -> None:
    trial = path.with_name("policy.new.toml")
    write_durably(trial, text.encode())
    try:
        if Policy.load(trial) != policy:
            raise PolicyError(f"{path.name} would not say what was asked for: use plainer names")
        trial.replace(path)
    finally:
        trial.unlink(missing_ok=True)


def _column(key: str, value: str | None, comment: str) -> str:
    shown = f"{key} = {_quoted(value)}" if value is not None else f'# {key} = "…"'
    return f"{shown}  # {comment}"


def _quoted(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)
