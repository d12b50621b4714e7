"""Tasks, from Python and from specs: the same task, and every mistake with its place and its remedy."""

from __future__ import annotations

import sys
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator, model_validator

from decider.errors import InputError, SpecError
from decider.task import Task, path_of


class Ticket(BaseModel):
    subject: str
    body: str | None = None
    tier: Literal["free", "pro"] = "free"


class Triage(BaseModel):
    category: Literal["billing", "login"] = Field(description="what the customer needs", alias="Category")
    escalate: bool


OPENAI = "OPENAI_API_KEY"

SCHEMA = """
from typing import Literal
from pydantic import BaseModel, Field

class Ticket(BaseModel):
    subject: str
    body: str | None = None
    tier: Literal["free", "pro"] = "free"

class Triage(BaseModel):
    category: Literal["billing", "login"] = Field(description="what the customer needs", alias="Category")
    escalate: bool

def other(): ...
"""

SPEC = """\
name: triage
version: 3
output: schema.py:Triage
input: schema.py:Ticket
instructions: |
  Decide.
prompt:
  model: m
  params: {temperature: 0.2, stop: ["1"], seed: 7}
retry: {deadline: 90s}
"""


def write(folder: Path, spec: str = SPEC, schema: str = SCHEMA) -> Path:
    (folder / "schema.py").write_text(schema)
    (folder / "spec.yaml").write_text(spec)
    return folder / "spec.yaml"


def refused(folder: Path, spec: str, **how: Any) -> str:
    with pytest.raises(SpecError) as caught:
        Task.load(write(folder, spec), **how)
    return str(caught.value).replace(str(folder), "FOLDER")


def in_python(**more: Any) -> Task[Any]:
    keys: dict[str, Any] = {
        "name": "triage",
        "version": 3,
        "instructions": "Decide.",
        "input": Ticket,
        "prompt": {"model": "m", "params": {"temperature": 0.2, "stop": ["1"], "seed": 7}},
        "retry": {"deadline": "90s"},
    }
    return Task(Triage, **{**keys, **more})


def test_python_and_a_spec_give_the_same_task(tmp_path: Path) -> None:
    loaded: Task[Any] = Task.load(write(tmp_path))
    made = in_python()
    assert loaded == made
    assert hash(loaded) == hash(made)
    assert (loaded.schema_fingerprint, loaded.prompt_fingerprint) == (made.schema_fingerprint, made.prompt_fingerprint)
    assert loaded.spec.prompt.params == {"temperature": 0.2, "stop": ["1"], "seed": 7}
    assert loaded != in_python(prompt={"model": "other"})
    assert loaded != "triage"
    assert repr(loaded) == "Task('triage', version=3, fields=['category', 'escalate'])"


def test_a_task_saved_is_the_task_loaded(tmp_path: Path) -> None:
    loaded: Task[Any] = Task.load(write(tmp_path))
    loaded.save(tmp_path / "again.yaml")
    assert Task.load(tmp_path / "again.yaml") == loaded
    assert "output: schema.py:Triage" in (tmp_path / "again.yaml").read_text()


def test_inline_fields_survive_saving(tmp_path: Path) -> None:
    spec = """
name: inline
input: {subject: text, age: {type: integer, min: 0, optional: true}}
fields:
  category: {description: what, options: {billing: "charges", login: ""}}
  level: {type: scale, min: 1, max: 5}
  topics: {type: tags, options: [a, b], max: 1}
  routing.team: {options: [x, y], optional: true}
  note: {type: text, max: 20}
  amount: {type: number, min: 0, max: 9.5}
  day: date
  urgent: bool
prompt: {model: m}
cache: {ttl: 3d, size: 2MB}
"""
    (tmp_path / "spec.yaml").write_text(spec)
    loaded: Task[Any] = Task.load(tmp_path / "spec.yaml")
    loaded.save(tmp_path / "again.yaml")
    assert Task.load(tmp_path / "again.yaml") == loaded
    with pytest.raises(ValidationError):
        loaded.validate({**VALID, "topics": ["a", "b"]})
    assert loaded.validate(VALID).model_dump()["routing"] == {"team": None}


VALID: dict[str, Any] = {
    "category": "billing",
    "level": 3,
    "topics": ["a"],
    "routing": {"team": None},
    "note": "n",
    "amount": 1.5,
    "day": "2026-11-23",
    "urgent": True,
}


def test_what_only_python_can_say_is_not_saved_elsewhere(tmp_path: Path) -> None:
    class Own(BaseModel):
        team: Literal["a", "b"]

        @field_validator("team")
        @classmethod
        def check(cls, value: str) -> str:
            return value

    with pytest.raises(SpecError, match="Own: has validators of its own, which a spec cannot hold; keep the class"):
        Task(Own, name="own").save(tmp_path / "spec.yaml")
    for annotation, says in [
        (Literal[1, 2], "options that are not text"),
        (list[str], "a type that no inline field has"),
    ]:
        odd: Any = annotation
        with pytest.raises(SpecError, match=says):
            Task(create_model("Odd", f=(odd, ...)), name="odd").save(tmp_path / "spec.yaml")
    with pytest.raises(SpecError, match="has the rule"):
        Task(create_model("Odd", f=(str, Field(pattern="a"))), name="odd").save(tmp_path / "spec.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "output",
    ["os:system", "../evil.py:Triage", "/etc/evil.py:Triage", "link.py:Triage", "schema.py", "schema.py:Triage:x"],
)
def test_an_output_beyond_the_folder_is_refused_before_anything_runs(tmp_path: Path, output: str) -> None:
    folder = tmp_path / "spec"
    folder.mkdir()
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    (folder / "link.py").symlink_to(tmp_path / "evil.py")
    said = refused(folder, SPEC.replace("schema.py:Triage", output))
    assert "spec.yaml:3" in said
    assert "output" in said


def test_a_missing_file_or_class_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, SPEC.replace("schema.py:Triage", "nowhere.py:Triage"))
    assert "there is no file 'nowhere.py' beside the spec" in said
    said = refused(tmp_path, SPEC.replace("schema.py:Triage", "schema.py:Triag"))
    assert "schema.py has no Pydantic model 'Triag'; its models: Ticket, Triage" in said
    said = refused(tmp_path, SPEC.replace("schema.py:Triage", "schema.py:other"))
    assert "schema.py has no Pydantic model 'other'" in said


def test_a_file_without_models_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="define a class with BaseModel as its base there"):
        Task.load(write(tmp_path, schema="x = 1"))


@pytest.mark.parametrize(
    ("schema", "says"), [("1 +", "line 1 failed: SyntaxError"), ("\n1 / 0", "line 2 failed: ZeroDi")]
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path, schema: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        Task.load(write(tmp_path, schema=schema))
    assert says in str(caught.value)
    assert "mend that file first" in str(caught.value)


def test_a_file_is_run_once_and_again_when_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path)
    one: Task[Any] = Task.load(path)
    two: Task[Any] = Task.load(path)
    assert one.output is two.output
    before = one.stamp()
    write(tmp_path, schema=SCHEMA.replace('"login"', '"access"'))
    assert Task.load(path).output is not one.output
    assert one.stamp() != before
    path.unlink()
    assert one.stamp()[0][2] == -1


def test_a_module_already_imported_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "schema", raising=False)
    imported = import_module("schema")
    monkeypatch.setitem(sys.modules, "schema", imported)
    task: Task[Any] = Task.load(path)
    assert task.output is imported.Triage


def test_no_code_means_no_code_and_no_foreign_keys(tmp_path: Path) -> None:
    said = refused(tmp_path, SPEC, allow_code=False)
    assert "'schema.py:Triage' would run schema.py; this spec was loaded with allow_code=False" in said
    inline = "name: t\nfields: {team: {options: [a, b]}}\nprompt: {model: m}\n"
    for extra in ("api_key_env: AWS_SECRET", "base_url: 'http://127.0.0.1/v1', api_key_env: OPENAI_API_KEY"):
        said = refused(tmp_path, inline.replace("{model: m}", f"{{model: m, {extra}}}"), allow_code=False)
        assert "sends only OPENAI_API_KEY, and only to OpenAI" in said
    fine = inline.replace("{model: m}", "{model: m, api_key_env: OPENAI_API_KEY}")
    assert Task.load(write(tmp_path, fine), allow_code=False).name == "t"


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ("api_key_env: AWS_SECRET", "AWS_SECRET to OpenAI"),
        ("base_url: 'http://127.0.0.1/v1', api_key_env: OPENAI_API_KEY", "OPENAI_API_KEY to http://127.0.0.1/v1"),
        (
            "base_url: 'https://openai.com.evil/v1', api_key_env: OPENAI_API_KEY",
            "OPENAI_API_KEY to https://openai.com.",
        ),
    ],
)
def test_no_code_means_no_foreign_keys_for_a_tuned_model_either(tmp_path: Path, keys: str, sent: str) -> None:
    spec = f"name: t\nfields: {{team: {{options: [a, b]}}}}\nfinetuned:\n  {{engine: chat, model: ft, {keys}}}\n"
    said = refused(tmp_path, spec, allow_code=False)
    assert said.startswith("FOLDER/spec.yaml:4:")
    assert f"finetuned.api_key_env: would send {sent}" in said
    assert Task.load(write(tmp_path, spec)).spec.finetuned.api_key_env is not None
    own = spec.replace(keys, f"api_key_env: {OPENAI}")
    assert Task.load(write(tmp_path, own), allow_code=False).name == "t"


def test_a_tuned_model_inherits_no_foreign_key_unseen(tmp_path: Path) -> None:
    spec = (
        "name: t\nfields: {team: {options: [a, b]}}\n"
        "prompt: {model: m, base_url: 'http://127.0.0.1/v1'}\n"
        f"finetuned: {{engine: chat, model: ft, api_key_env: {OPENAI}}}\n"
    )
    assert "would send OPENAI_API_KEY to http://127.0.0.1/v1" in refused(tmp_path, spec, allow_code=False)


def test_output_takes_the_place_of_the_specs_own(tmp_path: Path) -> None:
    task: Task[Any] = Task.load(write(tmp_path), output=Triage)
    assert task.output is Triage


def test_set_changes_a_key_for_this_load(tmp_path: Path) -> None:
    task: Task[Any] = Task.load(write(tmp_path), set={"prompt.base_url": "http://127.0.0.1:9/v1", "version": "4"})
    assert task.spec.prompt.base_url == "http://127.0.0.1:9/v1"
    assert task.version == 4


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("{team: {options: [a]}}", "has 1 option(s): ['a']; a decision needs at least two options"),
        ("{team: {options: [a, a]}}", "twice"),
        ("{team: {options: [Billing, billing]}}", "the options 'Billing' and 'billing' are alike"),
        ('{team: {options: ["é", "e\u0301"]}}', "are alike"),
        ("{team: {description: x}}", "has neither a type nor options"),
        ("{level: {type: scale}}", "is a scale without bounds"),
        ("{level: {type: scale, options: [1, 3]}}", "is a scale, but its options are [1, 3]"),
        (
            "{level: {type: scale, options: [low, high]}}",
            "the level 'low' is not an integer; number the levels: 1, 2, 3",
        ),
        ("{my-team: bool}", "'my-team' cannot be the name of a field"),
        ("{class: bool}", "'class' cannot be the name of a field"),
        ("{team: bool\n  team.name: bool}", "is a field and also the parent of other fields"),
    ],
)
def test_fields_that_cannot_be_decided_are_refused_at_their_line(tmp_path: Path, fields: str, says: str) -> None:
    said = refused(tmp_path, f"name: t\nfields:\n  {fields[1:-1]}\nprompt: {{model: m}}\n")
    assert says in said
    assert "spec.yaml:3" in said


def test_a_spec_without_anything_to_decide_says_what_to_add(tmp_path: Path) -> None:
    assert "the spec declares nothing to decide; add `fields:`" in refused(tmp_path, "name: t\n")


@pytest.mark.parametrize("annotation", ["dict[str, int]", "Decimal", "int | list[int]", "int"])
def test_types_no_endpoint_can_be_asked_for_are_refused_with_their_path(tmp_path: Path, annotation: str) -> None:
    default = " = 3" if annotation == "int" else ""
    schema = "from decimal import Decimal\nfrom pydantic import BaseModel\n"
    schema += f"class A(BaseModel):\n  amount: {annotation}{default}\n"
    schema += "class Triage(BaseModel):\n  inner: A\n"
    with pytest.raises(SpecError) as caught:
        Task.load(write(tmp_path, SPEC.replace("input: schema.py:Ticket\n", ""), schema))
    assert caught.value.field == "inner.amount"
    assert (caught.value.line, caught.value.remedy is not None) == (3, True)
    assert isinstance(Decimal(1), Decimal)


def test_the_spec_describes_what_a_class_declares(tmp_path: Path) -> None:
    more = "fields:\n  category:\n    description: why they write\n    options: {login: cannot get in}\n"
    task: Task[Any] = Task.load(write(tmp_path, SPEC + more))
    assert task.fields[0].description == "why they write"
    assert [option.description for option in task.fields[0].options] == ["", "cannot get in"]
    assert task.schema_fingerprint == in_python().schema_fingerprint
    assert task.prompt_fingerprint != in_python().prompt_fingerprint
    task.save(tmp_path / "again.yaml")
    assert Task.load(tmp_path / "again.yaml") == task


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("fields: {categry: {description: x}}", "Triage has no field 'categry'; did you mean 'category'?"),
        ("fields: {zzz: {description: x}}", "Triage has no field 'zzz'; the schema has: category, escalate"),
        ("fields: {category: {options: {logn: x}}}", "'logn' is not one of its options; did you mean 'login'?"),
        ("fields: {category: {options: {zzz: x}}}", "'zzz' is not one of its options; its options: billing, login"),
        ("fields: {escalate: {type: bool}}", "is decided by the schema; remove `type` here"),
    ],
)
def test_a_description_of_what_is_not_there_is_refused(tmp_path: Path, more: str, says: str) -> None:
    said = refused(tmp_path, SPEC + more + "\n")
    assert says in said
    assert "spec.yaml:11:" in said


def test_fingerprints_see_what_they_should() -> None:
    base = in_python()
    assert in_python(instructions="Otherwise.").schema_fingerprint == base.schema_fingerprint
    assert in_python(instructions="Otherwise.").prompt_fingerprint != base.prompt_fingerprint
    assert in_python(prompt={"model": "other"}).prompt_fingerprint == base.prompt_fingerprint
    assert in_python(version=4).prompt_fingerprint != base.prompt_fingerprint


EXAMPLES = """
{"input": {"subject": "charged twice"}, "output": {"category": "billing", "escalate": true}}

{"input": "cannot log in", "output": {"category": "login", "escalate": false}}
"""


def with_examples(folder: Path, lines: str) -> Task[Any]:
    (folder / "examples.jsonl").write_text(lines)
    return Task.load(
        write(folder, SPEC.replace("  model: m\n", "  model: m\n  examples: {file: examples.jsonl, count: 2}\n"))
    )


def test_examples_are_read_and_checked(tmp_path: Path) -> None:
    task = with_examples(tmp_path, EXAMPLES)
    assert [example.output["category"] for example in task.examples] == ["billing", "login"]
    assert task.examples[1].input == {"subject": "cannot log in", "body": None, "tier": "free"}
    assert task.prompt_fingerprint != in_python().prompt_fingerprint


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"input": "x", "output": {"category": "Billing", "escalate": true}}', "examples.jsonl:2: category: Input"),
        (
            '{"input": "x", "output": {"category": "billing", "escalate": true}, "why": 1}',
            "examples.jsonl:2: why: Extra",
        ),
        ('{"input": {}, "output": {"category": "billing", "escalate": true}}', "examples.jsonl:2: subject: Field req"),
        ("{", "examples.jsonl:2: Invalid JSON"),
    ],
)
def test_an_example_that_does_not_fit_is_named_by_its_line(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        with_examples(tmp_path, f"\n{line}\n")
    assert says in str(caught.value)
    assert "an example is one line" in str(caught.value)


def test_examples_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    spec = SPEC.replace("  model: m\n", "  model: m\n  examples: {file: nowhere.jsonl}\n")
    assert "spec.yaml:9:" in refused(tmp_path, spec)
    spec = spec.replace("nowhere.jsonl", "../nowhere.jsonl")
    assert "'../nowhere.jsonl' leads out of the spec's folder" in refused(tmp_path, spec)


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ("  help ", {"subject": "  help ", "body": None, "tier": "free"}),
        ({"subject": "help", "tier": "pro"}, {"subject": "help", "body": None, "tier": "pro"}),
        (Ticket(subject="help"), {"subject": "help", "body": None, "tier": "free"}),
    ],
)
def test_an_input_is_a_text_a_mapping_or_an_instance(x: Any, value: Any) -> None:
    assert in_python().encode(x) == value


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ({"subject": 3}, "row 7: subject: Input should be a valid string (found 3)"),
        ({"subject": "x", "colour": "red"}, "row 7: colour: Extra inputs are not permitted"),
        ({"body": "x"}, "row 7: subject: Field required"),
        (3, "row 7: expected the fields subject, body, tier, and found a int"),
        ({"subject": "\ud800"}, "row 7: holds half a character"),
    ],
)
def test_an_input_that_does_not_fit_names_its_row_and_its_field(x: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        in_python().encode(x, row="7")
    assert says in str(caught.value)


def test_an_input_that_json_cannot_hold_is_refused() -> None:
    class Loose(BaseModel):
        body: str
        meta: Any = None

    task, inside_itself = in_python(input=Loose), list[Any]()
    inside_itself.append(inside_itself)
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    for meta in (b"\xff", object(), inside_itself, deep):
        for x in ({"body": "x", "meta": meta}, Loose(body="x", meta=meta)):
            with pytest.raises(InputError, match="row 7: cannot be written as JSON: "):
                task.encode(x, row="7")
    assert task.encode({"body": "x", "meta": {"a": {1}}}) == {"body": "x", "meta": {"a": [1]}}


def test_a_bare_text_fills_no_form_of_several_fields() -> None:
    two = create_model("Two", a=(str, ...), b=(str, ...))
    with pytest.raises(InputError, match="expected the fields a, b, and found a str"):
        in_python(input=two).encode("x")


def test_a_task_of_one_text_takes_texts_only() -> None:
    task = Task(Triage, name="t")
    assert task.encode({"text": "hi"}) == "hi"
    with pytest.raises(InputError, match="decides one text, and was given nothing; or declare `input:`"):
        task.encode(None)
    with pytest.raises(InputError, match="half a character"):
        task.encode("\udfff")


def test_validation_is_strict_and_by_name() -> None:
    task = in_python()
    assert task.validate({"category": "login", "escalate": False}).escalate is False
    for wrong in (
        {"Category": "login", "escalate": False},
        {"category": "login", "escalate": "false"},
        {"category": "login", "escalate": False, "more": 1},
    ):
        with pytest.raises(ValidationError):
            task.validate(wrong)


class Free(BaseModel):
    note: str
    amount: float | None
    team: Literal["NaN", "Infinity", "b"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["note", "amount", "team"])
def test_a_number_that_json_does_not_have_fits_nowhere(name: str, number: float) -> None:
    task = Task(Free, name="t")
    fits = {"note": "NaN", "amount": 1.5, "team": "Infinity"}
    assert task.validate(fits) == Free(note="NaN", amount=1.5, team="Infinity")
    with pytest.raises(ValidationError) as caught:
        task.validate({**fits, name: number})
    assert [path_of(one) for one in caught.value.errors()] == [name]


class Both(BaseModel):
    team: Literal["a", "b"]
    level: int
    why: str

    @field_validator("team")
    @classmethod
    def not_b(cls, team: str) -> str:
        if team == "b":
            raise ValueError("that team is on leave")
        return team


class After(Both):
    @model_validator(mode="after")
    def rule(self) -> After:
        raise ValueError("never")


class Before(Both):
    @model_validator(mode="before")
    @classmethod
    def rule(cls, said: Any) -> Any:
        if not said["why"]:
            raise ValueError("no reason")
        return said


class Wrapped(Both):
    @model_validator(mode="wrap")
    @classmethod
    def rule(cls, said: Any, read: Any) -> Any:
        if said.get("why", None).startswith("x"):
            raise ValueError("no reason")
        return read(said)


class Summed(Both):
    @model_validator(mode="before")
    @classmethod
    def rule(cls, said: Any) -> Any:
        assert len(said.get("why")) + 1
        return said


def test_single_fields_are_judged_while_others_are_missing() -> None:
    for output in (Both, After):
        task: Task[Any] = Task(output, name="t")
        assert task.objections({"team": "a"}, task.fields[:1]) == []
        assert task.objections({"team": "a", "level": 3}, task.fields[:1]) == []
        (team,) = task.objections({"team": "b", "level": "x"}, task.fields[:1])
        assert (path_of(team), team["msg"]) == ("team", "Value error, that team is on leave")
        assert [path_of(one) for one in task.objections({"team": "z", "level": "x"}, task.fields)] == ["team", "level"]


def test_a_rule_of_the_whole_is_not_asked_about_a_part() -> None:
    whole = {"team": "a", "level": 3, "why": "so"}
    for output in (Both, After):
        task: Task[Any] = Task(output, name="t")
        assert task.objections(whole, task.fields) == []


@pytest.mark.parametrize("output", [Before, Wrapped, Summed])
def test_a_rule_that_reads_what_is_not_there_objects_to_nothing(output: type[BaseModel]) -> None:
    """It fails with a `KeyError`, an `AttributeError`, or a `TypeError`."""
    task: Task[Any] = Task(output, name="t")
    assert task.objections({"team": "a"}, task.fields[:1]) == []
    assert task.objections({"team": "b"}, task.fields[:1]) == []
    with pytest.raises((KeyError, AttributeError, TypeError)):
        task.validate({"team": "a"})


def test_a_mistake_inside_a_field_is_that_of_the_field() -> None:
    class Inner(BaseModel):
        price: float

    class Outer(BaseModel):
        item: list[Inner]
        items: Literal["a"] | Literal["b"]
        inner: Inner

    task = Task(Outer, name="t")
    with pytest.raises(ValidationError) as caught:
        task.validate({"item": [{"price": "x"}], "items": "c", "inner": {"price": "x"}})
    errors = caught.value.errors()
    assert [path_of(one, task.fields) for one in errors] == ["item", "items", "items", "inner.price"]
    assert path_of(errors[0]) == "item.price"
    found = task.objections({"item": [{"price": "x"}], "items": "c"}, task.fields[:2])
    assert len(found) == 3


def test_misuse_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="must be a Pydantic model"):
        Task(dict, name="t")  # type: ignore[type-var]  # the mistake that is tested


def test_inline_inputs_are_declared_like_fields(tmp_path: Path) -> None:
    task = Task(Triage, name="t", input={"subject": "text", "tier": {"options": ["free", "pro"]}})
    assert [(field.path, field.kind) for field in task.inputs] == [("subject", "text"), ("tier", "choice")]
    said = refused(tmp_path, "name: t\ninput: {tier: {options: [a, a]}}\nfields: {team: {options: [a, b]}}\n")
    assert "spec.yaml:2:" in said


def test_a_task_without_a_folder_takes_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shots.jsonl").write_text('{"input": "x", "output": {"category": "billing", "escalate": true}}')
    task = in_python(prompt={"model": "m", "examples": {"file": "shots.jsonl"}})
    assert len(task.examples) == 1
    assert task.resolve("/elsewhere") == Path("/elsewhere")
    inside = in_python(folder=tmp_path)
    assert inside.resolve("model") == tmp_path.resolve() / "model"
    with pytest.raises(SpecError, match="leads out of the spec's folder"):
        inside.resolve("/elsewhere")


def test_an_example_whose_input_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "shots.jsonl").write_text('{"input": " ", "output": {"category": "billing", "escalate": true}}')
    with pytest.raises(SpecError, match="shots.jsonl:1: the input is empty"):
        Task(Triage, name="t", folder=tmp_path, prompt={"examples": {"file": "shots.jsonl"}})


def test_a_scale_may_be_given_by_its_levels(tmp_path: Path) -> None:
    spec = "name: t\nfields: {level: {type: scale, options: {1: low, 2: high}}}\n"
    task: Task[Any] = Task.load(write(tmp_path, spec))
    assert task.fields[0].labels == (1, 2)
    assert [option.description for option in task.fields[0].options] == ["low", "high"]


TUNED = """\
name: t
fields: {team: {options: [a, b]}}
prompt: {model: m, price: {input: 1, output: 2.5}, context: 8000}
finetuned:
  engine: chat
  model: ft
  base_url: 'http://127.0.0.1:9/v1'
  api_key_env: OWN_KEY
  structure: json
  params: {temperature: 0}
  price: {input: 0.5, output: 2, cached: 0.1}
  context: 4000
  messages: {system: old.txt, user: json, answer: {label: team}}
"""


def tuned(folder: Path, spec: str = TUNED, system: str | bytes = "Sort.\n") -> Task[Any]:
    (folder / "old.txt").write_bytes(system if isinstance(system, bytes) else system.encode("utf-8-sig"))
    return Task.load(write(folder, spec))


def test_a_model_tuned_elsewhere_survives_saving(tmp_path: Path) -> None:
    task = tuned(tmp_path)
    task.save(tmp_path / "again.yaml")
    again: Task[Any] = Task.load(tmp_path / "again.yaml")
    assert again == task
    assert again.spec.finetuned == task.spec.finetuned
    assert again.spec.prompt == task.spec.prompt
    assert again.old_system == "Sort."
    assert again.spec.finetuned.messages is not None
    assert again.spec.finetuned.messages.label == "team"


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Sort.", "Sort."),
        ("Sort.\n", "Sort."),
        ("Sort.\n\n", "Sort.\n"),
        ("a\r\nb\r\n", "a\nb"),
        (" é ", " é "),
        ("", ""),
    ],
)
def test_the_old_system_message_is_the_text_of_its_file(tmp_path: Path, text: str, system: str) -> None:
    assert tuned(tmp_path, system=text).old_system == system
    assert in_python().old_system is None
    assert tuned(tmp_path, TUNED.replace("system: old.txt, ", "")).old_system is None


def test_an_old_system_message_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for spec, says in [
        (TUNED.replace("old.txt", "nowhere.txt"), "cannot read 'nowhere.txt': "),
        (TUNED.replace("old.txt", "."), "cannot read "),
        (TUNED.replace("old.txt", "../old.txt"), "'../old.txt' leads out of the spec's folder"),
    ]:
        said = refused(tmp_path, spec)
        assert said.startswith("FOLDER/spec.yaml:13:14: finetuned.messages.system: ")
        assert says in said
    with pytest.raises(SpecError, match="cannot read 'old.txt': 'utf-8' codec"):
        tuned(tmp_path, system=b"caf\xe9")


def test_what_a_tuned_model_is_asked_is_in_the_fingerprint(tmp_path: Path) -> None:
    before = tuned(tmp_path)
    stamp = before.stamp()
    assert tuned(tmp_path).prompt_fingerprint == before.prompt_fingerprint
    assert tuned(tmp_path, system="Sort them.").prompt_fingerprint != before.prompt_fingerprint
    assert before.stamp() != stamp
    other = tuned(tmp_path, TUNED.replace("user: json", "user: text"))
    assert other.prompt_fingerprint != before.prompt_fingerprint
    assert tuned(tmp_path, TUNED.replace("context: 4000", "context: 5000")) != before


def test_an_example_has_no_number_that_json_does_not_have(tmp_path: Path) -> None:
    for note in ("NaN", "1e999", "-Infinity"):
        (tmp_path / "shots.jsonl").write_text(
            f'{{"input": "x", "output": {{"note": {note}, "amount": 1, "team": "b"}}}}'
        )
        with pytest.raises(SpecError, match="shots.jsonl:1: note: Input should be a valid string"):
            Task(Free, name="t", folder=tmp_path, prompt={"examples": {"file": "shots.jsonl"}})
