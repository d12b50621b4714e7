"""`lint` as a whole: what is asked for is looked for, in an order that can be worked through, and no more."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.lint.finding import CODES, SEVERITIES, Finding, Rows
from decider.assess.lint.lint import DOUBTS, EXACT, NEAR, Linted, lint, wanted
from decider.data.rows import check
from decider.decision import Example
from decider.task import Task


class Answer(BaseModel):
    team: Literal["billing", "login"]


TASK: Task[Answer] = Task(Answer, name="team")


def row(text: str, team: str = "billing", **about: str) -> dict[str, Any]:
    return {"input": text, "output": {"team": team}, **about}


def linted(*rows: Mapping[str, Any], **options: Any) -> Linted:
    return lint(TASK, [check(one, TASK, n) for n, one in enumerate(rows, 1)], **{"doubt": False, **options})


def sentence(seed: int) -> str:
    chance = random.Random(seed)
    words = ("".join(chance.choices("abcdefghijklmnop", k=chance.randint(4, 8))) for _ in range(10))
    return f"{' '.join(words)}."


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """As if libraries were not installed."""
    monkeypatch.setattr(
        sys.modules["decider.assess.lint.lint"], "find_spec", lambda name: None if name in missing else object()
    )


def test_findings_stand_most_certain_first_then_worst_then_by_code_and_row() -> None:
    rows = [
        row("same", id="a"),
        row("same", "login", id="b"),
        row("twice", id="c"),
        row("twice", id="d"),
        row("x", "nobody", id="e"),
        row("", id="f"),
        row("y", "nobody", id="g"),
    ]
    found = linted(*rows, only=("contradiction", "duplicate", "unknown-label", "empty"))
    assert [(one.code, one.rows[0]) for one in found.findings] == [
        ("unknown-label", "e"),
        ("unknown-label", "g"),
        ("empty", "f"),
        ("duplicate", "c"),
        ("contradiction", "b"),
    ]
    assert found.errors
    assert found.severities == {"error": 4, "warning": 1, "note": 0}
    assert found.counts == {"unknown-label": 2, "empty": 1, "duplicate": 1, "contradiction": 1}
    assert (found.rows, found.rejected, found.clean) == (7, 3, 0)
    assert found.inputs["a"] == "same"
    assert found.inputs["f"] == rows[5]


def test_only_and_skip_say_what_is_looked_for() -> None:
    rows = [row("a"), row("a"), row("b"), row("b", "login")]
    assert set(linted(*rows, only=("duplicate",)).counts) == {"duplicate"}
    assert set(linted(*rows, only=("duplicate", "contradiction"), skip=("duplicate",)).counts) == {"contradiction"}
    assert "duplicate" not in linted(*rows, skip=("duplicate",)).counts


def test_nothing_is_looked_for_where_no_code_is_left() -> None:
    rows = [row("a"), row("a")]
    assert linted(*rows, only=()).findings == ()
    assert linted(*rows, only=("duplicate",), skip=("duplicate",)).findings == ()


def test_each_row_counts_where_several_have_one_id() -> None:
    found = linted(row("a", id="x"), row("b", id="x"), row("c", "nobody", id="x"), row("d"), only=("duplicate-id",))
    assert (found.rows, found.clean) == (4, 1)


@pytest.mark.parametrize(
    ("code", "message"),
    [("duplicat", "there is no code 'duplicat'; did you mean duplicate?"), ("zzz", "'zzz'; known are unreadable, ")],
)
def test_a_code_that_there_is_not_is_refused(code: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        wanted((code,))
    with pytest.raises(ValueError, match="there is no code"):
        linted(row("a"), skip=(code,))


def test_good_rows_have_no_error_and_no_warning() -> None:
    rows = [row(sentence(n), "login" if n % 2 else "billing") for n in range(200)]
    found = linted(*rows)
    assert not found.errors
    assert found.clean == 200


def test_all_codes_say_what_they_mean_and_how_to_fix_it() -> None:
    assert all(
        one.severity in SEVERITIES and one.meaning.endswith(".") and one.remedy.endswith(".") for one in CODES.values()
    )
    assert CODES.keys() >= DOUBTS | NEAR | EXACT


def test_no_rows_at_all_give_no_finding_of_rows() -> None:
    found = linted(only=("contradiction", "near-duplicate", "leakage", "duplicate"))
    assert (found.findings, found.rows, found.errors) == ((), 0, False)


def test_without_the_extra_what_needs_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "cleanlab", "datasketch")
    with pytest.raises(ImportError, match=r"looking for .*label-error.* needs datasketch, cleanlab: pip install"):
        linted(row("a"), doubt=True)
    assert linted(row("a"), doubt=True, only=EXACT).left_out == {}


def test_without_the_extra_a_quick_lint_does_without_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "datasketch", "ftfy", "py3langid", "cleanlab")
    text = "please send the invoice again to my new address"
    rows = [row(text, split="train"), row(text, split="test"), row(f"{text} now", split="test")]
    found = linted(*rows)
    assert set(found.left_out) == {*NEAR, *DOUBTS, "mojibake", "language"}
    assert found.left_out["language"] == "it needs py3langid: pip install 'decider-sdk[data]'"
    assert found.left_out["leakage"].startswith("of inputs that are not identical: it needs datasketch")
    assert found.left_out["label-error"] == "no models are trained"
    assert [one.rows for one in found.findings if one.code == "leakage"] == [("2", "1")]
    assert not found.counts.keys() & {"near-duplicate", "near-contradiction"}


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    rows = [row(sentence(n)) for n in range(1500)]
    linted(*rows, only=("near-duplicate",), progress=lambda done, total: told.append((done, total)))
    assert told
    assert all(0 <= done <= total == 1500 for done, total in told)


def test_models_that_learned_from_the_rest_doubt_labels() -> None:
    words = {"billing": "invoice payment refund charge money", "login": "password account locked reset code"}
    chance = random.Random(5)
    rows = []
    for n in range(400):
        team = "login" if n % 2 else "billing"
        text = " ".join(chance.choices(words[team].split(), k=5)) + f" {sentence(n)}"
        wrong = {"login": "billing", "billing": "login"}[team]
        rows.append(row(text, wrong if n < 20 else team, id=f"r{n}"))
    found = linted(*rows, doubt=True, only=("label-error",)).findings
    assert len({one.rows[0] for one in found[:20]} & {f"r{n}" for n in range(20)}) >= 18


def test_rows_know_their_places() -> None:
    rows = Rows(task=TASK, examples=(Example(input="a", output={"team": "login"}),), same=(0,))
    assert (rows.id(0), rows.place(0), rows.side(0)) == ("1", 1, None)


def test_a_finding_of_the_whole_dataset_names_no_rows() -> None:
    one = Finding(code="imbalance", severity="note", rows=(), message="m", suggestion="s", certainty=0.123456)
    assert one.to_json() == {
        "code": "imbalance",
        "severity": "note",
        "rows": [],
        "field": None,
        "message": "m",
        "suggestion": "s",
        "certainty": 0.1235,
    }


def test_importing_the_lint_loads_none_of_its_libraries() -> None:
    heavy = ("numpy", "sklearn", "scipy", "pandas", "cleanlab", "datasketch", "ftfy", "py3langid", "pyarrow")
    imports = "import sys, decider.assess.lint"
    code = f"{imports}; print([one for one in {heavy} if one in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
