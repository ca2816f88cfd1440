"""``stillroom attack STUDENT``: what a released student gives away of its records."""

import json
from pathlib import Path

import torch
import typer

from distillation.audit.membership import Interval, Membership
from distillation.audit.released import Attacked, attack
from distillation.records import Columns, read_records
from stillroom.exits import Exit
from stillroom.terminal import out, print_table

_MUST_BE_ALIKE = (
    "members and others have to be alike in all else: a difference of time, place or form is told "
    "apart too. No share here is a bound of ε; stillroom audit and region audit make bounds"
)


def run_attack(
    student: Path,
    *,
    on: Path,
    against: Path,
    reference: Path | None,
    columns: Columns,
    ending: int,
    claim: tuple[float, float] | None,
    as_json: bool,
) -> Exit:
    """Attack, print what came out and what could have come out.

    Args:
        student: Folder of the student.
        on: Records that it was trained on.
        against: Records like them that it was not.
        reference: Folder of a model that saw neither, or None.
        columns: Columns of text and label.
        ending: Tokens that a language model is asked for.
        claim: (ε, δ) of the student's training, or None.
        as_json: Whether to print one JSON object.

    Returns:
        DONE, or FAILED if members are told apart.

    Raises:
        DistillationError: If a student or a file cannot be used.
    """
    torch.set_num_threads(1)
    members, others = (read_records(path, columns) for path in (on, against))
    found = attack(
        student, members, others, reference=reference, ending=ending, claim=claim or (0.0, 0.0)
    )
    if as_json:
        typer.echo(json.dumps(_to_json(found, claim), indent=2, ensure_ascii=False))
    else:
        _tell(found, claim)
    return Exit.FAILED if found.leaks else Exit.DONE


def _tell(found: Attacked, claim: tuple[float, float] | None) -> None:
    curve = found.membership
    _say(f"{curve.members} members, {curve.others} others: {found.separation.sentence}")
    _say(f"area under the ROC curve {_range(curve.area)}{_limit(curve, claim)}")
    print_table(
        ["false alarms", "members found", *(["(ε, δ) allows"] if claim else [])],
        [
            [f"{one.false_alarms}", _range(one.found), *([f"{one.most:.3f}"] if claim else [])]
            for one in curve.hits
        ],
    )
    if found.extracted is not None:
        _say(
            f"endings of {found.extracted.ending} tokens, said word for word: "
            f"{found.extracted.separation.sentence}"
        )
        _say(
            f"mean exposure {found.extracted.exposure_bits:.2f} bits of at most "
            f"{found.extracted.most_bits:.2f}; {found.extracted.chance_bits:.2f} where nothing was "
            "learned"
        )
    _say(_MUST_BE_ALIKE)


def _limit(curve: Membership, claim: tuple[float, float] | None) -> str:
    return f"; ε = {claim[0]:g} at δ = {claim[1]:g} allows {curve.most_area:.3f}" if claim else ""


def _to_json(found: Attacked, claim: tuple[float, float] | None) -> dict[str, object]:
    curve, apart = found.membership, found.separation
    shown: dict[str, object] = {
        "members": curve.members,
        "others": curve.others,
        "verdict": apart.verdict.value,
        "sentence": apart.sentence,
        "advantage": apart.advantage,
        "cap": apart.cap,
        "power": apart.power,
        "area": _interval(curve.area),
        "hits": [
            {
                "false_alarms": one.false_alarms,
                **_interval(one.found),
                "allowed": one.most if claim else None,
            }
            for one in curve.hits
        ],
        "extraction": None,
        "note": _MUST_BE_ALIKE,
    }
    if found.extracted is not None:
        given = found.extracted
        shown["extraction"] = {
            "ending": given.ending,
            "verdict": given.separation.verdict.value,
            "sentence": given.separation.sentence,
            "exposure_bits": given.exposure_bits,
            "chance_bits": given.chance_bits,
            "most_bits": given.most_bits,
        }
    return shown


def _interval(one: Interval) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}


def _range(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _say(sentence: str) -> None:
    out.print(sentence, soft_wrap=True, markup=False)
