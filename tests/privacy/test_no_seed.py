"""Nobody can set the randomness that privacy rests on: no argument, no configuration, no mode.

Known noise can be subtracted, so there is no test mode with a seed that a release might be made
in by mistake. These tests read the sources: a parameter that is not there cannot be set.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("privacy", "distillation", "client", "server", "simulations", "stillroom", "verify")
_SEEDED = ("default_rng", "manual_seed", "RandomState", "Generator", "Random", "seed")
_AUDIT = "distillation/audit/"  # attacks on the trainer: they train on made-up records only
_PUBLIC = (
    "distillation/data/",
    "distillation/measure/",
)  # public texts and tests; no client has them
_APART = (_AUDIT, *_PUBLIC)
_NO_PRIVACY_RESTS_ON_IT = {
    "distillation/batch_independence.py",  # made-up rows
    "distillation/classification_kit.py",  # the order of public records
    "distillation/dp/conformance_subject.py",  # made-up records
    "distillation/dp/layers.py",  # made-up rows
    "distillation/adapters.py",  # where adapters start, the same for everybody
    "distillation/language_kit.py",  # the order of public records
    "simulations/demo_data.py",  # the split of a public data set
    "simulations/generated_text.py",  # texts made out of public words
}


@cache
def _sources() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (file.relative_to(_ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8")))
        for package in _PACKAGES
        for file in sorted((_ROOT / package).rglob("*.py"))
    )


def _called(call: ast.Call) -> str:
    target = call.func
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield every parameter and every annotated field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_every_stream_is_made_without_arguments() -> None:
    """Wherever one is made, its key is the system's."""
    made = [
        (file, len(node.args) + len(node.keywords))
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) == "SecureStream"
    ]

    assert "client/training.py" in {file for file, _ in made}
    assert [file for file, arguments in made if arguments] == []


def test_the_key_is_reached_from_its_own_module_only() -> None:
    """It comes from the operating system, and no file, variable or setting is asked."""
    users = [
        file
        for file, tree in _sources()
        for node in ast.walk(tree)
        if "_fresh_key" in (getattr(node, "id", ""), getattr(node, "attr", ""))
    ]
    source = ast.parse((_ROOT / "privacy/noise.py").read_text(encoding="utf-8"))
    asked = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}

    assert set(users) == {"privacy/noise.py"}
    assert "urandom" in asked
    assert not asked & {"environ", "getenv", "read_bytes", "read_text"}


def test_no_parameter_between_a_plan_and_its_noise_is_a_seed() -> None:
    """Neither the noise, the trainer nor a region has one; the seed of a rotation is public."""
    found = {
        (file, name)
        for file, tree in _sources()
        if file.startswith(("privacy/", "distillation/", "client/")) and not file.startswith(_APART)
        for name in _names(tree)
        if "seed" in name.lower()
    }
    repetitions = {("privacy/report/parts.py", "seeds"), ("distillation/study_tables.py", "seeds")}
    of_public_records = {
        ("privacy/report/assessment.py", "seed"),
        ("distillation/classification_kit.py", "seed"),
        ("distillation/kit.py", "seed"),
        ("distillation/language_kit.py", "seed"),
        ("distillation/learning_tables.py", "seed"),
    }

    assert found == repetitions | of_public_records


def test_a_generator_with_a_seed_is_used_where_no_privacy_rests_on_it() -> None:
    """The list is short, and neither the noise, the optimizer nor the sampler is on it."""
    found = {
        file
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in _SEEDED and not file.startswith(_APART)
    }

    assert found == _NO_PRIVACY_RESTS_ON_IT


def test_no_region_imports_what_has_seeds_of_its_own() -> None:
    """Audits have them for made-up records, others for public ones; no client has their code.

    Two of its files flip coins and judge a finished run; a seed in there is of a simulation of the
    plan, and `test_no_coin_has_a_seed` holds the coins to the operating system's randomness. Two
    others read records of how public texts were made: a number in them, nothing is drawn from it.
    """
    importers = [
        file
        for file, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and f"{(node.module or '').replace('.', '/')}/".startswith(_APART)
        and not file.startswith((*_APART, "simulations/", "stillroom/"))
    ]

    assert sorted(set(importers)) == [
        "client/canaries.py",
        "client/materials.py",
        "client/production_audit.py",
        "distillation/language/answers.py",
    ]


def test_no_coin_has_a_seed() -> None:
    """The client's coins and their salt come from where its noise comes from."""
    trees = {file: tree for file, tree in _sources()}
    called = {
        _called(node)
        for node in ast.walk(trees["client/canaries.py"])
        if isinstance(node, ast.Call)
    }

    assert {"secret_coins", "SecureStream", "token_bytes"} <= {
        name.split(".")[-1] for name in called
    }
    assert not called & set(_SEEDED)
