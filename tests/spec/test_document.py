"""A document from a file, from Python, and with values from the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from decider.errors import SpecError
from decider.spec import MINIMAL, Document, Place, check, dotted, from_keywords, parse, read


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "spec.yaml"
    file.write_text(MINIMAL, encoding="utf-8")
    return file


def unread(path: Path | str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(path)
    return caught.value


def test_a_file_is_read_and_names_itself(spec: Path) -> None:
    document = read(spec)
    assert document == parse(MINIMAL, file=str(spec))
    assert document.place(("name",)) == Place(file=str(spec), line=1, column=1)


def test_a_byte_order_mark_is_tolerated(spec: Path) -> None:
    spec.write_text(MINIMAL, encoding="utf-8-sig")
    assert read(spec).data["name"] == "triage"
    assert read(spec).place(("name",)).column == 1


def test_a_missing_file_says_where_it_was_looked_for(spec: Path) -> None:
    folder = spec.parent
    error = unread(folder / "spek.yaml")
    assert str(error) == (
        f"{folder / 'spek.yaml'}: no such file (looked in {str(folder)!r}); did you mean `{folder / 'spec.yaml'}`?"
    )
    assert unread(folder / "else").remedy == f"did you mean `{folder / 'spec.yaml'}`?"
    spec.unlink()
    assert unread(spec).remedy == "`decider init` writes one"
    assert unread(folder / "no" / "x.yaml").message == f"no such file (there is no folder {str(folder / 'no')!r})"


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    assert str(unread(tmp_path)) == f"{tmp_path}: is a folder; name the spec file inside it"


def test_what_cannot_be_opened_says_why(spec: Path) -> None:
    assert unread(spec / "below").message.startswith("cannot be read: Not a directory")
    assert unread("a\x00b").message == "cannot be read: embedded null byte"


def test_text_must_be_utf_8(spec: Path) -> None:
    spec.write_bytes("name: t\ninstructions: café\n".encode("latin-1"))
    assert str(unread(spec)) == f"{spec}:2: is not UTF-8 text; save it with the encoding UTF-8"
    spec.write_text(MINIMAL, encoding="utf-16")
    assert unread(spec).line == 1


def test_a_large_file_is_refused_unread(spec: Path) -> None:
    spec.write_bytes(b"")
    os.truncate(spec, 10_000_000_000)
    assert unread(spec).message == "is larger than 256 kB"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless file")
def test_an_endless_file_is_refused() -> None:
    assert unread("/dev/zero").message == "is larger than 256 kB"


def test_an_error_has_its_place_and_its_path() -> None:
    error = parse("fields:\n  urgency:\n    options: [a, b, c]\n", file="s.yaml").error(
        "is wrong", ("fields", "urgency", "options", 2), remedy="mend it"
    )
    assert str(error) == "s.yaml:3:21: fields.urgency.options[2]: is wrong; mend it"
    assert (error.file, error.line, error.column, error.field) == ("s.yaml", 3, 21, "fields.urgency.options[2]")
    assert parse("a: 1").error("is wrong", ()).field is None


def test_paths_are_written_as_people_write_them() -> None:
    assert dotted(()) == ""
    assert dotted(("a", "b.c", 0, "d")) == "a.b.c[0].d"
    assert dotted((0, "a")) == "0.a"


KEYWORDS: dict[str, Any] = {"name": "t", "fields": {"a": {"options": ["x", "y"]}}}


def test_python_keywords_are_taken_as_they_are() -> None:
    given = {**KEYWORDS, "version": 3, "fields": {"a": {"type": "scale", "options": {1: "low", 2: "high"}}}}
    document = from_keywords({**given, "log": None, "cache": {"folder": Path("kept")}, "cascade": ("prompt",)})
    spec = check(document)
    assert (spec.version, spec.log, spec.cascade) == (3, None, ("prompt",))
    assert spec.fields["a"].options == ((1, "low"), (2, "high"))
    assert spec.cache is not None
    assert spec.cache.folder == "kept"
    assert document.place(("version",)) == Place()


def test_both_ways_give_the_same_spec() -> None:
    text = "name: t\nfields: {a: {options: [x, y]}}\nversion: 2\nprompt: {samples: 3, params: {temperature: 0.5}}\n"
    keywords = {**KEYWORDS, "version": 2, "prompt": {"samples": 3, "params": {"temperature": 0.5}}}
    assert check(parse(text)) == check(from_keywords(keywords))


def test_a_mistake_in_python_has_no_line() -> None:
    with pytest.raises(SpecError) as caught:
        check(from_keywords({**KEYWORDS, "version": True}))
    assert str(caught.value) == "version: expected a whole number, found True; write, for example, 1"


TEXT = """\
name: t
fields:
  routing.team: {options: [a, b]}
prompt: {base_url: http://localhost:1}
cascade: [prompt]
"""


def changed(**values: Any) -> Document:
    return parse(TEXT, file="s.yaml").with_set({key.replace("__", "."): value for key, value in values.items()})


def test_set_replaces_and_adds() -> None:
    before = parse(TEXT, file="s.yaml")
    spec = check(changed(prompt__base_url="https://x/v1", prompt__samples="3", cache__ttl="5m", mode="finetuned"))
    assert (spec.prompt.base_url, spec.prompt.samples, spec.mode) == ("https://x/v1", 3, "finetuned")
    assert spec.cache is not None
    assert spec.cache.ttl == 300
    assert parse(TEXT, file="s.yaml") == before


def test_set_reaches_fields_with_dotted_names() -> None:
    spec = check(changed(fields__routing__team__description="who answers", fields__new="bool"))
    assert spec.fields["routing.team"].description == "who answers"
    assert spec.fields["new"].type == "bool"


def test_set_takes_lists_mappings_and_python_values() -> None:
    assert check(changed(cascade="[finetuned, prompt]")).cascade == ("finetuned", "prompt")
    assert check(changed(prompt__params="{a: 1, b: '1'}")).prompt.params == {"a": 1, "b": "1"}
    assert check(changed(prompt__params__temperature="0")).prompt.params == {"temperature": 0}
    assert check(changed(cascade=["finetuned"], version=2)).version == 2


@pytest.mark.parametrize("nothing", ["null", "~", None])
def test_set_to_null_removes_a_key(nothing: str | None) -> None:
    document = changed(prompt__base_url=nothing)
    assert check(document).prompt.base_url is None
    assert document.place(("prompt", "base_url")).line == 4


def test_values_that_were_set_have_the_command_line_as_their_place() -> None:
    document = changed(cache__ttl="5m", cascade="[finetuned]")
    here = Place(file="--set")
    assert [document.place(path) for path in [("cache",), ("cache", "ttl"), ("cascade", 0)]] == [here, here, here]
    assert document.place(("name",)) == Place(file="s.yaml", line=1, column=1)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("prompt.base_urll", "x", "--set: prompt.base_urll: unknown key; did you mean `base_url`?"),
        ("prompt.base_url", "", "--set: prompt.base_url: is empty; write a value, or remove the key"),
        ("name.x", "1", "--set: name: has no keys: it is one value; set it as a whole instead"),
        ("cascade.0", "x", "--set: cascade: has no keys: it is a list; set it as a whole instead"),
        ("cahce", "null", "--set: cahce: is not set, so that nothing is removed"),
        (
            "cascade",
            "[prompt",
            (
                "--set: cascade: this `[` is not closed, or a comma is missing, before line 1, column 15; "
                "add the `]` or the `,`"
            ),
        ),
        ("name", "null", "s.yaml:1:1: name: is missing; add `name: …`"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_named_there(key: str, value: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        check(parse(TEXT, file="s.yaml").with_set({key: value}))
    assert str(caught.value) == sentence
