"""Ten thousand replies of every kind: nothing outside the schema reaches the caller, and nothing but our errors.

The oracle knows nothing of how decider validates: it reads the reply with the standard library, and compares.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel

from decider.decider import Decider
from decider.decision import Decision, Reply
from decider.errors import DeciderError, InvalidDecision
from decider.task import Task
from decider.testing import FakeEngine
from endpoint import LANES, Answer, Lane, saying, serve

REPLIES = 10_000
BODIES = 400
SEED = 20261125


class Kind(Enum):
    question = "question"
    complaint = "complaint"


class Place(BaseModel):
    city: str
    zone: Annotated[int, Ge(1), Le(3)]


class Item(BaseModel):
    name: str
    price: float


class Case(BaseModel):
    team: Literal["billing", "login", "Ärger"]
    kind: Kind
    urgent: bool
    level: Annotated[int, Ge(1), Le(5)]
    tags: list[Literal["new", "vip", "legal"]]
    mood: Literal["good", "bad"] | None
    note: Annotated[str, MaxLen(20)]
    score: float
    count: int
    day: date
    place: Place
    items: list[Item]


FIELDS: dict[str, Callable[[Any], bool]] = {
    "team": lambda said: said in ("billing", "login", "Ärger"),
    "kind": lambda said: said in ("question", "complaint"),
    "urgent": lambda said: isinstance(said, bool),
    "level": lambda said: whole(said) and 1 <= said <= 5,
    "tags": lambda said: isinstance(said, list) and all(tag in ("new", "vip", "legal") for tag in said),
    "mood": lambda said: said in (None, "good", "bad"),
    "note": lambda said: isinstance(said, str) and len(said) <= 20,
    "score": lambda said: number(said),
    "count": lambda said: whole(said),
    "day": lambda said: isinstance(said, str) and date.fromisoformat(said).isoformat() == said,
    "place": lambda said: (
        said.keys() == {"city", "zone"} and isinstance(said["city"], str) and said["zone"] in range(4)
    ),
    "items": lambda said: isinstance(said, list) and all(item(one) for one in said),
}


def whole(said: Any) -> bool:
    return isinstance(said, int) and not isinstance(said, bool)


def number(said: Any) -> bool:
    return (whole(said) or isinstance(said, float)) and math.isfinite(float(said))


def item(said: Any) -> bool:
    return said.keys() == {"name", "price"} and isinstance(said["name"], str) and number(said["price"])


def read(text: str) -> Any:
    """A reply as the standard library reads it, without what JSON does not have."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def check(decision: Decision[Any], text: str) -> None:
    """Fail unless the output is what the reply says, and the reply is one that the schema allows."""
    said = read(text)
    assert said.keys() == FIELDS.keys()
    assert all(fits(said[name]) for name, fits in FIELDS.items())
    output = decision.output
    assert type(output) is Case
    assert output.__dict__.keys() == FIELDS.keys()
    assert output.model_extra is None
    row = json.loads(json.dumps(decision.row(), allow_nan=False))["output"]
    order = ["new", "vip", "legal"]
    assert row == {**said, "tags": sorted(set(said["tags"]), key=order.index), "score": float(said["score"])}
    assert (type(output.urgent), type(output.level), type(output.score)) == (bool, int, float)
    assert (type(output.kind), type(output.day), type(output.place)) == (Kind, date, Place)
    assert all(type(one.price) is float and math.isfinite(one.price) for one in output.items)
    output.note.encode()


class Writer:
    """Writes replies at random: good ones, nearly good ones, and garbage."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def reply(self) -> tuple[str, bool]:
        """A reply, and whether it must be taken."""
        text = json.dumps(self.record(), ensure_ascii=self.chance.random() < 0.5)
        share = self.chance.random()
        if share < 0.1:
            return text, True
        if share < 0.6:
            return self.written(self.bent(self.record())), False
        if share < 0.9:
            return self.torn(text), False
        return self.garbage(), False

    def record(self) -> dict[str, Any]:
        pick = self.chance.choice
        record = {
            "team": pick(["billing", "login", "Ärger"]),
            "kind": pick(["question", "complaint"]),
            "urgent": pick([True, False]),
            "level": pick([1, 2, 3, 4, 5]),
            "tags": self.chance.sample(["new", "vip", "legal"], self.chance.randrange(4)),
            "mood": pick([None, "good", "bad"]),
            "note": pick(["", "x", "über 20", 'a\nb\t"c"', "😀" * 20, "null", "{}"]),
            "score": pick([0, -1, 0.5, 1e-300, 1e300, 12345678901234567890]),
            "count": pick([0, -7, 10**18, -(10**30)]),
            "day": pick(["2026-11-25", "1970-01-01", "9999-12-31"]),
            "place": {"city": pick(["Köln", "", "a.b"]), "zone": pick([1, 2, 3])},
            "items": [{"name": "n", "price": pick([1, 2.5])}] * self.chance.randrange(3),
        }
        names = list(record)
        self.chance.shuffle(names)
        return {name: record[name] for name in names}

    def value(self) -> Any:
        """Any value, often one that is nearly right."""
        pick = self.chance.choice
        return pick(
            [
                None, True, False, 0, 1, -1, 3, 6, 1.0, 3.0, 0.1, -0.0, 10**30, 1e308,
                "", " ", "billing ", "Billing", "BILLING", "billing", "login", "A\u0308rger", "Ärger", "good", "null",
                "true", "0", "1", "3", "3.0", "86400", "1e5", "x" * 21, "question",
                "2026-11-25T00:00:00", "2026-02-30", "2026-1-5",
                "@NaN@", "@Infinity@", "@-Infinity@", "@1e999@", "@-1e999@", "@01@", "@+1@", "@.5@", "@0x1@", "@1_0@",
                "@3.@", "@1e0@", "@-0@", "@nul@", "@True@", "@'billing'@", "@\"a\x01b\"@", "@undefined@", "@/**/1@",
                "@\"\\ud800\"@", "@\"\\ud83d\\ude00\"@", "@\"\\u0062illing\"@", "@[1,]@",
                "@1" + "0" * 5000 + "@", "@1" + "0" * 400 + "@",
                [], {}, ["new"], ["new", "new"], ["vip", "new"], ["NEW"], [None], [["new"]], [1], {"": 1},
                {"city": "x"}, {"city": "x", "zone": 2, "more": 1}, {"city": "x", "zone": 4}, {"value": "billing"},
                [{"name": "n", "price": "1"}], [{"name": "n", "price": 1, "more": 2}], [{"name": "n"}], nested(3),
                nested(300),
            ]
        )  # fmt: skip

    def bent(self, record: dict[str, Any]) -> Any:
        """A record with a few mistakes in it."""
        for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
            name = self.chance.choice(list(record) or ["team"])
            match self.chance.randrange(8):
                case 0 | 1 | 2 | 3:
                    record[name] = self.value()
                case 4:
                    record.pop(name, None)
                case 5:
                    record[self.chance.choice(["extra", "", "Team", "team ", "place.city", "items.0", "𝓽𝓮𝓪𝓶"])] = (
                        self.value()
                    )
                case 6 if isinstance(record.get("place"), dict):
                    record["place"][self.chance.choice(["city", "zone", "more"])] = self.value()
                case _:
                    record[name.upper()] = record.pop(name, None)
        return self.chance.choice([record] * 9 + [[record], {"answer": record}, json.dumps(record)])

    def written(self, value: Any) -> str:
        """Its JSON, with what stands between @ as it is."""
        text = json.dumps(value, ensure_ascii=self.chance.random() < 0.5)
        out: list[str] = []
        for n, part in enumerate(text.split("@")):
            if n % 2:
                out[-1] = out[-1].removesuffix('"')
                out.append(part.replace('\\"', '"').replace("\\\\", "\\"))
            else:
                out.append(part.removeprefix('"') if n else part)
        return "".join(out)

    def torn(self, text: str) -> str:
        """A good text with something done to it as a text."""
        choice: Callable[[list[str]], str] = self.chance.choice
        at, to = sorted(self.chance.randrange(len(text) + 1) for _ in range(2))
        letter = choice([*'{}[]",:\\0129.eE+-tfn \n\x00\ufeff\u2028', "NaN", "\\u", "//", "'"])
        match self.chance.randrange(12):
            case 0 | 1:
                return text[:at]
            case 2:
                return text[:at] + text[to:]
            case 3 | 4:
                return text[:at] + letter + text[at:]
            case 5:
                return text[:at] + letter + text[at + 1 :]
            case 6:
                around = ["Sure! {}", "{}.", "```json\n{}\n```", "`{}`", "({})", "\ufeff{}", "{}\x00"]
                return choice(around).replace("{}", text)
            case 7:
                return text + choice(["", "\n", " ", ","]) + text
            case 8:
                return text[:-1] + choice([', "team": "x"}', ', "team": "login"}', ",}", ', "team"}'])
            case 9:
                return text.replace('"', "'").replace("true", "True")
            case 10:
                return f"{' ' * at}{text}\n\t"
        return text.replace(": ", ":" + choice([" ", "", "\u00a0", "\x0b"]))

    def garbage(self) -> str:
        size = self.chance.choice([0, 1, 3, 40, 400])
        match self.chance.randrange(5):
            case 0:
                return "".join(chr(self.chance.randrange(0x110000)) for _ in range(size))
            case 1:
                return self.chance.randbytes(size).decode("latin-1")
            case 2:
                return "".join(self.chance.choice('{}[]":,0 tfn\\') for _ in range(size))
            case 3:
                return self.chance.choice(["[", '{"team":', "[[1],"]) * self.chance.choice([1, 200, 50_000])
        return self.chance.choice(
            ["", " ", "null", "true", "7", '"billing"', "[]", "{}", "NaN", "billing", "I cannot."]
        )

    def answer(self, lane: Lane) -> Answer:
        """An answer over the wire, good or bad in some part of it."""
        text = json.dumps(self.record()) if self.chance.random() < 0.5 else self.reply()[0]
        whole = json.loads(str(saying(lane, text.encode(errors="replace").decode()).body))
        share, choice = self.chance.random(), self.chance.choice
        body = json.dumps(whole if share < 0.4 else self.replaced(whole)).encode()
        if share > 0.85:
            body = choice([body[: self.chance.randrange(len(body))], self.garbage().encode(errors="replace")])
        headers = {"content-type": choice(["application/json", "text/html", "text/plain; charset=rot13", "x"])}
        if self.chance.random() < 0.05:
            headers["content-encoding"] = choice(["gzip", "br", "deflate"])
        status = choice([200] * 24 + [201, 204, 301, 400, 401, 402, 404, 418, 429, 500, 503, 599])
        return Answer(status=status, body=b"" if status == 204 else body, headers=headers)

    def replaced(self, value: Any) -> Any:
        """A completion in which one value, somewhere, is another."""
        if isinstance(value, dict) and value and self.chance.random() < 0.85:
            name = self.chance.choice(list(value))
            return {**value, name: self.replaced(value[name])}
        if isinstance(value, list) and value and self.chance.random() < 0.85:
            return [self.replaced(value[0]), *value[1:]]
        return self.value()


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def case_at(**prompt: Any) -> Task[Case]:
    return Task(Case, name="case", prompt={"model": "m", **prompt}, retry={"attempts": 1})


@pytest.fixture(params=["sync", "async"])
def decide_all(request: pytest.FixtureRequest) -> Callable[[Decider[Case], int], list[Decision[Case]]]:
    def sync(decider: Decider[Case], count: int) -> list[Decision[Case]]:
        return list(decider.decide_many(["x"] * count, concurrency=1))

    async def gathered(decider: Decider[Case], count: int) -> list[Decision[Case]]:
        return [decision async for decision in decider.adecide_many(["x"] * count, concurrency=1)]

    return sync if request.param == "sync" else lambda decider, count: asyncio.run(gathered(decider, count))


def test_31_to_33_no_reply_gets_through_that_the_schema_does_not_allow(
    decide_all: Callable[[Decider[Case], int], list[Decision[Case]]],
) -> None:
    written: list[tuple[str, bool]] = []
    writer = Writer(SEED)

    def say(_: Any) -> Reply:
        written.append(writer.reply())
        return Reply(text=written[-1][0])

    decisions = decide_all(Decider(case_at(reask=0), engine=FakeEngine(say)), REPLIES // 2)
    assert len(written) == len(decisions) == REPLIES // 2
    for decision, (text, good) in zip(decisions, written, strict=True):
        assert decision.status == "decided" or not good, (text, decision.error)
        if decision.status == "decided":
            check(decision, text)
        else:
            assert type(decision.error) is InvalidDecision, text
            assert len(str(decision.error)) < 1500
    decided = sum(decision.status == "decided" for decision in decisions)
    assert len(decisions) * 0.15 < decided < len(decisions) * 0.5


@pytest.mark.parametrize("lane", LANES)
def test_31_to_34_so_it_is_over_the_wire(lane: Lane) -> None:
    writer = Writer(SEED + LANES.index(lane))
    answers = [writer.answer(lane) for _ in range(BODIES // len(LANES))]
    with serve(*answers) as endpoint:
        statuses = []
        with Decider(case_at(reask=0, base_url=endpoint.url, structure=lane)) as decider:
            for answer in answers:
                statuses.append("failed")
                with suppress(DeciderError):
                    decision = decider.decide("x")
                    statuses[-1] = decision.status
                if statuses[-1] == "decided":
                    check(decision, said_in(lane, answer))
                assert len(endpoint.requests) == len(statuses)
    assert statuses.count("decided") > len(statuses) // 10
    assert statuses.count("failed") > len(statuses) // 3


def said_in(lane: Lane, answer: Answer) -> str:
    """The JSON of an answer that was taken, as the standard library finds it."""
    message = json.loads(answer.body)["choices"][0]["message"]
    if lane == "tools":
        said = message["tool_calls"][0]["function"]["arguments"]
        return said if isinstance(said, str) else json.dumps(said)
    text = str(message["content"])
    return "".join(blocks(text)) or text if lane == "md_json" else text


def blocks(text: str) -> Iterator[str]:
    lines = text.split("```")
    if len(lines) == 3:
        yield lines[1].removeprefix("json")
