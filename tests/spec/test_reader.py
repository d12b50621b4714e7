"""YAML as its author typed it; what is no spec is refused at its place, quickly, in plain words."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decider.errors import SpecError
from decider.spec import MINIMAL, Place, Plain, check, parse


def refused(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(text, file="s.yaml")
    return caught.value


def test_the_minimal_spec_is_valid() -> None:
    spec = check(parse(MINIMAL))
    assert spec.name == "triage"
    assert [value for value, _ in spec.fields["team"].options] == ["billing", "technical", "sales"]


@pytest.mark.parametrize(
    "typed", ["no", "017", "1.10", "12:30:45", "2026-01-01", "1_000", "0x1F", "=", "<<", "1e3", "YES"]
)
def test_a_scalar_stays_as_typed(typed: str) -> None:
    assert parse(f"key: {typed}").data == {"key": typed}
    assert parse(f"key: [{typed}]").data == {"key": [typed]}
    assert parse(f"{typed}: key").data == {typed: "key"}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("~", None), ("null", None), ("Null", None), ("", None), ('"null"', "null"), ("'~'", "~"), ('""', ""),
        ("|\n  two\n  lines", "two\nlines"), (">-\n  one\n  line", "one line"), ('"\\u00e9\\n"', "é\n"), ("a#b", "a#b"),
    ],
)  # fmt: skip
def test_null_is_typed_without_quotes(typed: str, value: str | None) -> None:
    assert parse(f"key: {typed}").data == {"key": value}


def test_text_without_quotes_is_known_as_such() -> None:
    data = parse("a: 1\nb: '1'\nc: |\n  1\n").data
    assert [isinstance(value, Plain) for value in data.values()] == [True, False, False]


def test_every_key_and_item_has_its_place() -> None:
    document = parse("a: 1\nb:\n  c: [x, y]\n  d:\n    - e: {f: g}\n", file="s.yaml")
    places = {
        ("a",): (1, 1), ("b",): (2, 1), ("b", "c"): (3, 3), ("b", "c", 1): (3, 10), ("b", "d", 0): (5, 7),
        ("b", "d", 0, "e", "f"): (5, 11),
    }  # fmt: skip
    for path, (line, column) in places.items():
        assert document.place(path) == Place(file="s.yaml", line=line, column=column)


def test_what_is_missing_stands_where_its_parent_does() -> None:
    document = parse("# a comment\na: {b: 1}\n", file="s.yaml")
    assert document.place(("a", "c", "d")) == document.place(("a",)) == Place(file="s.yaml", line=2, column=1)
    assert document.place(("z",)).line == 2


@pytest.mark.parametrize("text", ["\ufeffname: t\n", "---\nname: t\n...\n", "%YAML 1.1\n---\nname: t\n", "name: t\r\n"])
def test_marks_of_the_file_itself_are_tolerated(text: str) -> None:
    assert parse(text).data == {"name": "t"}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null"])
def test_an_empty_spec_is_answered_with_a_small_one(text: str) -> None:
    error = refused(text)
    assert str(error) == f"s.yaml: is empty; write, for example:\n\n{MINIMAL}"
    assert len(MINIMAL.splitlines()) == 6


CASES = {
    # indentation
    "a:\n\tb: 1\n": "2:1: a tab indents this line; use spaces",
    "a:\n  b: 1\n \tc: 2\n": "3:2: a tab indents this line; use spaces",
    "a:\tb\n": "1:3: a tab stands here; use spaces",
    "a: 1\n  b: 2\n": (
        "2:3: this line is indented deeper than line 1, which already has a value; align it with the keys of its "
        "section"
    ),
    "a:\n- b\n\n   c: d\n": (
        "4:4: this line is indented deeper than line 2, which already has a value; align it with the keys of its "
        "section"
    ),
    "a:\n  b: 1\n c: 2\n": (
        "3:2: the indentation of this line fits no line above it; align it with the keys of its section"
    ),
    "- a\nb: 1\n": "2:1: keys and `- ` items are mixed at the same indentation; indent the items below their key",
    # colons
    "name triage\nversion: 1\n": "1:1: the `:` after the key is missing; write `name: triage`",
    "name: a\nversion 1\nmode: prompt\n": "2:1: the `:` after the key is missing; write `version: 1`",
    "a: b\nfields\n": "2:1: the `:` after the key is missing; write `fields:`",
    f"name {'x' * 90}\nb: c\n": "1:1: the `:` after the key is missing; write `key: value`",
    "name:triage\nversion: 1\n": "1:1: the space after `:` is missing; write `name: triage`",
    f"name:{'x' * 90}\nb: c\n": "1:1: the space after `:` is missing; write `key: value`",
    "name: a: b\n": '1:8: a value that holds `: ` must stand in quotes; write it as "…", or as a block after `|`',
    ": x\n": "1:1: the key before this `:` is missing; write `key: value`",
    "?\n: x\n": "1:2: the key before this `:` is missing; write `key: value`",
    # quotes and brackets
    'a: "b\nc: d\n': "1:4: this quote is never closed; add the closing quote",
    'a: "b\n---\n': "1:4: this quote is never closed; add the closing quote",
    "a: 'it's'\n": (
        "1:8: text follows after a closing quote; quote the whole value, with the other kind of quote outside"
    ),
    "a: [b]]\n": "1:7: this follows after the end of a value; remove it, or quote the whole value",
    "a: [b, c\nd: 1\n": (
        "1:4: this `[` is not closed, or a comma is missing, before line 2, column 2; add the `]` or the `,`"
    ),
    "a: {b: c\n": "1:4: this `{` is not closed, or a comma is missing, before line 2, column 1; add the `}` or the `,`",
    "a: }\n": "1:4: a value is missing before '}'; write the value, or quote this",
    "a: @b\n": "1:4: a value that begins with '@' must stand in quotes; write it as \"@…\"",
    "a: *.txt\n": '1:4: a value that begins with `*` or `&` must stand in quotes; write it as "*…"',
    "a: [!x}]\n": '1:5: a value that begins with `!` must stand in quotes; write it as "!…"',
    "a: !x!y z\n": '1:4: a value that begins with `!` must stand in quotes; write it as "!…"',
    'a: "\\d"\n': r"1:6: `\` begins an escape in double quotes; write it as \\, or use single quotes",
    "a: |b\n": "1:4: nothing but a comment may follow `|` or `>`; begin the text on the next line, indented",
    "a: - b\n": (
        "1:4: a list cannot begin on the line of its key; put each `- item` on a line of its own, or write [first, "
        "second]"
    ),
    # what YAML has and a spec has not
    "a: 1\nb: &x 2\n": (
        "2:4: `&x` is an anchor, which a spec may not have; remove `&x`, and write the value out wherever it is needed"
    ),
    "a: *x\n": "1:4: `*x` is an alias, which a spec may not have; write the value out here",
    "a: !!python/object/apply:os.system [id]\n": (
        "1:4: `!!python/object/apply:os.system` is a tag, which a spec may not have; remove it"
    ),
    f"a: !{'x' * 50} b\n": f"1:4: `!{'x' * 38}…` is a tag, which a spec may not have; remove it",
    "a: 1\n---\nb: 2\n": (
        "2:1: a second document begins here; remove the `---` and what follows: one spec, one file"
    ),
    "{a: 1}\nb: 2\n": "2:1: more follows after the end of the spec; remove it",
    "%YAML 2.0\n---\na: 1\n": "1:1: this version of YAML is not read; remove the line that begins with %",
    "? [a]\n: b\n": "1:3: a key must be text, found a list or a mapping; write `key: value`",
    # keys
    "a: 1\nb: 2\na: 3\n": "3:1: the key `a` stands on line 1 and again on line 3; keep one of them",
    "a: {b: 1, 'b': 2}\n": "1:11: the key `b` stands twice on line 1; keep one of them",
    # characters
    "a: b\nc: \x00\n": (
        "2:4: the character U+0000 may not stand in a spec; remove it; it is invisible in most editors"
    ),
    "a: '\ud800'\n": "1:5: the character U+D800 may not stand in a spec; remove it; it is invisible in most editors",
    'a: "\\ud800"\n': "1:4: holds an escape that is no character; type the character itself",
    'a: "\\U00110000"\n': "1:7: holds an escape that is no character; type the character itself",
    # no mapping
    "- a\n- b\n": "1:1: expected `key: value` lines, found a list; begin with a line such as `name: triage`",
    "triage\n": "1:1: expected `key: value` lines, found text; begin with a line such as `name: triage`",
    "name:triage\n": "1:1: expected `key: value` lines, found text; write a space after the `:`",
    # anything else, as the parser says it
    "%YAML 1.1\n%YAML 1.1\n---\na: b\n": (
        "2:1: this is not YAML: found duplicate YAML directive; compare it with the lines around it"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), CASES.items())
def test_what_is_no_spec_is_refused_in_plain_words(text: str, sentence: str) -> None:
    assert str(refused(text)) == f"s.yaml:{sentence}"


def nested(depth: int) -> str:
    return "a: " + "[" * depth + "]" * depth


def test_twenty_levels_are_enough() -> None:
    assert parse(nested(19)).data
    assert refused(nested(20)).message == "is nested deeper than 20 levels"
    assert refused("- " * 21 + "a").message == "is nested deeper than 20 levels"


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 100_000, "a: " + "[" * 100_000, "{a: " * 60_000, "- " * 100_000, "a" * 10_000_000, "é" * 200_000],
    ids=["aliases", "brackets", "brackets below a key", "braces", "dashes", "10 MB", "400 kB in 200,000 characters"],
)
def test_what_would_take_long_is_refused_at_once(text: str) -> None:
    parse("a: 1")
    start = time.process_time()
    error = refused(text)
    assert time.process_time() - start < 0.1
    assert any(word in error.message for word in ("anchor", "deeper than 20 levels", "larger than 256 kB"))


@given(st.text(alphabet=st.sampled_from("ab:-?[]{},'\"|>&*!%@#`\\ \n\t~x0\x00\ud800\x85\u2028\ufeff"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SpecError):
        assert isinstance(parse(text).data, dict)
