"""The JSON Schema for editors takes what the reader takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import decider.spec
from decider.errors import SpecError
from decider.spec import MINIMAL, editor_schema

WHOLE = Path(__file__).with_name("whole.yaml").read_text(encoding="utf-8")
VALIDATOR = Draft202012Validator(editor_schema())


def test_it_is_a_valid_schema() -> None:
    schema = editor_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["name"]


def _keys(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        for name, one in node.get("properties", {}).items():
            yield f"{path}.{name}", one
        for name, one in node.items():
            yield from _keys(one, f"{path}.{name}")


def test_every_key_is_described() -> None:
    keys = dict(_keys(editor_schema()))
    assert len(keys) > 60
    assert [path for path, key in keys.items() if not key.get("description", "").endswith(".")] == []


def test_defaults_are_offered_as_they_are_typed() -> None:
    definitions = editor_schema()["$defs"]
    assert definitions["Retry"]["properties"]["deadline"]["default"] == "60s"
    assert definitions["Cache"]["properties"]["size"]["default"] == "1GB"
    assert "default" not in definitions["Prompt"]["properties"]["model"]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        WHOLE,
        "{name: 5, version: '3', fields: {a: bool, b: {options: [1, true, x]}, c: {options: {x, y: z}}}}",
        "{name: t, input: {a: text, b: {type: number, min: '0.5', max: 3}}, instructions: 12}",
        "{name: t, accept: {category: 0.8, level: '0.5'}, log: {fsync: 'true'}}",
        "{name: t, accept: {target: 0.9}, finetuned: {engine: chat, messages: {answer: json}}}",
        "{name: t, data: {columns: {input: body}}, prompt: {params: {a: {b: [1, null]}}}, cache: {}}",
    ],
)
def test_good_specs_pass(text: str) -> None:
    decider.spec.check(decider.spec.parse(text))
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "{mode: prompt}",
        "{name: t, instrctions: x}",
        "{name: t, mode: finetune}",
        "{name: t, retry: {deadline: 60}}",
        "{name: t, retry: {attempts: 0}}",
        "{name: t, cache: null}",
        "{name: t, fields: {a: enum}}",
        "{name: t, fields: {a: {options: []}}}",
        "{name: t, fields: [a]}",
        "{name: t, output: 'os:system'}",
        "{name: t, prompt: {api_key: x}}",
        "{name: t, accept: {a: 1.5}}",
        "{name: t, cascade: prompt}",
        "{name: t, finetuned: {engine: chat, messages: {answer: {labl: a}}}}",
        "{name: my task}",
        "[name]",
    ],
)
def test_bad_specs_fail(text: str) -> None:
    with pytest.raises(SpecError):
        decider.spec.check(decider.spec.parse(text))
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def test_the_grammar_is_loaded_when_it_is_first_used() -> None:
    code = (
        "import sys, decider.spec as spec; document = spec.parse(spec.MINIMAL); "
        "assert 'decider.spec.grammar' not in sys.modules; spec.check(document); "
        "assert 'decider.spec.grammar' in sys.modules; assert spec.Spec.__name__ == 'Spec'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there_and_no_other() -> None:
    for name in decider.spec.__all__:
        assert getattr(decider.spec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Spek'"):
        getattr(decider.spec, "Spek")  # noqa: B009  # a type checker would refuse the plain form
