"""Personal data: each kind that the spec does not redact is one finding, without what was found."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

import decider.assess.lint.personal
from decider.assess.lint.finding import Rows
from decider.assess.lint.personal import personal
from decider.task import Task
from lint_rows import codes, rows_of


class Team(BaseModel):
    team: Literal["billing", "login"]
    reason: str


TEXTS = {
    "email": "write to ana@example.com or bob@example.com",
    "phone": "call +49 30 1234567 now",
    "card": "my card is 4111 1111 1111 1111",
    "iban": "pay to DE89 3704 0044 0532 0130 00",
    "ip": "it came from 192.168.7.13",
}


def rows(*texts: str, reason: str = "", redact: dict[str, Any] | None = None) -> Rows:
    task: Task[Team] = Task(Team, name="team", redact=redact) if redact else Task(Team, name="team")
    return rows_of(task, [(text, {"team": "login", "reason": reason}) for text in texts])


def test_each_kind_is_one_finding_that_shows_no_value() -> None:
    found = list(personal(rows("nothing here", *TEXTS.values(), TEXTS["ip"])))
    assert [one.message for one in found] == [
        "2 addresses of e-mail in 1 row",
        "1 phone number in 1 row",
        "1 card number in 1 row",
        "1 IBAN in 1 row",
        "2 IP addresses in 2 rows",
    ]
    assert [one.severity for one in found] == ["warning"] * 4 + ["note"]
    assert found[0].rows == ("2",)
    assert "`redact: {kinds: [email]}`" in found[0].suggestion
    shown = repr(found)
    assert not any(part in shown for part in ("ana", "30 1234567", "4111", "3704", "192.168"))


def test_what_the_spec_redacts_is_no_finding() -> None:
    settings = {"kinds": ["email", "card", "ip"], "patterns": {"account": "DE89[ 0-9]+"}}
    found = list(personal(rows(*TEXTS.values(), "[EMAIL] wrote", redact=settings)))
    assert {one.message for one in found} <= {"1 phone number in 1 row"}
    assert list(personal(rows(*TEXTS.values(), redact={"kinds": list(TEXTS)}))) == []


def test_the_kinds_that_are_redacted_already_stay_in_the_suggestion() -> None:
    found = list(personal(rows(TEXTS["iban"], redact={"kinds": ["email", "card"]})))
    assert "`redact: {kinds: [email, card, iban]}`" in found[0].suggestion


def test_texts_of_the_output_are_searched() -> None:
    assert [one.message for one in personal(rows("hello", reason="asked ana@example.com"))] == [
        "1 address of e-mail in 1 row"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "order 1234-5678, version 1.2.3.4, at 12:30:45, paid 19.99 on 2026-03-01",
        "session 88888888-4444-4444-4444-222222222222",
        "ask @ana, or see me@localhost",
        "[EMAIL] wrote from [IP]",
    ],
)
def test_other_numbers_are_no_personal_data(text: str) -> None:
    assert list(personal(rows(text))) == []


def test_phone_numbers_are_left_without_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider.assess.lint.personal, "find_spec", lambda name: None)
    assert len(codes(personal(rows(*TEXTS.values())))) == 4
