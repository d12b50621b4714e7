"""Distributions from the tokens of a reply, against a small language model whose probabilities are known exactly."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import inf, log, nan
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from decider.decider import Decider
from decider.decision import Decision, Distribution
from decider.engines.logprobs import Token, distributions
from decider.schema import fields_of
from decider.task import Task
from endpoint import Answer, serve

Decide = Callable[..., Decision[Any]]
Part = str | bytes | tuple[str | bytes, Mapping[Any, float]]


def spelled(text: str | bytes, p: float) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    return {"token": raw.decode(errors="replace"), "logprob": log(p) if p else -inf, "bytes": list(raw)}


def spell(*parts: Part) -> tuple[str, list[Token]]:
    """A reply and its tokens: of each, its bytes, and what could have stood there with which probability.

    A token without alternatives was certain; the probability of one that was not is that of itself among them.
    """
    whole, tokens = b"", []
    for part in parts:
        text, listed = part if isinstance(part, tuple) else (part, {part: 1.0})
        whole += text.encode() if isinstance(text, str) else text
        top = [spelled(one, p) for one, p in listed.items()]
        tokens.append(Token.model_validate({**spelled(text, listed.get(text, 0.0)), "top_logprobs": top}))
    return whole.decode(), tokens


def field_of(*labels: Any) -> Any:
    return field_as(Literal[labels])


def field_as(annotation: Any) -> Any:
    (found,) = fields_of(create_model("One", team=(annotation, ...)))
    return found


def shares(parts: Sequence[Part], *labels: Any) -> Distribution | None:
    """The distribution over the labels of the one field `team` that the tokens tell."""
    text, tokens = spell(*parts)
    found = distributions(text, tokens, [field_of(*labels)])
    return found.get("team")


# A language model that writes `{"team": LABEL}`, in any spelling of it that is allowed, or an answer that is no label.


Written = list[tuple[bytes, dict[bytes, float]]]
NOISE = ("7e3", '"~"')


class Writer:
    """Gives the next token for every text so far, and the exact probability of each label from there on."""

    BEGUN = b'{"team"'

    def __init__(self, labels: Sequence[Any], seed: int) -> None:
        draw = random.Random(seed)
        values = {json.dumps(label, ensure_ascii=False): label for label in labels} | dict.fromkeys(NOISE)
        self._wholes = {
            self.BEGUN + f"{colon}{value}{close}".encode(): label
            for value, label in values.items()
            for colon in (":", ": ")
            for close in ("}", " }", ',"x":1}')
        }
        self._noise = draw.choice([0.0, 0.2])
        self._leak = draw.choice([0.0, 0.0, 0.003, 0.02, 1.0])
        self._seed = seed
        self.next = cache(self._next)
        self.exact = cache(self._exact)

    def possible(self, text: bytes) -> set[Any]:
        """The labels that can still be written."""
        return {label for whole, label in self._wholes.items() if whole.startswith(text) and label is not None}

    def write(self, seed: int) -> Written:
        """One answer, token by token, each with all that could have stood there."""
        draw = random.Random(seed)
        text, written = self.BEGUN, [(self.BEGUN, {self.BEGUN: 1.0})]
        while text not in self._wholes:
            listed = self.next(text)
            (one,) = draw.choices(list(listed), list(listed.values()))
            written.append((one, listed))
            text += one
        return written

    def _next(self, text: bytes) -> dict[bytes, float]:
        draw = random.Random(f"{self._seed} {text!r}")
        rests = {whole[len(text) :] for whole in self._wholes if whole.startswith(text) and whole != text}
        starts = sorted({rest[:length] for rest in rests for length in range(1, 6)})
        kept = draw.sample(starts, min(len(starts), 7))
        shared = [one for one in kept if len(self.possible(text + one)) > 1]
        weights = {one: draw.uniform(0.1, 1) ** 3 for one in kept}
        for one in shared[1:]:
            weights[one] *= self._leak
        for one in kept:
            weights[one] *= 1.0 if self.possible(text + one) else self._noise
        total = sum(weights.values())
        return {one: weight / total for one, weight in weights.items() if weight} if total else {kept[0]: 1.0}

    def _exact(self, text: bytes) -> dict[Any, float]:
        """The probability of each label, summed over every sequence of tokens that writes it."""
        if text in self._wholes:
            label = self._wholes[text]
            assert json.loads(text)["team"] == label or label is None
            return {} if label is None else {label: 1.0}
        found: dict[Any, float] = defaultdict(float)
        for one, p in self.next(text).items():
            for label, share in self.exact(text + one).items():
                found[label] += p * share
        return found


def lead_of(written: Written) -> int:
    """How many of the tokens stand before the value."""
    whole = b"".join(one for one, _ in written)
    start = whole.index(b":") + 1
    start += whole[start:].startswith(b" ")
    return sum(len(b"".join(one for one, _ in written[: n + 1])) <= start for n in range(len(written)))


def seen_and_hidden(writer: Writer, written: Written) -> tuple[dict[Any, float], float]:
    """The exact probability of each label behind the tokens that tell it, and that of those that tell none yet."""
    lead = lead_of(written)
    text, path, hidden = b"".join(one for one, _ in written[:lead]), 1.0, 0.0
    seen: dict[Any, float] = defaultdict(float)
    for one, listed in written[lead:]:
        for other, p in listed.items():
            possible = writer.possible(text + other)
            if len(possible) == 1:
                seen[min(possible)] += path * sum(writer.exact(text + other).values()) * p
            elif possible and other != one:
                hidden += path * p
        path *= listed[one]
        text += one
        if len(writer.possible(text)) == 1:
            break
    return seen, hidden


@pytest.mark.parametrize(
    "labels",
    [
        ("bill", "billing", "login"),
        ("ä", "äh", "öde", "日本"),
        ('a "b"', "a\nb", "a\\", "\x01"),
        ("a", "aa", "aaa", "aaaa"),
        (1, 10, 100, 2),
        (-1, 1, -12),
        (True, False),
        ("true", "t"),
    ],
    ids=str,
)
def test_shares_are_those_of_a_known_model(labels: tuple[Any, ...]) -> None:
    told = untold = 0
    for seed in range(150):
        writer = Writer(labels, seed)
        written = writer.write(seed)
        found = shares(written, *labels)
        if writer.possible(b"".join(one for one, _ in written)) == set():
            assert found is None
            continue
        seen, hidden = seen_and_hidden(writer, written)
        total = sum(seen.values())
        if found is None:
            untold += 1
            assert hidden > 0.05 * (total + hidden)
            continue
        told += 1
        assert hidden <= 0.05 * (total + hidden)
        assert found == pytest.approx({label: seen[label] / total for label in labels}, abs=1e-9)
        exact = writer.exact(b"".join(one for one, _ in written[: lead_of(written)]))
        whole = sum(exact.values())
        assert found == pytest.approx({label: exact[label] / whole for label in labels}, abs=hidden / total + 1e-9)
    assert told > 20
    assert told + untold > 60


@pytest.mark.parametrize("labels", [("bill", "billing", "login"), (1, 10, 100, 2), ("ä", "äh", "öde", "日本")], ids=str)
def test_where_each_token_tells_a_label_the_shares_are_exact(labels: tuple[Any, ...]) -> None:
    """The first token of the value is the label, so that nothing is hidden, and the exact share is known at once."""
    draw = random.Random(7)
    for _ in range(50):
        values = [json.dumps(label, ensure_ascii=False) for label in labels]
        weights = [draw.random() for _ in labels]
        total = sum(weights) + 0.3
        listed = {f"{value}}}": weight / total for value, weight in zip(values, weights, strict=True)}
        listed["nothing"] = 0.3 / total
        chosen = draw.choice([one for one in listed if one != "nothing"])
        expected = {label: weight / sum(weights) for label, weight in zip(labels, weights, strict=True)}
        assert shares(['{"team":', (chosen, listed)], *labels) == pytest.approx(expected, abs=1e-12)


def test_labels_with_a_common_beginning_are_told_apart_where_they_part() -> None:
    first = {"bill": 0.7, "log": 0.2, "other": 0.1}
    second = {"ing": 0.6, '"': 0.4}
    for written in (["ing", '"}'], ['"', "}"]):
        found = shares(['{"team": "', ("bill", first), (written[0], second), written[1]], "bill", "billing", "login")
        assert found == pytest.approx({"bill": 0.28 / 0.9, "billing": 0.42 / 0.9, "login": 0.2 / 0.9})


def test_a_token_may_span_the_quotes_and_what_is_behind() -> None:
    listed = {': "bill",': 0.5, ': "billing",': 0.3, ': "login"}': 0.1, ":null,": 0.1}
    found = shares(['{"team"', (': "bill",', listed), ' "x": 1}'], "bill", "billing", "login")
    assert found == pytest.approx({"bill": 5 / 9, "billing": 3 / 9, "login": 1 / 9})


def test_space_before_a_value_means_nothing() -> None:
    listed = {' "a"': 0.4, '"b"': 0.3, '\n\t"c"': 0.2, "\n  ": 0.02, "}": 0.08}
    for chosen in (' "a"', '"b"'):
        found = shares(['{"team":', (chosen, listed), "}"], "a", "b", "c")
        assert found == pytest.approx({"a": 4 / 9, "b": 3 / 9, "c": 2 / 9})
    assert shares(['{"team":', (' "a"', {**listed, "\n  ": 0.06, "}": 0.04}), "}"], "a", "b", "c") is None


def test_space_inside_a_value_is_a_part_of_it() -> None:
    listed = {"\n": 0.5, " b": 0.5}
    assert shares(['{"team":"a', (" b", listed), '"}'], "a b", "ab") == {"a b": 1.0, "ab": 0.0}


def test_another_beginning_of_the_same_text_is_not_seen() -> None:
    for listed, told in [
        ({'":"': 0.9, '":': 0.1}, False),
        ({'":"': 0.9, '"': 0.1}, False),
        ({'":"': 0.98, '"': 0.02}, True),
        ({'":"': 0.9, "s": 0.1}, True),
    ]:
        found = shares(['{"team', ('":"', listed), ("a", {"a": 0.5, "b": 0.5}), '"}'], "a", "b")
        assert (found is not None) is told


def test_a_token_may_cut_a_character_in_two() -> None:
    ae, oe = "ä".encode(), "ö".encode()
    tail = {ae[1:]: 0.25, oe[1:]: 0.5, b"\x84": 0.25}
    parts: list[Part] = ['{"team":"', (ae[:1], {ae[:1]: 0.8, b"u": 0.2}), (ae[1:], tail), '"}']
    assert shares(parts, "ä", "ö", "u") == pytest.approx({"ä": 0.2 / 0.8, "ö": 0.4 / 0.8, "u": 0.2 / 0.8})


def test_half_a_character_without_its_bytes_may_be_any() -> None:
    text, tokens = spell('{"team":"', ("u", {"u": 0.6, "ä".encode()[:1]: 0.4}), '"}')
    assert distributions(text, tokens, [field_of("ä", "u")])["team"] == pytest.approx({"ä": 0.4, "u": 0.6})
    for one in tokens[1].top_logprobs or ():
        one.spelled = None
    assert distributions(text, tokens, [field_of("ä", "u")]) == {}


def test_tokens_may_come_without_bytes() -> None:
    text, tokens = spell('{"team":', (' "日', {' "日': 0.25, ' "ü': 0.75}), '本"}')
    for token in tokens:
        for one in (token, *(token.top_logprobs or ())):
            one.spelled = None
    assert distributions(text, tokens, [field_of("日本", "über")])["team"] == pytest.approx(
        {"日本": 0.25, "über": 0.75}
    )


def test_escapes_are_read_as_they_are_written() -> None:
    listed = {'\\"': 0.5, "b": 0.3, "\\n": 0.2}
    found = shares(['{"team":"a', ('\\"', listed), '"}'], 'a"', "ab", "a\n")
    assert found == pytest.approx({'a"': 0.5, "ab": 0.3, "a\n": 0.2})


def test_a_label_in_another_spelling_tells_nothing() -> None:
    assert shares(['{"team":"caf\\u00e9"}'], "café", "tea") is None
    # It may be what an alternative begins, too: `\\u00e9clair` is a label that nobody can see coming.
    assert shares(['{"team":"', ("tea", {"tea": 0.5, "\\": 0.5}), '"}'], "éclair", "tea") is None
    assert shares(['{"team":"', ("tea", {"tea": 0.97, "\\u": 0.03}), '"}'], "éclair", "tea") == {"éclair": 0, "tea": 1}


@pytest.mark.parametrize(
    ("labels", "value", "listed", "expected"),
    [
        ((True, False), "true", {"true": 0.75, "false": 0.25}, {True: 0.75, False: 0.25}),
        ((True, False), "true", {"true": 0.75, "fal": 0.2, "1": 0.05}, {True: 0.75 / 0.95, False: 0.2 / 0.95}),
        (("a", "b", None), "null", {"null": 0.5, '"a': 0.3, "nope": 0.2}, {"a": 0.375, "b": 0.0, None: 0.625}),
        (("a", "b", None), '"b"', {"nu": 0.5, '"b"': 0.5}, {"a": 0.0, "b": 0.5, None: 0.5}),
        (("null", "x", None), "null", {"null": 0.5, '"null"': 0.5}, {"null": 0.5, "x": 0.0, None: 0.5}),
        ((1, 2), "1", {"1": 0.75, "2": 0.25}, {1: 0.75, 2: 0.25}),
        ((1, 2), "1", {"1": 0.75, "2.5": 0.25}, {1: 1.0, 2: 0.0}),
        ((1, "one"), '"one"', {"1": 0.25, '"o': 0.0, '"one"': 0.75}, {1: 0.25, "one": 0.75}),
        ((-1, 1), "-1", {"-1": 0.6, "1": 0.4}, {-1: 0.6, 1: 0.4}),
    ],
)
def test_labels_that_are_no_texts(labels: Any, value: str, listed: Any, expected: Any) -> None:
    answer: Any = Literal[labels]
    field = field_as(answer)
    text, tokens = spell('{"team":', (value, listed), "}")
    assert distributions(text, tokens, [field])["team"] == pytest.approx(expected)


@pytest.mark.parametrize("close", ["}", ",", " ", "\n"])
def test_a_number_ends_where_something_else_begins(close: str) -> None:
    rest = {"}": "", ",": '"x":2}', " ": "}", "\n": "}"}[close]
    level = field_as(Annotated[int, Field(ge=1, le=12)])
    text, tokens = spell('{"team":', ("1", {"1": 0.5, "2": 0.5}), (close, {close: 0.5, "0": 0.3, "1": 0.2}), rest)
    expected = {**dict.fromkeys(range(1, 13), 0.0), 1: 0.25, 10: 0.15, 11: 0.1, 2: 0.5}
    assert distributions(text, tokens, [level])["team"] == pytest.approx(expected)
    text, tokens = spell('{"team":', ("2", {"1": 0.5, "2": 0.5}), close, rest)
    assert distributions(text, tokens, [level]) == {}, "what follows the 1 was not seen"


@pytest.mark.parametrize("value", ["1.0", "1e0", "11", '"1"'])
def test_a_value_that_is_no_label_tells_nothing(value: str) -> None:
    assert shares([f'{{"team":{value}}}'], 1, 2) is None


@pytest.mark.parametrize("listed", [None, [], "chosen"])
@pytest.mark.parametrize(("p", "told"), [(0.96, True), (0.94, False), (1e-9, False)])
def test_what_nobody_listed_may_be_anything(listed: Any, p: float, told: bool) -> None:
    text, tokens = spell('{"team":"', ("a", {"a": p}), '"}')
    tokens[1].top_logprobs = None if listed is None else tokens[1].top_logprobs if listed else []
    assert distributions(text, tokens, [field_of("a", "b")]) == ({"team": {"a": 1.0, "b": 0.0}} if told else {})


def test_a_short_list_is_enough_where_it_holds_the_most() -> None:
    for rest, told in [(0.04, True), (0.06, False)]:
        found = shares(['{"team":"', ("a", {"a": 0.5, "b": 0.5 - rest}), '"}'], "a", "b", "c")
        assert (found is not None) is told


def test_what_is_not_seen_behind_an_unlikely_token_matters_little() -> None:
    parts: list[Part] = ['{"team":"', ("bill", {"bill": 0.04, "log": 0.96}), ("ing", {"ing": 0.4}), '"}']
    expected = {"bill": 0.0, "billing": 0.016 / 0.976, "login": 0.96 / 0.976}
    assert shares(parts, "bill", "billing", "login") == pytest.approx(expected)


def test_what_leads_to_no_label_is_shared_by_all() -> None:
    listed = {"a": 0.1, "b": 0.1, "x": 0.8}
    assert shares(['{"team":"', ("a", listed), '"}'], "a", "b") == pytest.approx({"a": 0.5, "b": 0.5})
    assert shares(['{"team":"', ("a", {**listed, "x": 0.7}), '"}'], "a", "b") is None  # the rest was not listed


def test_a_label_that_the_model_did_not_want_at_all_tells_nothing() -> None:
    assert shares(['{"team":"', ("a", {"x": 1.0}), '"}'], "a", "b") is None


def test_a_token_outside_the_list_counts_too() -> None:
    text, tokens = spell('{"team":"', ("a", {"a": 0.3, "b": 0.7}), '"}')
    tokens[1].top_logprobs = [one for one in tokens[1].top_logprobs or () if one.token == "b"]
    assert distributions(text, tokens, [field_of("a", "b")])["team"] == pytest.approx({"a": 0.3, "b": 0.7})


def test_a_token_that_spells_nothing_is_gone_through() -> None:
    before: list[Part] = ['{"team":', ("", {"": 0.5, '"b': 0.5}), '"a"}']
    inside: list[Part] = ['{"team":"', ("", {"": 0.5, "b": 0.5}), 'a"}']
    for parts in (before, inside):
        assert shares(parts, "a", "b") == pytest.approx({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize("logprob", [nan, inf, 0.5, 1000.0])
def test_what_is_no_log_probability_tells_nothing(logprob: float) -> None:
    for chosen in (True, False):
        text, tokens = spell('{"team":"', ("a", {"a": 0.5, "b": 0.5}), '"}')
        other = (tokens[1].top_logprobs or [])[1]
        (tokens[1] if chosen else other).logprob = logprob
        assert distributions(text, tokens, [field_of("a", "b")]) == {}


def test_a_rounded_log_probability_may_be_a_little_more_than_nothing() -> None:
    text, tokens = spell('{"team":"', "a", '"}')
    tokens[1].logprob = 1e-4
    tokens[1].top_logprobs = None
    assert distributions(text, tokens, [field_of("a", "b")]) == {"team": {"a": 1.0, "b": 0.0}}


# Whole replies.


class Inner(BaseModel):
    team: Literal["a", "b"]
    ok: bool


class Reply(BaseModel):
    team: Literal["a", "b"]
    inner: Inner
    tags: list[Literal["a", "b"]]
    note: str
    level: Annotated[int, Field(ge=1, le=3)]


FIELDS = fields_of(Reply)


def told(*parts: Part) -> dict[str, Distribution]:
    return distributions(*spell(*parts), FIELDS)


SURE = {"a": 0.9, "b": 0.1}


def test_each_field_has_its_own_value_and_open_fields_and_tags_have_none() -> None:
    found = told(
        '{"note": "team", "tags": ["a"], "team": "', ("b", SURE), '",\n  "inner": {"team": "', ("a", SURE), '", "ok": ',
        ("false", {"true": 0.7, "false": 0.3}), '}, "level": ', ("2", {"1": 0.25, "2": 0.25, "3": 0.5}), "}",
    )  # fmt: skip
    assert list(found) == ["team", "inner.team", "inner.ok", "level"]
    assert found["team"] == pytest.approx({"a": 0.9, "b": 0.1})
    assert found["inner.team"] == pytest.approx({"a": 0.9, "b": 0.1})
    assert found["inner.ok"] == pytest.approx({True: 0.7, False: 0.3})
    assert found["level"] == pytest.approx({1: 0.25, 2: 0.25, 3: 0.5})


def test_only_what_was_asked_is_told() -> None:
    text, tokens = spell('{"team":"', ("a", SURE), '"}')
    assert distributions(text, tokens, FIELDS[1:]) == {}
    assert list(distributions(text, tokens, FIELDS)) == ["team"]


def test_tags_that_are_no_list_have_none_either() -> None:
    assert told('{"tags":"', ("a", SURE), '"}') == {}


def test_an_empty_object_is_gone_through() -> None:
    assert told('{"inner":{},"note":{},"team":"', ("a", SURE), '"}')["team"] == pytest.approx(SURE)


def test_one_token_may_write_several_fields() -> None:
    listed = {'a","inner":{"team":"a"': 0.5, 'a","inner":{"team":"b"': 0.25, 'b","inner":{"team":"a"': 0.25}
    found = told('{"team":"', ('a","inner":{"team":"a"', listed), "}}")
    assert found["team"] == pytest.approx({"a": 0.75, "b": 0.25})
    assert found["inner.team"] == pytest.approx({"a": 2 / 3, "b": 1 / 3})  # after the team that was written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"note":"\\"team\\":\\"b\\"","team":"', '"}'),
        ('{"note":"{\\"team\\":","team":"', '"}'),
        ('{"tags":[{"team":"b"},"team"],"team":"', '"}'),
        ('{"team":"', '","tags":[{"team":"b"},{"team":{"team":"b"}}]}'),
        ('{"team":"b","team":"', '"}'),
        ('{"note":{"team":"b"},"team":"', '","inner.team":"b"}'),
        ('{"inner.team":"b","x.team":"b","team":"', '"}'),
        ('{"b":"team","a":"a","team":"', '","b":"team"}'),
        ('```json\n{"team":"', '"}\n```\n'),
        ('Here it is: {"team":"', '"} as asked.'),
        ('\n {\t"team"\r\n:\n"', '"\n}\n'),
    ],
)
def test_the_value_is_found_where_it_stands(before: str, after: str) -> None:
    found = told(before, ("a", SURE), after)
    assert found["team"] == pytest.approx(SURE)
    assert set(found) == {"team"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["team","', '"]'),
        ('"team":"', '"'),
        ('{"team":"', '"'),
        ('{"team":"', '"]'),
        ('{"team" "', '"}'),
        ('{"team":"', '"}{"team":"b"}'),
        ('{"team":"', '"}\nI did not choose "team": "b".'),
        ('The "team": {"team":"', '"}'),
        ('{"x":' + "[" * 100_000 + '{"team":"', '"}'),
        ('{"x":' + "1" * 5000 + ',"team":"', '"}'),
        ('{"x":"\x01","team":"', '"}'),
        ('{"x":tru,"team":"', '"}'),
    ],
)
def test_what_is_not_one_json_object_tells_nothing(before: str, after: str) -> None:
    assert told(before, ("a", SURE), after) == {}


def test_tokens_that_do_not_spell_the_content_tell_nothing() -> None:
    content, tokens = spell('{"team":"', ("a", SURE), '"}')
    fence = spell("```json\n", '{"team":"', ("a", SURE), '"}', "\n```")[1]  # llama.cpp strips it from the content
    for others in ([], fence, tokens[:-1], tokens[1:], [*tokens, tokens[-1]], tokens[::-1]):
        assert distributions(content, others, FIELDS) == {}
    assert distributions("\ud800", tokens, FIELDS) == {}


# Whatever comes.

names = st.sampled_from(["team", "inner", "ok", "tags", "note", "level", "inner.team", "zz", ""])
values = st.recursive(
    st.sampled_from(["a", "b", True, False, None, 1, 2, 3, 10, 1.5, '"', "\\", "ä", "\x00", "}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
replies = st.builds(json.dumps, values, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 2]))
junk = st.text('{}[]":,ab\\ \n0teamnul`', max_size=30) | st.text(max_size=10)
logprobs = st.floats(max_value=0) | st.sampled_from([0.0, -0.1, -0.7, -9999.0, -inf]) | st.floats()
others = st.lists(
    st.tuples(st.binary(max_size=4) | st.sampled_from([b'"a', b"b", b"1", b"true", b""]), logprobs), max_size=4
)


@st.composite
def tokenised(draw: st.DrawFn) -> tuple[str, list[Token]]:
    """A text, and its bytes in tokens, or nearly so."""
    text = draw(replies | junk | st.builds(str.__add__, replies, junk))
    whole = text.encode("utf-8", "surrogatepass")
    ends = sorted({*draw(st.lists(st.integers(0, len(whole)), max_size=12)), 0, len(whole)})
    tokens = []
    for start, end in pairwise(ends):
        top = [{"token": "", "logprob": p, "bytes": list(raw)} for raw, p in draw(others)]
        raw = list(whole[start:end])
        tokens.append(Token.model_validate({"token": "", "logprob": draw(logprobs), "bytes": raw, "top_logprobs": top}))
    return text, tokens


@settings(deadline=None)
@given(tokenised())
def test_whatever_comes_there_is_an_honest_distribution_or_none(given: tuple[str, list[Token]]) -> None:
    text, tokens = given
    asked = {field.path: field for field in FIELDS}
    for path, found in distributions(text, tokens, FIELDS).items():
        assert asked[path].kind != "tags"
        assert tuple(found) == asked[path].labels
        assert sum(found.values()) == pytest.approx(1.0)
        assert all(0.0 <= p <= 1.0 + 1e-9 for p in found.values())


# Through the chat engine.


class Route(BaseModel):
    team: Literal["billing", "login"]
    urgent: bool
    tags: list[Literal["x", "y"]]
    why: str


CONTENT: list[Part] = [
    '{"team": "', ("bill", {"bill": 0.9, "log": 0.1}), 'ing", "urgent": ', ("true", {"true": 0.6, "false": 0.4}),
    ', "tags": ["x"], "why": "so"}',
]  # fmt: skip


def answer(content: str, logprobs: Any, finish: str = "stop") -> Answer:
    choice = {"message": {"content": content}, "finish_reason": finish, "logprobs": logprobs}
    return Answer(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}))


def wire(tokens: Sequence[Token]) -> dict[str, Any]:
    return {"content": [one.model_dump(by_alias=True) for one in tokens]}


def decided(decide: Decide, *answers: Answer, **prompt: Any) -> Decision[Any]:
    with serve(*answers) as endpoint:
        task = Task(Route, name="route", prompt={"model": "m", "base_url": endpoint.url, **prompt})
        with Decider(task) as decider:
            return decide(decider, "charged twice")


SCORED = {"logprobs": True, "top_logprobs": 5}


def test_a_reply_that_tells_its_log_probabilities_has_probabilities(decide: Decide) -> None:
    text, tokens = spell(*CONTENT)
    decision = decided(decide, answer(text, wire(tokens)), params=SCORED)
    team, urgent = decision.fields["team"], decision.fields["urgent"]
    assert (team.value, team.source, team.calibrated) == ("billing", "logprob", False)
    assert team.probability == pytest.approx(0.9)
    assert urgent.probabilities == pytest.approx({False: 0.4, True: 0.6})
    for one in (decision.fields["tags"], decision.fields["why"]):
        assert (one.probability, one.probabilities, one.source) == (None, None, None)
    assert decision.confidence is None


@pytest.mark.parametrize("params", [{}, {"logprobs": False}])
def test_none_are_read_that_were_not_asked_for(decide: Decide, params: Any) -> None:
    text, tokens = spell(*CONTENT)
    decision = decided(decide, answer(text, wire(tokens)), params=params)
    assert {one.source for one in decision.fields.values()} == {None}


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"content": "all of it"},
        [0.1, 0.2],
        {"tokens": ["a"], "token_logprobs": [-0.1]},
        {"content": [{"token": "x", "logprob": None}]},
        {"content": [{"token": "x", "logprob": -1, "bytes": [256]}]},
        {"content": [{"token": "x", "logprob": -1, "top_logprobs": {"x": -1}}]},
        {"content": [{"token": "x", "logprob": -1, "top_logprobs": None}]},
    ],
)
def test_log_probabilities_in_another_form_are_none_and_the_answer_stands(decide: Decide, logprobs: Any) -> None:
    text, _ = spell(*CONTENT)
    decision = decided(decide, answer(text, logprobs), params=SCORED)
    assert decision.output.team == "billing"
    assert decision.attempts == 1
    assert {one.source for one in decision.fields.values()} == {None}


def test_what_a_re_ask_answers_has_the_probabilities_of_that_answer(decide: Decide) -> None:
    text, tokens = spell(*CONTENT)
    wrong, first = spell('{"team": "', ("other", {"other": 0.9, "log": 0.1}), '"}')
    decision = decided(decide, answer(wrong, wire(first)), answer(text, wire(tokens)), params=SCORED)
    assert decision.fields["team"].probability == pytest.approx(0.9)
    assert decision.attempts == 2


def test_a_code_block_has_the_probabilities_of_what_stands_in_it(decide: Decide) -> None:
    text, tokens = spell("```json\n", *CONTENT, "\n```")
    decision = decided(decide, answer(text, wire(tokens)), params=SCORED, structure="md_json")
    assert decision.fields["team"].probability == pytest.approx(0.9)
    text, tokens = spell('Not "team":', ' "login", but\n```json\n', *CONTENT, '\n```\nand not "team": "login".')
    decision = decided(decide, answer(text, wire(tokens)), params=SCORED, structure="md_json")
    assert decision.output.team == "billing"
    assert decision.fields["team"].probability is None


class Billed(BaseModel):
    team: Literal["bill", "billing", "login"]


def test_a_real_server_tells_a_whole_distribution_or_none(llama: str) -> None:
    prompt = {"model": "m", "base_url": llama, "params": {"logprobs": True, "top_logprobs": 20, "temperature": 0}}
    task = Task(Billed, name="t", prompt=prompt)
    with Decider(task) as decider:
        for ticket in ("I was charged twice", "cannot log in"):
            found = decider.decide(ticket).fields["team"]
            assert found.calibrated is False
            if found.probabilities is not None:
                assert list(found.probabilities) == ["bill", "billing", "login"]
                assert sum(found.probabilities.values()) == pytest.approx(1.0)
            assert (found.probability is None) is (found.source is None) is (found.probabilities is None)
