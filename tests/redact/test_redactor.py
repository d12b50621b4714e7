"""What is taken out of inputs, what only looks like it and stays, and the functions of users."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from decider.decision import Example
from decider.errors import InputError, SpecError
from decider.prompt import cleaned
from decider.redact import Redactor
from decider.task import Task

ALL = ["email", "phone", "card", "iban", "ip"]
SPEC = "name: t\nfields: {team: {options: [a, b]}}\nredact: {function: scrub.py:mask}\n"
SCRUB = "def mask(text):\n    return text.replace('Ana', '[NAME]')\n"


class Answer(BaseModel):
    team: Literal["a", "b"]


class Nested(BaseModel):
    mail: str
    size: int


class Rich(BaseModel):
    team: Literal["ana@example.com", "b"]
    note: str
    other: list[str]
    inner: Nested


def redactor(output: type[BaseModel] = Answer, **keys: Any) -> Redactor:
    found = Redactor.of(Task(output, name="t", redact=keys))
    assert found is not None
    return found


EVERYTHING = redactor(kinds=ALL, patterns={"ticket": r"T-\d+"})


def redact(text: str, **keys: Any) -> Any:
    """The text redacted, of all kinds unless told otherwise; and the same a second time."""
    made = redactor(**keys) if keys else EVERYTHING
    once = made.redact(text)
    assert made.redact(once) is once
    return once


# E-mail addresses


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ana@example.com", "[EMAIL]"),
        ("Write to ana.b-c_d+tag@mail.example.co.uk, please.", "Write to [EMAIL], please."),
        ("ANA@EXAMPLE.COM and b@c.io", "[EMAIL] and [EMAIL]"),
        ("<ana@example.com>", "<[EMAIL]>"),
        ("**ana@example.com**", "**[EMAIL]**"),
        ("'o'brien@example.com'", "'[EMAIL]'"),
        ("mailto:ana@example.com?subject=hi", "mailto:[EMAIL]?subject=hi"),
        ("https://x.example/?email=ana%40example.com&x=1", "https://x.example/?email=[EMAIL]&x=1"),
        ("jörg@müller.example", "[EMAIL]"),
        (unicodedata.normalize("NFD", "josé@müller.example."), "[EMAIL]."),
        ("用户@例子.广告", "[EMAIL]"),
        ("请联系ana@example.com谢谢", "请联系[EMAIL]谢谢"),
        ("ana@xn--mller-kva.xn--p1ai", "[EMAIL]"),
        ("ana＠example.com", "[EMAIL]"),
        ("root@[192.0.2.1] wrote", "[EMAIL] wrote"),
        ("a@b.co@c.co", "[EMAIL]@c.co"),
        ("x" * 500 + "@example.com", "[EMAIL]"),
    ],
)
def test_an_address_is_taken_out(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "@ana has seen it",
        "5 kg @ 3.50 each",
        "2@3.50",
        "lodash@4.17.21",
        "me@localhost",
        "ana @ example.com",
        "@app.route",
        "a@b",
        "%40 and 100%",
    ],
)
def test_what_only_has_the_sign_stays(text: str) -> None:
    assert redact(text) is text


@pytest.mark.parametrize("unseen", ["\u200b", "\xad", "\x00", "\ufeff", "\u200d", "\u2060", "\U000e0041", "\ufe0f"])
def test_what_nobody_sees_hides_nothing(unseen: str) -> None:
    hidden = unseen.join("ana@example.com")
    assert redact(f"{unseen}a{unseen}: {hidden}{unseen}!") == f"{unseen}a{unseen}: [EMAIL]{unseen}!"
    assert redact(f"just {unseen} text 1") == f"just {unseen} text 1"


def test_all_that_a_prompt_leaves_out_is_seen_through() -> None:
    for code in (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)):
        if cleaned(f"a{chr(code)}b") == "ab":
            assert redact(f"x ana@exam{chr(code)}ple.com") == "x [EMAIL]", hex(code)


# Phone numbers


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("+49 30 1234567", "[PHONE]"),
        ("call +1-555-0100 now", "call [PHONE] now"),
        ("tel:+442079460958", "tel:[PHONE]"),
        ("+44 20 7946 0958 ext. 12", "[PHONE]"),
        ("＋４９ ３０ １２３４５６７", "[PHONE]"),
        ("(415) 555-0132", "[PHONE]"),
        ("415-555-0132, 415.555.0133", "[PHONE], [PHONE]"),
        ("1 (415) 555 0132.", "[PHONE]."),
    ],
)
def test_a_number_to_call_is_taken_out(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    ("region", "number"),
    [
        ("US", "4155550132"),
        ("DE", "030 1234567"),
        ("DE", "0049 30 1234567"),
        ("DE", "0151/23456789"),
        ("GB", "020 7946 0958"),
        ("FR", "01 23 45 67 89"),
        ("IN", "098765 43210"),
    ],
)
def test_a_region_has_numbers_of_its_own(region: str, number: str) -> None:
    assert redact(f"Call {number}!", region=region) == "Call [PHONE]!"
    assert redact(f"Call {number}!") == f"Call {number}!"


@pytest.mark.parametrize("region", [None, "US", "DE", "GB", "FR"])
@pytest.mark.parametrize(
    "text",
    [
        "on 2026-01-01, 12.05.2024, 5/12/2024 10:30 and 01.05.2024",
        "at 2026-01-01T10:00:00+02:00, GMT+1 2026-05-01 10:30",
        "order 1234567, invoice 2024-000123456, ISBN 978-3-16-148410-0",
        "$1,234,567.89 and 1.234.567,89 and 10.000.000",
        "1700000000000 and 1700000000123456 and 100200300400",
        "12:30:45, 09:30-17:45",
        "uuid 123e4567-e89b-12d3-a456-426614174000",
        "ZIP 94105-1234",
        "1234567 " * 3,
    ],
)
def test_dates_prices_and_orders_stay(region: str | None, text: str) -> None:
    assert redact(text, **({"kinds": ALL} if region is None else {"kinds": ALL, "region": region})) is text


def test_a_region_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        redactor(region="UK")
    assert str(caught.value) == (
        "redact.region: 'UK' is no country; write the code that ISO 3166 has for it, such as US, DE or GB"
    )


def test_phone_numbers_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "decider.redact.redactor.find_spec", lambda name: None if name == "phonenumbers" else real(name)
    )
    with pytest.raises(ImportError, match=r"pip install 'decider-sdk\[redact\]'"):
        Redactor.of(Task(Answer, name="without", redact={}))
    assert redact("a@b.co +49 30 1234567", kinds=["email"]) == "[EMAIL] +49 30 1234567"


# Cards


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
        "6200000000000005",
        "6759649826438453",
        "2200000000000004",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111 - 1111 - 1111 - 1111",
        "3782 822463 10005",
        " ".join("4111111111111111"),
        "٤١١١١١١١١١١١١١١١",
    ],
)
def test_a_card_is_taken_out(number: str) -> None:
    assert redact(f"card {number}, exp 12/27") == "card [CARD], exp 12/27"


def test_cards_among_other_numbers() -> None:
    assert redact("12 4111 1111 1111 1111 12/27") == "12 [CARD] 12/27"
    assert redact("4111 1111 1111 1111 5500 0000 0000 0004") == "[CARD] [CARD]"


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111112",
        "4111 1111 1111 1112",
        "0000000000000000",
        "1111111111111117",
        "41111111111111111111",
        "9400 1000 0000 0000 0000 00",
        "357805023984942",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
        "5500 0000 00 0000 0004",
        "1 " + " ".join("4111111111111111") + " 1 1 1",
    ],
)
def test_a_number_that_is_no_card_stays(number: str) -> None:
    assert redact(f"order {number}", kinds=["card"]) == f"order {number}"


# Accounts

IBANS = [
    "DE89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NL91 ABNA 0417 1643 00",
    "ES91 2100 0418 4502 0005 1332",
    "IT60 X054 2811 1010 0000 0123 456",
    "CH93 0076 2011 6238 5295 7",
    "NO93 8601 1117 947",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "BR15 0000 0000 0000 1093 2840 814P 2",
    "PL61 1090 1014 0000 0712 1981 2874",
    "SE45 5000 0000 0583 9825 7466",
]


@pytest.mark.parametrize("number", IBANS)
def test_an_account_is_taken_out(number: str) -> None:
    for written in (number, number.replace(" ", ""), number.lower(), number.replace(" ", "-")):
        assert redact(f"to {written} please") == "to [IBAN] please"
    assert redact(f"IBAN{number.replace(' ', '')}.") == "IBAN[IBAN]."


@pytest.mark.parametrize("number", IBANS)
def test_an_account_with_a_wrong_digit_stays(number: str) -> None:
    wrong = number[:2] + f"{(int(number[2:4]) + 1) % 97:02}" + number[4:]
    assert redact(f"to {wrong} please", kinds=["iban"]) == f"to {wrong} please"


@pytest.mark.parametrize("text", ["DE89 3704 0044 0532 0130 001", "ZZ89370400440532013000", "DE89370400440532013"])
def test_what_is_not_as_long_as_an_account_stays(text: str) -> None:
    assert redact(text, kinds=["iban"]) is text


# Addresses of machines


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("from 192.168.0.1:80 to http://10.0.0.1/x", "from [IP]:80 to http://[IP]/x"),
        ("db-host/10.0.0.5.", "db-host/[IP]."),
        ("10.0.0.0/8", "[IP]/8"),
        ("2001:db8::1", "[IP]"),
        ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[IP]"),
        ("addr:2001:db8::1: down", "addr:[IP]: down"),
        ("[2001:db8::8a2e:370:7334]:443", "[[IP]]:443"),
        ("2001:db8:: is a net", "[IP] is a net"),
        ("fe80::1%eth0", "[IP]"),
        ("::ffff:192.0.2.128", "[IP]"),
        ("64:ff9b::192.0.2.33.", "[IP]."),
    ],
)
def test_an_address_of_a_machine_is_taken_out(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3",
        "v1.2.3.4",
        "version 1.2.3.4",
        "Build: 10.0.19.1",
        "see section 3.1.2.4 and § 3.1.2.4",
        "1.2.3.4.5",
        "999.1.1.1",
        "Chrome/120.0.6099.109",
        "12:30:45",
        "2026-01-01 12:30:45:100",
        "00:1A:2B:3C:4D:5E",
        "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01",
        "std::vector and a::b and x[::2] and x[1::2]",
        "dead::beef::1",
        "::1 is home",
        "::",
    ],
)
def test_versions_times_and_code_stay(text: str) -> None:
    assert redact(text) is text


# Patterns, and what overlaps


def test_own_patterns_leave_their_names() -> None:
    keys: dict[str, Any] = {"kinds": [], "patterns": {"ticket": r"T-\d+", "order-id": r"(?i)\bord\d{4}\b"}}
    assert redact("T-17 and ORD1234, x@y.zz", **keys) == "[TICKET] and [ORDER-ID], x@y.zz"


def test_a_pattern_that_matches_nothing_at_all_places_takes_out_what_it_matches() -> None:
    assert redact("ab12c", kinds=[], patterns={"digits": r"\d*"}) == "ab[DIGITS]c"


def test_the_longest_of_what_overlaps_names_all_of_it() -> None:
    assert redact("key: ana@example.com hunter2", patterns={"secret": "key: .*"}) == "[SECRET]"
    assert redact("x ana@example.com y", patterns={"word": "x ana"}) == "[EMAIL] y"
    assert redact("DE89370400440532013000 +4930123456", kinds=["iban", "phone"]) == "[IBAN] [PHONE]"
    assert redact("ana@b.co", patterns={"mine": r"\S+@\S+"}) == "[MINE]"


@pytest.mark.parametrize(
    ("patterns", "text", "left"),
    [
        ({"upper": "[A-Z]+"}, "A [EMAIL] b", "[UPPER] [EMAIL] b"),
        ({"whole": ".+"}, "ana@b.co x", "[WHOLE]"),
        ({"left": r"\["}, "[x", "[LEFT]x"),
        ({"secret": "key: .*"}, "key: [EMAIL] hunter2", "[SECRET]"),
        ({"half": r"IL\]x"}, "[EMAIL]x", "[HALF]"),
        ({"next": r"a(?=\[NEXT\]|$)"}, "aaa", "[NEXT][NEXT][NEXT]"),
    ],
)
def test_markers_are_not_taken_for_what_they_stand_for(patterns: dict[str, str], text: str, left: str) -> None:
    assert redact(text, patterns=patterns) == left


# Inputs and examples


def test_every_text_of_an_input_is_redacted_and_nothing_else() -> None:
    value = {"ana@b.co": "x", "a": "ana@b.co", "n": 4111111111111111, "deep": {"list": ["y", None, ["b@c.de"]]}}
    assert EVERYTHING.redact(value) == {
        "ana@b.co": "x",
        "a": "[EMAIL]",
        "n": 4111111111111111,
        "deep": {"list": ["y", None, ["[EMAIL]"]]},
    }
    assert value["a"] == "ana@b.co"


def test_what_holds_nothing_stays_the_same_object() -> None:
    value: dict[str, Any] = {"a": "x", "deep": {"list": ["y", {"b": 1}]}, "mail": "ana@b.co"}
    found: Any = EVERYTHING.redact(value)
    assert found["deep"] is value["deep"]
    del value["mail"]
    assert EVERYTHING.redact(value) is value


def test_an_example_keeps_its_labels() -> None:
    output = {
        "team": "ana@example.com",
        "note": "told ana@example.com",
        "other": ["b@c.de", "x"],
        "inner": {"mail": "b@c.de", "size": 1},
    }
    shown = redactor(Rich).example(Example(input="from ana@example.com", output=output, id="1"))
    assert (shown.input, shown.id) == ("from [EMAIL]", "1")
    assert shown.output == {
        "team": "ana@example.com",
        "note": "told [EMAIL]",
        "other": ["[EMAIL]", "x"],
        "inner": {"mail": "[EMAIL]", "size": 1},
    }


def test_an_example_without_anything_is_the_same() -> None:
    plain = Example(input={"a": "x"}, output={"team": "a"})
    assert redactor(Rich).example(plain) is plain
    assert redactor(Rich).example(Example(input="b@c.de", output=plain.output)).output is plain.output


def test_a_task_without_the_key_has_no_redactor() -> None:
    assert Redactor.of(Task(Answer, name="t")) is None


def test_a_redactor_is_made_once_and_knows_what_is_sent() -> None:
    task = Task(Answer, name="t", redact={"send": "original"})
    made = Redactor.of(task)
    assert made is Redactor.of(task)
    assert made is not None
    assert made.sends_original
    assert not EVERYTHING.sends_original


# Functions


def write(folder: Path, spec: str = SPEC, scrub: str = SCRUB) -> Path:
    (folder / "scrub.py").write_text(scrub, encoding="utf-8")
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    return folder / "spec.yaml"


def of_file(path: Path) -> Redactor:
    found = Redactor.of(Task.load(path))
    assert found is not None
    return found


def test_a_function_beside_the_spec_is_asked_first(tmp_path: Path) -> None:
    made = of_file(write(tmp_path))
    assert made.redact("Ana wrote: ana@example.com") == "[NAME] wrote: [EMAIL]"
    assert made.redact({"a": ["Ana", 1]}) == {"a": ["[NAME]", 1]}
    assert made.redact("nobody") == "nobody"


def test_what_a_function_brings_in_is_searched_too() -> None:
    assert redactor(function=lambda text: text.replace("#", "@")).redact("ana#example.com") == "[EMAIL]"


def test_a_function_that_changes_nothing_leaves_the_same_object() -> None:
    text = "some text"
    assert redactor(function=lambda text: f"{text} "[:-1]).redact(text) is text


def test_a_function_may_be_given_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    loaded: Task[Any] = Task.load(path)
    named = Task(loaded.output, name="t", folder=tmp_path, redact={"function": "scrub.py:mask"})
    given = Task(loaded.output, name="t", redact={"function": loaded.mask})
    other = Task(loaded.output, name="t", redact={"function": str.upper})
    assert loaded == named == given != other
    assert hash(loaded) == hash(given)
    monkeypatch.chdir(tmp_path)
    assert Task(loaded.output, name="t", redact={"function": "scrub.py:mask"}) == loaded
    assert Redactor.of(loaded) is Redactor.of(given)


def test_a_function_makes_a_task_change_with_its_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    before: Task[Any] = Task.load(path)
    stamp = before.stamp()
    write(tmp_path, scrub=SCRUB.replace("Ana", "Bob"))
    after: Task[Any] = Task.load(path)
    assert before.stamp() != stamp
    assert before != after
    assert of_file(path).redact("Ana and Bob") == "Ana and [NAME]"
    named = Task(Answer, name="t", folder=tmp_path, redact={"function": "scrub.py:mask"})
    assert [Path(one).name for one, _, _ in named.stamp()] == ["scrub.py"]


@pytest.mark.parametrize(
    ("scrub", "spec", "says"),
    [
        (SCRUB, SPEC.replace("mask", "hide"), "scrub.py has no function 'hide'; define it there"),
        ("mask = 5", SPEC, "scrub.py has no function 'mask'"),
        ("class mask: pass", SPEC, "scrub.py has no function 'mask'"),
        (SCRUB, SPEC.replace("scrub.py", "gone.py"), "there is no file 'gone.py' beside the spec"),
        (SCRUB, SPEC.replace("scrub.py", "../scrub.py"), "'../scrub.py' leads out of the spec's folder"),
        ("import nothing_such", SPEC, "running scrub.py, line 1 failed: ModuleNotFoundError"),
    ],
)
def test_a_function_that_is_not_there_is_named(tmp_path: Path, scrub: str, spec: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        Task.load(write(tmp_path, spec, scrub))
    assert (caught.value.line, caught.value.field) == (3, "redact.function")
    assert says in str(caught.value)


def test_no_code_means_no_function(tmp_path: Path) -> None:
    path = write(tmp_path, scrub="raise SystemExit")
    with pytest.raises(SpecError) as caught:
        Task.load(path, allow_code=False)
    said = "'scrub.py:mask' would run scrub.py; this spec was loaded with allow_code=False; remove it"
    assert said in str(caught.value)


def test_a_task_with_a_function_is_saved_where_a_spec_can_name_it(tmp_path: Path) -> None:
    loaded: Task[Any] = Task.load(write(tmp_path))
    given = Task(loaded.output, name="t", redact={"function": loaded.mask, "kinds": ["ip"]})
    given.save(tmp_path / "again.yaml")
    again: Task[Any] = Task.load(tmp_path / "again.yaml")
    assert again.mask is loaded.mask
    assert again.spec.redact is not None
    assert again.spec.redact.function == "scrub.py:mask"
    for function in (lambda text: text, str.upper, Shouting()):
        with pytest.raises(SpecError, match="redact.function: stands in no file beside the spec; define it in"):
            Task(loaded.output, name="t", redact={"function": function}).save(tmp_path / "never.yaml")
    assert not (tmp_path / "never.yaml").exists()


class Shouting:
    def __call__(self, text: str) -> str:
        return text.upper()


def failing(text: str) -> str:
    return read(text)


def read(text: str) -> str:
    raise ValueError(f"cannot read {text}")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (failing, "the function 'failing' of redact.function failed: ValueError in test_redactor.py, line "),
        (lambda text: None, "returned a NoneType, not a text"),
        (lambda text: f"{text}\ud800", "returned half a character (a lone surrogate)"),
        (lambda text: text.upper(1), "failed: TypeError in test_redactor.py, line "),
    ],
)
def test_a_function_that_fails_fails_the_row_without_its_text(function: Callable[[str], Any], says: str) -> None:
    made = redactor(function=function)
    with pytest.raises(InputError) as caught:
        made.redact({"body": {"parts": ["canary-text"]}}, row="7")
    error = caught.value
    assert says in str(error)
    assert str(error).startswith("row 7: body.parts: the function ")
    assert "canary" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    with pytest.raises(InputError) as caught:
        made.redact("canary-text")
    assert (caught.value.row, caught.value.field) == (None, None)


def test_a_function_of_another_language_fails_without_a_line() -> None:
    with pytest.raises(InputError) as caught:
        redactor(function=os.getcwd).redact("x")
    assert str(caught.value) == "the function 'getcwd' of redact.function failed: TypeError"


# Identity


def test_identity_says_what_is_taken_out() -> None:
    def named(name: str) -> str:
        return name

    one = redactor(kinds=["phone", "email"], patterns={"b": "2", "a": "1"}, region="DE", function=named)
    other = redactor(kinds=["email", "phone", "email"], patterns={"a": "1", "b": "2"}, region="DE", function=named)
    assert one.identity == other.identity
    said = json.loads(one.identity)
    assert {**said, "function": said["function"][0][-5:]} == {
        "version": 1,
        "kinds": ["email", "phone"],
        "patterns": {"a": "1", "b": "2"},
        "region": "DE",
        "function": "named",
    }
    assert len(said["function"][1]) == 64


def test_identity_changes_with_each_setting() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"kinds": ["email"]},
        {"region": "DE"},
        {"patterns": {"a": "1"}},
        {"patterns": {"a": "2"}},
        {"function": str.upper},
        {"function": str.lower},
        {"function": lambda text: text},
        {"function": Shouting()},
    ]
    assert len({redactor(**one).identity for one in settings}) == len(settings)
    assert redactor(send="original").identity == redactor().identity


def test_identity_is_the_same_for_a_function_from_a_file_and_from_python(tmp_path: Path) -> None:
    loaded: Task[Any] = Task.load(write(tmp_path))
    assert of_file(tmp_path / "spec.yaml").identity == redactor(function=loaded.mask).identity
    changed = write(tmp_path, scrub=SCRUB.replace("Ana", "Bob"))
    assert of_file(changed).identity != redactor(function=loaded.mask).identity


# What holds for any text

PIECES = st.sampled_from(
    ["ana@example.com", "@", "%40", "+49 30 1234567", "415-555-0132", "4111 1111 1111 1111", "4", "1.2.3.4", "::",
     "2001:", "db8", "DE89 3704 0044 0532 0130 00", "[EMAIL]", "[", "]", "T-1", "\u200b", "é", "谢", "12:30", " ", ".",
     "-", "\n"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=14).map("".join)
LONGEST = len("[TICKET]")


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("ana@example.com@4111111111111111@b.co")
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    once = redact(text)
    added = sum(once.count(f"[{label}]") for label in ("EMAIL", "PHONE", "CARD", "IBAN", "IP", "TICKET"))
    assert len(once) <= len(text) + added * LONGEST
    assert "ana@example.com" not in once


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.sampled_from(["US", "DE", "CN", "BR"]))
def test_any_text_is_redacted_for_all_in_any_region(text: str, region: str) -> None:
    redact(text, kinds=ALL, region=region)


def test_a_canary_is_never_left() -> None:
    choose = random.Random(7)
    words = ["please", "refund", "ana", "12.05.2024", ",", "(", "50", "%", ":", "'", "+", "@", "19.99", "谢谢", "größe"]
    for _ in range(1000):
        canary = f"canary{choose.choice(['', '.', '+', '_', '-'])}{choose.randrange(10**6)}@mail.example.com"
        around = [" ".join(choose.choices(words, k=choose.randrange(12))) for _ in range(2)]
        glue = [choose.choice([" ", "", ":", "<", "(", "=", "\n", ",", "\u200b"]) for _ in range(2)]
        assert "canary" not in str(EVERYTHING.redact(f"{around[0]}{glue[0]}{canary}{glue[1]}{around[1]}"))


def test_long_hostile_texts_are_no_trouble() -> None:
    for piece in (
        "1 ",
        "4 ",
        "a@",
        "a.b@c.",
        "1.1.1.1.",
        ":",
        "a:",
        "DE89 ",
        "+1 ",
        "谢",
        "'",
        "%40",
        "A1",
        "555-555-5555-",
    ):
        text = piece * 4000
        assert len(str(EVERYTHING.redact(text))) <= len(text)


def test_threads_share_a_redactor() -> None:
    found: list[Any] = []
    made = redactor(kinds=ALL, region="SE")

    def work() -> None:
        found.extend(made.redact(f"{n} ana@example.com +46 8 123 456 78") for n in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([f"{n} [EMAIL] [PHONE]" for n in range(50)] * 4)


def test_texts_without_a_number_load_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    assert redact("ana@example.com, 12 pieces") == "[EMAIL], 12 pieces"
    with pytest.raises(ImportError):
        redact("+49 30 1234567")
