"""The study file: what is read from it, what is refused, and what the messages say."""

import dataclasses
import re
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillation.errors import StudyError
from distillation.study import Study
from distillation.study_tables import TABLES
from tests.distillation import studies, study_page
from tests.distillation.studies import SHORT, edited, load

_DEMO = Path(__file__).parents[2] / "studies" / "demo.toml"
_same_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@_same_folder
@given(data=st.data())
def test_a_study_reads_back_what_it_wrote(tmp_path: Path, data: st.DataObject) -> None:
    """Every study is the same after writing and reading, defaults included."""
    study = data.draw(studies.studies(tmp_path.resolve()))
    assert load(tmp_path, study.to_toml()) == study


@_same_folder
@given(
    junk=st.binary(max_size=200) | st.text(max_size=200).map(lambda s: s.encode("utf-8", "replace"))
)
def test_any_other_file_is_refused_as_a_study(tmp_path: Path, junk: bytes) -> None:
    """Any bytes that are no study raise StudyError and nothing else."""
    with pytest.raises(StudyError):
        load(tmp_path, junk)


_VALUES = st.sampled_from(
    [
        '"x"',
        '""',
        "0",
        "-1",
        "1",
        "-0.0",
        "1e400000",
        "1e-400000",
        "nan",
        "inf",
        "-inf",
        "true",
        "[]",
        "[1, 1]",
        "[-1]",
        "{}",
        "{a = 1}",
        "1979-05-27",
        "0.1234567890123456789012345678901",
        "9" * 50,
        "9" * 5000,
        "1e99999999999999999999",
        "[" * 5000,
        '"' + "x" * 5000 + '"',
    ]
)


@pytest.mark.slow
@settings(_same_folder, max_examples=250)
@given(data=st.data())
def test_a_damaged_line_is_a_study_or_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in a line, loading returns a study or raises StudyError."""
    lines = SHORT.splitlines()
    place = data.draw(st.sampled_from([i for i, line in enumerate(lines) if "=" in line]))
    name = data.draw(st.sampled_from([lines[place].partition(" ")[0], "momentum", "gates", "x.y"]))
    lines[place] = f"{name} = {data.draw(_VALUES)}"
    try:
        study = load(tmp_path, "\n".join(lines))
    except StudyError:
        return
    assert load(tmp_path, study.to_toml()) == study


def test_the_numbers_of_a_study_are_exact(tmp_path: Path) -> None:
    """A decimal is that decimal and a rate is that fraction, not the nearest float."""
    study = load(tmp_path, SHORT)
    assert study.privacy.delta == Decimal("0.00001")
    assert study.federation.sample_rate == Fraction(1, 10)


def test_gates_are_read_as_decimals(tmp_path: Path) -> None:
    """A gate is the number in the file; one that is left out is none."""
    table = "[evaluation]\ngates = { accuracy = 0.7 }\n[privacy]"
    evaluation = load(tmp_path, edited("[privacy]", table)).evaluation
    assert evaluation.gates.accuracy == Decimal("0.7")
    assert evaluation.gates.calibration_error is None


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    """Plans cannot write -0, so a study does not hold it."""
    study = load(tmp_path, edited("[privacy]", "[optimizer]\nmomentum = -0.0\n[privacy]"))
    assert not study.optimizer.momentum.is_signed()


def test_the_default_study_is_valid_and_runs_as_written() -> None:
    """The study that the demo runs loads, and what is written of it keeps every given value."""
    study = Study.load(_DEMO)
    written = tomllib.loads(study.to_toml())
    for table, keys in tomllib.loads(_DEMO.read_text()).items():
        for key, value in keys.items():
            found = written[table][key]
            assert {**found, **value} == found if isinstance(value, dict) else found == value


def test_paths_start_at_the_study(tmp_path: Path) -> None:
    """The base of relative paths is the folder of the file, wherever the process runs."""
    assert load(tmp_path, SHORT).base == tmp_path.resolve()


def test_a_mark_at_the_start_of_the_file_is_no_fault(tmp_path: Path) -> None:
    """A byte order mark, which some editors write, is skipped."""
    assert load(tmp_path, b"\xef\xbb\xbf" + SHORT.encode()) == load(tmp_path, SHORT)


def test_tables_with_defaults_may_be_left_out(tmp_path: Path) -> None:
    """Without [objective] the student imitates soft labels at temperature 2."""
    study = load(tmp_path, edited("[objective]\nsoft = 1.0\n", ""))
    assert (study.objective.soft, study.objective.temperature) == (Decimal(1), Decimal(2))


_BAD = {
    # the file
    "no TOML": ("[study]\n", "[study\n", ["valid TOML", "line"]),
    "region twice": ("[regions.east]", "[regions.north]", ["[regions.north] is there twice"]),
    "key twice": ("rounds = 10", "rounds = 10\nrounds = 9", ["a key is there twice", "remove one"]),
    # names
    "unknown table": ("[privacy]", "[privcy]", ["no table 'privcy'", "mean 'privacy'"]),
    "unknown data": ("[data.test]", "[data.tset]", ["[data] has no table 'tset'", "mean 'test'"]),
    "unknown key": ("epsilon = 2", "epsilom = 2", ["[privacy]", "'epsilom'", "mean 'epsilon'"]),
    "nothing near": ("rounds = 10", "zzz = 10", ["[federation]", "known are rounds, local_steps"]),
    "another table's": ("rounds = 10", "epsilon = 1", ["'epsilon'", "belongs to [privacy]"]),
    "not a gate": ("[study]", "evaluation.gates.f1 = 1\n[study]", ["[evaluation.gates]", "'f1'"]),
    "missing table": ('[student]\nlayers = [0, 5]\n', "", ["table [student]", "docs/study.md"]),
    "missing key": ("rounds = 10\n", "", ["[federation] needs the key 'rounds'"]),
    "value for a table": ('[study]\nname = "chapters"', "study = 1", ["[study]", "integer (1)"]),
    "control codes": ("rounds = 10", '"a\\nb\\u001b" = 1', ["has no key 'a\ufffdb\ufffd'"]),
    # types
    "text for a number": ("rounds = 10", 'rounds = "10"', ["federation.rounds", "integer", "text"]),
    "number for a count": ("rounds = 10", "rounds = 1.5", ["integer", "a number (1.5)"]),
    "truth for a count": ("rounds = 10", "rounds = true", ["integer", "a truth value"]),
    "not finite": ("epsilon = 2.0", "epsilon = inf", ["privacy.epsilon", "finite"]),
    "not a number": ("epsilon = 2.0", "epsilon = nan", ["privacy.epsilon", "finite"]),
    "huge exponent": ("epsilon = 2.0", "epsilon = 1e999999", ["privacy.epsilon", "28 digits"]),
    "long integer": ("rounds = 10", "rounds = " + "9" * 5000, ["too many digits"]),
    "deep list": ("rounds = 10", "rounds = " + "[" * 20000, ["nested too deeply"]),
    # data
    "unknown suffix": ('"public.csv"', '"public.xlsx"', [".csv, .jsonl, .parquet", "public.xlsx"]),
    "region of public data": (
        'source = "public.csv"', 'source = "public.csv"\nregion = "r"', ["[data.public] region"],
    ),
    "no region column": ('region = "hospital"\n', "", ["[data.private] needs the key 'region'"]),
    "one column for two": ('"hospital"', '"chapter"', ["[data.private]", "one for two"]),
    "no test labels": (
        '[data.test]\nsource = "test.csv"\nlabel = "chapter"',
        '[data.test]\nsource = "test.csv"', ["[data.test] needs the key 'label'"],
    ),
    # teacher
    "no lineage": (
        'lineage = "external-private"\n', "",
        ["[teacher] needs the key 'lineage'", "public, external-private, external-dp, federated"],
    ),
    "another lineage": ('"external-private"', '"secret"', ["one of public", "'secret'"]),
    "no population": ('population = "customers of the vendor"', "", ["population", "name them"]),
    "no model": ('model = "teacher"', 'model = " "', ["model", "package:NAME"]),
    "no package": ('model = "teacher"', 'model = "package:"', ["model", "package:NAME"]),
    "unpinned hub id": ('model = "teacher"', 'model = "org/name"', ["teacher.revision", "commit"]),
    "branch": (
        'model = "teacher"', 'model = "org/name"\nrevision = "main"', ["40 characters", "'main'"],
    ),
    "pinned package": (
        'model = "teacher"', f'model = "package:a"\nrevision = "{"a" * 40}"', ["remove this key"],
    ),
    # student and objective
    "train of later": (
        "layers = [0, 5]", 'layers = [0]\ntrain = "all"',
        ["student.train", "'all' comes in a later version", "head, last, lora, norms"],
    ),
    "unknown train": ("layers = [0, 5]", 'layers = [0]\ntrain = "x"', ["one of head, last"]),
    "train of the other task": (
        'name = "chapters"', 'name = "chapters"\ntask = "language-model"',
        ["[student] train", "lora or last or norms for the task language-model", "got 'head'"],
    ),
    "layers for a head": (
        "layers = [0, 5]", "layers = [0, 5]\ntrained_layers = 2",
        ["trained_layers", "lora or norms", "'head'"],
    ),
    "a rank without adapters": (
        "layers = [0, 5]", 'layers = [0, 5]\ntrain = "last"\nrank = 4', ["rank", "lora", "'last'"],
    ),
    "more trained layers than there are": (
        "layers = [0, 5]", "layers = [0, 5]\ntrained_layers = 3", ["trained_layers", "2 layers"],
    ),
    "classifier made ready": (
        'model = "teacher"', 'model = "teacher"\nprepare_epochs = 1', ["prepare_epochs", "remove"],
    ),
    "classifier of chats": (
        'model = "teacher"', 'model = "teacher"\ntemplate = "chat"', ["template", "plain text"],
    ),
    "no layers": ("layers = [0, 5]", "layers = []", ["layers", "such as [0, 5]"]),
    "layers of an earlier student": (
        "layers = [0, 5]", 'layers = [0, 5]\nfrom = "runs/first"', ["layers", "goes on"],
    ),
    "nowhere to start from": ("layers = [0, 5]", 'from = " "', ["from", "earlier run"]),
    "layer twice": ("layers = [0, 5]", "layers = [0, 0]", ["each once"]),
    "negative layer": ("layers = [0, 5]", "layers = [-1]", ["from 0"]),
    "no temperature": ("soft = 1.0", "temperature = 0", ["temperature", "> 0", "got 0"]),
    "negative weight": ("soft = 1.0", "soft = -1.0", ["[objective] soft", ">= 0"]),
    "no weight": ("soft = 1.0", "soft = 0.0", ["a weight above 0", "set soft = 1.0"]),
    "no labels to learn": (
        'label = "chapter"\nregion', "region", ["[objective] label", "data.private.label"],
    ),
    "unknown term": (
        "soft = 1.0", 'more = [{term = "x", weight = 1}]', ["more[0]", "generalised-jsd", "'x'"],
    ),
    "term without its constant": (
        "soft = 1.0", 'more = [{term = "blend", weight = 1, alpha = 0.5}]',
        ["more[0]", "['alpha', 'temperature']"],
    ),
    "term with another's constant": (
        "soft = 1.0", 'more = [{term = "brier", weight = 1, alpha = 0.5}]',
        ["more[0]", "got ['alpha']"],
    ),
    "term on hidden states": (
        "soft = 1.0", 'more = [{term = "feature-cosine", weight = 1}]',
        ["student.train to norms, lora or last", "warm_up.feature_weight"],
    ),
    "weight of one teacher": (
        'population = "customers of the vendor"',
        'population = "customers of the vendor"\nweight = 0.5',
        ["[teacher] weight", "whole mixture"],
    ),
    "second teacher without lineage": (
        'population = "customers of the vendor"',
        'population = "customers of the vendor"\nmore = [{model = "second"}]',
        ["teacher.more[0]", "needs the key 'lineage'"],
    ),
    "second teacher of the hub": (
        'population = "customers of the vendor"',
        'population = "customers of the vendor"\n'
        'more = [{model = "org/name", lineage = "public"}]',
        ["[teacher] more[0]", "teacher.revision"],
    ),
    "answers for a classifier": (
        "[privacy]",
        '[[warm_up.answers]]\nmodel = "m"\nlineage = "public"\nprompts = "p.csv"\n'
        'public_because = "ours"\n[privacy]',
        ["[warm_up] answers", "language-model"],
    ),
    "answers to prompts of nobody knows whom": (
        "[privacy]",
        '[[warm_up.answers]]\nmodel = "m"\nlineage = "public"\nprompts = "p.csv"\n'
        'public_because = " "\n[privacy]',
        ["warm_up.answers[0]", "public_because"],
    ),
    "answers that are weighed": (
        "[privacy]",
        '[[warm_up.answers]]\nmodel = "m"\nlineage = "public"\nprompts = "p.csv"\n'
        'public_because = "ours"\nweight = 2\n[privacy]',
        ["warm_up.answers[0]", "weight"],
    ),
    "states alone": (
        "soft = 1.0", 'soft = 0\nmore = [{term = "feature-cosine", weight = 1}]',
        ["student.train to norms, lora or last"],
    ),
    "term without a weight": (
        "soft = 1.0", 'more = [{term = "brier", weight = 0}]', ["weight", "> 0"],
    ),
    # generated public text
    "generated without origin": (
        "[study]", "warm_up.generated = 9\n[study]", ["[data.public]", "'origin'", "generated = 0"],
    ),
    "generated without reason": (
        'source = "public.csv"', 'source = "public.csv"\norigin = "x"\n[warm_up]\ngenerated = 9',
        ["[data.public]", "'reason'", "everybody may see it"],
    ),
    "generated and not learned": (
        "[study]", "warm_up.epochs = 0\nwarm_up.generated = 9\n[study]",
        ["[warm_up]", "epochs >= 1"],
    ),
    "private declared public": (
        'source = "records.csv"', 'source = "records.csv"\nreason = "x"',
        ["[data.private] reason", "only [data.public]"],
    ),
    "test declared public": (
        'source = "test.csv"', 'source = "test.csv"\norigin = "x"', ["[data.test] origin"],
    ),
    # privacy
    "zero epsilon": ("epsilon = 2.0", "epsilon = 0.0", ["[privacy] epsilon", "> 0", "got 0"]),
    "negative epsilon": ("epsilon = 2.0", "epsilon = -1", ["> 0", "got -1"]),
    "zero delta": ("delta = 1e-5", "delta = 0.0", ["[privacy] delta", "> 0 and < 1"]),
    "certain delta": ("delta = 1e-5", "delta = 1.0", ["[privacy] delta", "> 0 and < 1"]),
    "large delta": ("delta = 1e-5", "delta = 1e-3", ["δ", "[regions.north] of 1800", "lower it"]),
    "persons": ("delta = 1e-5", 'delta = 1e-5\nunit = "person"', ["unit", "data.private.unit"]),
    "no clip": ("delta = 1e-5", "delta = 1e-5\nclip_norm = 0", ["[privacy] clip_norm", "> 0"]),
    # federation and regions
    "no rounds": ("rounds = 10", "rounds = 0", ["[federation] rounds", ">= 1", "got 0"]),
    "no rate": ("sample_rate = 0.1", "sample_rate = 0", ["sample_rate", "> 0 and <= 1"]),
    "rate above 1": ("sample_rate = 0.1", "sample_rate = 1.1", ["> 0 and <= 1", "got 1.1"]),
    "odd words": ("rounds = 10", "rounds = 10\nbits = 8", ["16 or 32", "got 8"]),
    "few regions": ("[regions.coast]\npublic_size = 1100\n", "", ["at least 5 regions", "got 4"]),
    "region's name": ("[regions.coast]", "[regions.Coast]", ["[regions.Coast]", "lower-case"]),
    "region's size": ("public_size = 1100", "public_size = 0", ["[regions.coast] public_size"]),
    "gate above 1": ("[study]", "evaluation.gates.accuracy = 70\n[study]", ["<= 1", "got 70"]),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD)
def test_what_is_wrong_with_a_study_is_said(tmp_path: Path, case: str) -> None:
    """Each mistake is refused with the file, the place, what was expected and what came."""
    old, new, parts = _BAD[case]
    text = SHORT.replace("soft = 1.0", "label = 1.0") if case == "no labels to learn" else SHORT
    assert text.count(old) == 1
    with pytest.raises(StudyError) as caught:
        load(tmp_path, text.replace(old, new))
    message = str(caught.value)
    assert message.startswith("study.toml: ")
    assert "\n" not in message
    assert len(message) < 500
    for part in parts:
        assert part in message


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    """A file that is not there is named with its path."""
    with pytest.raises(StudyError, match=r"no study at .*missing\.toml"):
        Study.load(tmp_path / "missing.toml")


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    """What cannot be read as a file is refused."""
    with pytest.raises(StudyError, match="cannot be read"):
        Study.load(tmp_path)


def test_a_table_that_was_made_in_code_is_checked_too(tmp_path: Path) -> None:
    """The same bounds hold without a file: a value cannot be wrong."""
    privacy = load(tmp_path, SHORT).privacy
    with pytest.raises(ValueError, match="epsilon"):
        dataclasses.replace(privacy, epsilon=Decimal(0))


def test_a_rate_without_decimal_form_is_not_written_rounded(tmp_path: Path) -> None:
    """A third has no finite decimal, so the study as run would be another one: refused."""
    study = load(tmp_path, SHORT)
    third = dataclasses.replace(study.federation, sample_rate=Fraction(1, 3))
    with pytest.raises(StudyError, match="1/3"):
        dataclasses.replace(study, federation=third).to_toml()


def test_the_page_says_what_the_code_does() -> None:
    """The tables in docs/study.md are those of the code; else run tests.distillation.study_page."""
    assert study_page.PAGE.read_text(encoding="utf-8") == study_page.page()
    assert study_page.sections() in study_page.page()


def test_the_study_on_the_page_is_valid(tmp_path: Path) -> None:
    """Whoever copies the example from docs/study.md has a study."""
    blocks = re.findall(r"```toml\n(.*?)```", study_page.PAGE.read_text(encoding="utf-8"), re.S)
    assert [load(tmp_path, block).study.name for block in blocks] == [*("chapters", "notes")]


def test_every_key_says_what_it_means() -> None:
    """No key is declared without a sentence for people."""
    for kind in TABLES.values():
        for field in dataclasses.fields(kind):
            assert field.metadata["doc"].endswith((".", "`"))
