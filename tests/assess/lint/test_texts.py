"""Texts of inputs: what is planted is found, and good texts give no finding."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from decider.assess.lint.columns import at
from decider.assess.lint.damage import fixed
from decider.assess.lint.finding import Finding, Rows
from decider.assess.lint.texts import texts
from decider.task import Task
from lint_rows import codes, rows_of


class Team(BaseModel):
    team: Literal["billing", "login"]


class Mail(BaseModel):
    subject: str
    body: str | None = None
    urgent: bool = False


class Threads(BaseModel):
    mails: list[dict[str, str]]


TEAM: Task[Team] = Task(Team, name="team")
MAIL: Task[Team] = Task(Team, name="team", input=Mail)

_NOUNS = (
    *("invoice", "card", "account", "payment", "parcel", "order", "phone", "password", "contract", "router", "address"),
    *("rebate", "meter", "ticket", "cable", "letter", "branch", "cheque", "salary", "window", "engine", "garden"),
    *("bicycle", "kitchen", "printer", "holiday", "student", "doctor", "bridge", "summer"),
)
_VERBS = (
    *("lost", "sent", "opened", "closed", "changed", "paid", "found", "missed", "moved", "broke", "checked", "called"),
    *("tried", "signed", "bought", "sold"),
)
_WHEN = (
    *("yesterday", "today", "again", "twice", "early", "late", "recently", "suddenly", "always", "never", "often"),
    *("abroad", "online", "outside"),
)


def prose(seed: int, sentences: int = 2) -> str:
    """Some plain English, another for each seed."""
    chance = random.Random(seed)
    said = (
        f"The {chance.choice(_NOUNS)} and my {chance.choice(_NOUNS)} were {chance.choice(_VERBS)}"
        f" {chance.choice(_WHEN)}, so I {chance.choice(_VERBS)} the {chance.choice(_NOUNS)} {chance.choice(_WHEN)}."
        for _ in range(sentences)
    )
    return " ".join(said)


def team(values: Sequence[str], **about: Any) -> Rows:
    """Rows of texts, every other one of each label."""
    labels = ("billing", "login")
    return rows_of(TEAM, [(value, {"team": labels[n % 2]}) for n, value in enumerate(values)], **about)


def good(count: int = 60) -> list[str]:
    return [prose(n) for n in range(count)]


def only(findings: Sequence[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_good_texts_give_no_finding() -> None:
    assert list(texts(team(good()))) == []
    assert list(texts(team([]))) == []
    assert (
        list(texts(rows_of(MAIL, [({"subject": prose(n), "urgent": True}, {"team": "login"}) for n in range(40)])))
        == []
    )


@pytest.mark.parametrize(
    "text", ["-", "...", "n/a", "N/A", "null", "#REF!", "[EMAIL]", "XXXX XX", "\u200b.", "[NAME]" * 5]
)
def test_an_input_that_says_nothing_is_an_error(text: str) -> None:
    found = only(list(texts(team([*good(20), text]))))
    assert (found.code, found.severity, found.rows) == ("empty", "error", ("21",))


@pytest.mark.parametrize("text", ["Test", "asdf", "(no description)", "TBD."])
def test_what_people_write_where_they_must_is_a_warning(text: str) -> None:
    found = only(list(texts(team([*good(20), text]))))
    assert (found.code, found.severity, found.rows) == ("empty", "warning", ("21",))
    assert repr(text) in found.message


@pytest.mark.parametrize("text", ["??", "!", "👍", "42", "no", "none", "$", "日本", "☹" * 30])
def test_what_is_short_may_say_something(text: str) -> None:
    assert list(texts(team([*good(20), text]))) == []


def test_forms_of_saying_nothing_are_counted() -> None:
    found = only(list(texts(team([*good(20), *["n/a"] * 3, "-", "--", "---", "----", ".", ".."]))))
    assert found.message.startswith("the input says nothing in 9 rows: 'n/a' (3), '-' (1)")
    assert found.message.endswith("…")


def test_an_input_with_another_value_says_something() -> None:
    rows = [({"subject": prose(n), "body": prose(n + 100)}, {"team": "login"}) for n in range(20)]
    assert list(texts(rows_of(MAIL, [*rows, ({"subject": "-", "urgent": True}, {"team": "login"})]))) == []


def test_texts_in_lists_and_objects_are_looked_at() -> None:
    task: Task[Team] = Task(Team, name="team", input=Threads)
    rows = [({"mails": [{"text": prose(n)}, {"text": prose(n + 50)}]}, {"team": "login"}) for n in range(20)]
    found = only(list(texts(rows_of(task, [*rows, ({"mails": [{"text": "-"}, {"text": "n/a"}]}, {"team": "login"})]))))
    assert (found.code, found.rows) == ("empty", ("21",))


def test_texts_cut_at_a_length_are_found() -> None:
    long = [prose(n, sentences=9) for n in range(40)]
    found = only(list(texts(team([*good(), *(text[:255] for text in long)]))))
    assert (found.code, found.severity, found.field) == ("truncated", "warning", None)
    assert "exactly 255 characters" in found.message
    assert len(found.rows) >= 30
    assert set(found.rows) <= {str(n) for n in range(61, 101)}


def test_texts_cut_with_dots_are_found() -> None:
    long = [prose(n, sentences=9) for n in range(40)]
    cut = [f"{text[: 240 + n % 12]}…" for n, text in enumerate(long)]
    found = only(list(texts(team([*good(), *cut]))))
    assert (found.code, len(found.rows)) == ("truncated", 40)
    assert "`…`" in found.message


def test_dots_that_stand_everywhere_are_a_way_to_write() -> None:
    long = [prose(n, sentences=4) for n in range(40)]
    assert list(texts(team([f"{text}..." for text in [*good(), *long]]))) == []


def test_texts_of_one_length_that_end_are_whole() -> None:
    assert list(texts(team([*good(), *(f"{prose(n, 3)[:119]}." for n in range(40))]))) == []


def test_the_wrong_character_set_is_found_and_repaired() -> None:
    broken = "The cafÃ© was closed, and nobody said â€œsorryâ€\x9d to us."
    found = only(list(texts(team([*good(), broken]))))
    assert (found.code, found.severity, found.rows) == ("mojibake", "warning", ("61",))
    assert fixed(broken) == "The café was closed, and nobody said “sorry” to us."


@pytest.mark.parametrize("text", ["plain", "café – “quoted” ﬁne ｗｉｄｅ", "日本語", "naïve\r\nline", "AT&amp;T é"])
def test_what_is_whole_is_not_repaired(text: str) -> None:
    assert fixed(text) == text


@pytest.mark.parametrize(
    ("text", "severity", "said"),
    [
        ("The caf\ufffd was closed when we came.", "warning", "lost characters"),
        ("Tom &amp; Jerry &#39;s shop was closed when we came.", "note", "HTML"),
        ("The shop was closed.\\nWe came again later.\\n\\nNobody was there.", "note", "escapes"),
    ],
)
def test_other_damage_is_found(text: str, severity: str, said: str) -> None:
    found = only(list(texts(team([*good(), text]))))
    assert (found.code, found.severity, found.rows) == ("mojibake", severity, ("61",))
    assert said in found.message


@pytest.mark.parametrize(
    "text", ["Look in C:\\new\\users for the file, AT&T; has it", '{"a": "x.\\nB", "b": "&amp; and more"}']
)
def test_paths_and_code_are_no_damage(text: str) -> None:
    assert list(texts(team([*good(), text]))) == []


FOOTER = "This message is confidential and meant only for the person to whom it is addressed."


def test_a_passage_that_many_share_is_a_note() -> None:
    found = only(list(texts(team([f"{text}\n{FOOTER if n % 3 == 0 else ''}" for n, text in enumerate(good(90))]))))
    assert (found.code, found.severity, len(found.rows)) == ("boilerplate", "note", 30)
    assert "30 of 90 rows (33.3%) share a passage of 15 words" in found.message
    assert "This message is confidential and meant" in found.message


def test_a_passage_that_tells_the_label_is_a_warning() -> None:
    footer = f"{FOOTER} Please consider the environment before you print it, and think of the trees that we all need."
    found = only(list(texts(team([f"{text}\n{footer if n % 2 else ''}" for n, text in enumerate(good(90))]))))
    assert (found.code, found.severity) == ("boilerplate", "warning")
    assert found.message.endswith('; 100% of them have team "login", of the others 0%')


def test_the_same_input_again_and_words_again_are_no_passage() -> None:
    anonymous = [f"{text} {'XXXX ' * 12}" for text in good(40)]
    assert list(texts(team([*anonymous, *[f"{prose(999)} {FOOTER}"] * 30]))) == []


def test_passages_of_other_rows_are_other_findings() -> None:
    other = "Sent from my mobile telephone with the kind help of a very small keyboard."
    values = [f"{text} {FOOTER if n % 4 == 0 else other if n % 4 == 1 else ''}" for n, text in enumerate(good(120))]
    assert [one.code for one in texts(team(values))] == ["boilerplate", "boilerplate"]


FOREIGN = (
    "Guten Tag, ich habe meine Karte verloren und brauche dringend eine neue, bitte helfen Sie mir.",
    "Bitte senden Sie mir die Rechnung noch einmal, sie ist bei mir leider nie angekommen.",
)


def test_rows_in_another_language_are_found() -> None:
    found = only(list(texts(team([*good(), *FOREIGN]))))
    assert (found.code, found.severity, found.rows) == ("language", "warning", ("61", "62"))
    assert "(de) in 2 rows; nearly all others are in en" in found.message
    assert 0.8 <= found.certainty <= 1.0
    assert only(
        list(texts(team([*good(), "カードが届きません。どうすればいいですか。早く返事をください。"])))
    ).rows == ("61",)


def test_a_second_language_of_the_dataset_is_none_of_the_others() -> None:
    assert list(texts(team([*good(30), *FOREIGN * 2]))) == []


@pytest.mark.parametrize(
    "text",
    [
        "Danke schön",  # too short
        "XXXX XXXX XXXX XXXX XXXX XXXX XXXX XXXX XXXX XXXX XXXX XXXX my card XXXX XXXX XXXX XXXX",
        "see https://beispiel.example/ich-habe-meine-karte-verloren-und-brauche-eine-neue now",
        '{"grund": "ich habe meine Karte verloren und brauche dringend eine neue bitte helfen Sie mir"}',
        "I wrote 'ich habe meine Karte verloren, bitte senden Sie eine neue' and nobody from the bank answered me.",
        "qqq kjh wqe zxc vbn mnb lkj poi uyt rew asd fgh jkl qaz wsx edc rfv tgb yhn ujm ik ol p qq ww ee",
    ],
)
def test_what_is_not_surely_foreign_is_left(text: str) -> None:
    assert list(texts(team([*good(), text]))) == []


@pytest.mark.parametrize("say", ["Team: {}", '{{"team": "{}"}}', "team={}"])
def test_a_label_after_a_key_is_found(say: str) -> None:
    values = [f"{say.format(('Billing', 'Login')[n % 2])}\n{text}" for n, text in enumerate(good(40))]
    found = list(texts(team(values)))
    assert ("label-in-text", "warning", "team") in codes(found)
    assert "after 'team', and it is right in 100% of the 40 rows" in found[0].message


def test_letters_that_fold_to_several_are_no_label_and_no_mistake() -> None:
    assert [
        one for one in texts(team(["Konu: BİLLİNG \u0131", "Konu: b\u0131ll\u0131ng"])) if one.code == "label-in-text"
    ] == []


def test_a_key_with_any_label_says_nothing() -> None:
    chance = random.Random(4)
    values = [f"Area: {chance.choice(('billing', 'login'))}\n{text}" for text in good(60)]
    assert list(texts(team(values))) == []
    assert list(texts(team([f"?? : login\n{text}" for text in good(20)]))) == []


class Routed(BaseModel):
    queue: Literal["billing", "login"]
    desk: str
    body: str


class Either(BaseModel):
    queue: str
    body: str
    rank: int | None = None


@pytest.mark.parametrize("inputs", [Routed, Either])
def test_another_field_that_holds_the_label_is_found(inputs: type[BaseModel]) -> None:
    task: Task[Team] = Task(Team, name="team", input=inputs)
    labels = ("billing", "login")
    desk = {"desk": "front"} if inputs is Routed else {}
    rows = [({"queue": labels[n % 2], "body": prose(n), **desk}, {"team": labels[n % 2]}) for n in range(40)]
    found = only(list(texts(rows_of(task, rows))))
    assert (found.code, found.severity, found.field) == ("label-in-text", "warning", "team")
    assert "the input field `queue` holds it" in found.message


class Kinds(BaseModel):
    kind: Literal["refund", "LostCard", "late_delivery", "A", "other"]
    level: int


KINDS: Task[Kinds] = Task(Kinds, name="kinds")


def kinds(say: Callable[[str, int], str]) -> Rows:
    labels = ("refund", "LostCard", "late_delivery", "A", "other")
    return rows_of(
        KINDS, [(f"{prose(n)} {say(labels[n % 5], n)}", {"kind": labels[n % 5], "level": n}) for n in range(100)]
    )


def test_a_word_that_tells_its_label_is_a_note() -> None:
    found = only(list(texts(kinds(lambda label, n: "I want a refund" if label == "refund" else ""))))
    assert (found.code, found.severity, found.field) == ("label-in-text", "note", "kind")
    assert 'texts with this label name it, and others do not: "refund" (20 of 20 rows)' in found.message


def test_texts_that_name_nearly_all_labels_are_a_warning() -> None:
    words = {"refund": "a refund", "LostCard": "my lost card", "late_delivery": "late delivery", "other": "the other"}
    found = only(list(texts(kinds(lambda label, n: words.get(label, "")))))
    assert (found.code, found.severity) == ("label-in-text", "warning")
    assert "the text names its own label in 80 rows" in found.message


def test_a_word_of_many_labels_tells_none() -> None:
    assert list(texts(kinds(lambda label, n: "about the refund"))) == []


class Tagged(BaseModel):
    tags: list[Literal["wifi", "pool", "1"]]


def test_tags_that_are_named_are_found() -> None:
    tagged: Task[Tagged] = Task(Tagged, name="tagged")
    rows = [
        (
            f"{prose(n)} {'the wifi is down' if n % 4 == 0 else ''}",
            {"tags": ["wifi"] if n % 4 == 0 else ["pool"] * (n % 2)},
        )
        for n in range(60)
    ]
    found = only(list(texts(rows_of(tagged, rows))))
    assert "these labels" not in found.message
    assert '"wifi" (15 of 15 rows)' in found.message


@pytest.mark.parametrize(("module", "named"), [("py3langid.langid", "py3langid"), ("ftfy", "ftfy")])
def test_a_missing_extra_is_named(module: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {named}: pip install 'decider-sdk\[data\]'"):
        list(texts(team(["café", *good(20)])))


def test_only_what_is_wanted_is_looked_for() -> None:
    values = team([*good(20), "-", "The caf\ufffd was closed", *FOREIGN])
    assert [one.code for one in texts(values)] == ["empty", "mojibake"]
    assert [one.code for one in texts(values, codes={"empty"})] == ["empty"]
    assert [one.code for one in texts(values, codes={"mojibake", "label-in-text"})] == ["mojibake"]


def test_a_passage_of_few_rows_tells_no_label() -> None:
    found = only(list(texts(team([f"{text} {FOOTER if n % 2 and n < 30 else ''}" for n, text in enumerate(good(90))]))))
    assert (found.code, found.severity, len(found.rows)) == ("boilerplate", "note", 15)


class Maybe(BaseModel):
    team: Literal["billing", "login"] | None


def test_a_field_without_an_answer_names_no_label() -> None:
    task: Task[Maybe] = Task(Maybe, name="maybe")
    teams = ("billing", "login", None)
    rows = [(f"{prose(n)} {'login' if n % 3 == 1 else ''}", {"team": teams[n % 3]}) for n in range(60)]
    found = only(list(texts(rows_of(task, rows))))
    assert (found.code, found.severity, len(found.rows)) == ("label-in-text", "note", 20)


def test_a_path_that_is_not_there_has_no_value() -> None:
    assert at({"a": {"b": 1}}, "a.b") == 1
    assert at({"a": None}, "a.b") is None
