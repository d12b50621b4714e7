"""The grammar: what every key means and may be, and each mistake with its place and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decider.errors import SpecError
from decider.spec import Accept, Spec, check, from_keywords, parse

FIELDS = "name: t\nfields: {a: {options: [x, y]}}\n"

WHOLE = Path(__file__).with_name("whole.yaml").read_text(encoding="utf-8")


def spec_of(text: str) -> Spec:
    return check(parse(FIELDS + text))


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        check(parse(text, file="s.yaml"))
    return str(caught.value).splitlines()


def test_every_key_is_read() -> None:
    spec = check(parse(WHOLE))
    assert set(Spec.model_fields) == spec.model_fields_set
    assert spec.instructions == "Decide how the support desk handles this ticket.\n"
    assert spec.fields["category"].options == (("billing", "charges, invoices, refunds"), ("login", "cannot get in"))
    assert spec.prompt.params == {
        "reasoning_effort": "none", "temperature": 0, "top_p": 0.15, "stop": ["1", True], "user": None, "seed": "7",
        "n": "017",
    }  # fmt: skip
    assert spec.prompt.price is not None
    assert (spec.prompt.price.input, spec.prompt.price.output, spec.prompt.price.cached) == (0.1, 0.4, 0.05)
    assert spec.prompt.context == 128_000
    dumped = spec.model_dump(mode="json")
    assert dumped["finetuned"] == {
        "engine": "chat",
        "model": "ft:gpt-9",
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key_env": "OWN_KEY",
        "structure": "json",
        "params": {"temperature": 0, "stop": ["1"]},
        "price": {"input": 1.0, "output": 2.0, "cached": None},
        "context": 4096,
        "messages": {"system": "old_system.txt", "user": "text", "answer": {"label": "category"}},
    }
    sections = ("accept", "cascade", "retry", "budget", "cache", "log", "redact", "data")
    assert {key: dumped[key] for key in sections} == {
        "accept": {
            "target": 0.97, "level": 0.05, "per": "record",
            "critical": {"escalation": {"value": "true", "recall": 0.99}},
        },
        "cascade": ["finetuned", "prompt", "review"],
        "retry": {"attempts": 5, "deadline": "90s", "passes": 3},
        "budget": {
            "decision": {"usd": 0.01, "tokens": None, "calls": None},
            "run": {"usd": 5.0, "tokens": None, "calls": 10000},
        },
        "cache": {"folder": ".decider/cache", "ttl": "30d", "size": "1GB"},
        "log": {"folder": ".decider/log", "inputs": "text", "keep": "90d", "fsync": False},
        "redact": {
            "kinds": ["email", "phone", "iban"], "region": "DE", "patterns": {"ticket": "T-[0-9]+"},
            "function": "scrub.py:mask", "send": "redacted",
        },
        "data": {
            "columns": {"input": {"text": "body"}, "output": {"priority": "prio_true"}, "id": "ticket"},
            "group": "customer", "time": "opened_at",
        },
    }  # fmt: skip


def test_what_holds_without_a_key() -> None:
    spec = check(parse(FIELDS))
    assert spec.model_fields_set == {"name", "fields"}
    assert (spec.format, spec.version, spec.mode, spec.instructions) == (1, 1, "prompt", "")
    assert (spec.prompt.engine, spec.prompt.structure, spec.prompt.samples, spec.prompt.reask) == (
        "chat",
        "schema",
        1,
        1,
    )
    assert (spec.prompt.price, spec.prompt.context, spec.prompt.params) == (None, None, {})
    assert (spec.finetuned.engine, spec.finetuned.model, spec.finetuned.messages) == ("local", None, None)
    assert (spec.finetuned.structure, spec.finetuned.price, spec.finetuned.context) == ("schema", None, None)
    assert (spec.retry.attempts, spec.retry.deadline, spec.retry.passes) == (5, 60.0, 3)
    assert (spec.accept, spec.cascade, spec.budget, spec.cache, spec.log, spec.redact) == (None,) * 6
    assert (spec.data.columns.input, spec.data.columns.output, spec.data.group) == (None, {}, None)
    assert spec.retry.model_fields_set == set()


def test_a_section_that_is_set_knows_which_of_its_keys_are() -> None:
    spec = spec_of("retry: {passes: 3}\ncache: {}\n")
    assert spec.retry.model_fields_set == {"passes"}
    assert "cache" in spec.model_fields_set
    assert spec.cache is not None
    assert spec.cache.ttl == 30 * 86400


def test_a_spec_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        spec_of("").name = "other"


@pytest.mark.parametrize(
    ("typed", "seconds"), [("500ms", 0.5), ("60s", 60), ("1.5m", 90), ("5m", 300), ("2h", 7200), ("30d", 2_592_000)]
)
def test_durations_are_seconds(typed: str, seconds: float) -> None:
    assert spec_of(f"retry: {{deadline: {typed}}}").retry.deadline == seconds


@pytest.mark.parametrize(
    ("typed", "size"), [("512B", 512), ("10kB", 10_000), ("500MB", 5e8), ("1GB", 1e9), ("0.5TB", 5e11)]
)
def test_sizes_are_bytes(typed: str, size: float) -> None:
    cache = spec_of(f"cache: {{size: {typed}}}").cache
    assert cache is not None
    assert cache.size == size


@pytest.mark.parametrize(
    ("typed", "written"), [("1.5m", "90s"), ("0.5s", "500ms"), ("48h", "2d"), ("0.25ms", "0.25ms"), ("600s", "10m")]
)
def test_durations_are_written_as_they_are_typed(typed: str, written: str) -> None:
    spec = spec_of(f"retry: {{deadline: {typed}}}")
    assert spec.model_dump(mode="json")["retry"]["deadline"] == written
    assert spec_of(f"retry: {{deadline: {written}}}").retry == spec.retry


def test_a_dump_to_json_is_a_spec_again() -> None:
    more = "name: t\nfields: {a: {options: [x, y]}, b: {type: scale, min: 1, max: 5}}\naccept: {a: 0.5}\nlog: {}\n"
    for spec in (check(parse(WHOLE)), check(parse(more))):
        assert check(from_keywords(spec.model_dump(mode="json", exclude_unset=True))) == spec


@pytest.mark.parametrize("typed", ["3", '"3"', "+3"])
def test_a_whole_number_may_be_text(typed: str) -> None:
    assert spec_of(f"version: {typed}").version == 3


@pytest.mark.parametrize(("typed", "value"), [("true", True), ("True", True), ("'false'", False), ("FALSE", False)])
def test_true_and_false(typed: str, value: bool) -> None:
    log = spec_of(f"log: {{fsync: {typed}}}").log
    assert log is not None
    assert log.fsync is value


def test_options_stay_the_text_that_was_typed() -> None:
    field = check(parse("name: t\nfields: {a: {options: [yes, no, 1, 017, 1.10]}}")).fields["a"]
    assert field.options == (("yes", ""), ("no", ""), ("1", ""), ("017", ""), ("1.10", ""))
    assert field.kind == "choice"


def test_options_may_have_descriptions_or_not() -> None:
    fields = check(
        parse("name: t\nfields:\n  a: {options: {x: '', y, 'a:b': c}}\n  b:\n    options:\n      no: never\n")
    ).fields
    assert fields["a"].options == (("x", ""), ("y", ""), ("a:b", "c"))
    assert fields["b"].options == (("no", "never"),)


def test_a_field_may_be_its_type_alone() -> None:
    spec = spec_of(
        "input: {subject: text, tier: {options: [free, pro]}, seats: {type: integer, min: 1, optional: true}}"
    )
    assert isinstance(spec.input, dict)
    assert [field.kind for field in spec.input.values()] == ["text", "choice", "integer"]
    assert (spec.input["seats"].min, spec.input["seats"].max, spec.input["seats"].optional) == (1.0, None, True)


def test_a_field_that_only_describes_has_no_type() -> None:
    assert check(parse("name: t\nfields: {a: {description: what}}")).fields["a"].kind is None


def test_acceptance_has_two_forms() -> None:
    assert spec_of("accept: {a: 0.8, b: .5, level: 1}").accept == {"a": 0.8, "b": 0.5, "level": 1.0}
    target = spec_of("accept: {target: 0.9}").accept
    assert isinstance(target, Accept)
    assert (target.target, target.level, target.per, target.critical) == (0.9, 0.05, "record", {})
    critical = spec_of("accept: {critical: {a: {value: x, recall: 0.9}}}").accept
    assert isinstance(critical, Accept)
    assert critical.critical["a"].value == "x"


def test_a_tuned_model_is_asked_as_it_says_and_at_the_prompts_endpoint_if_no_other() -> None:
    prompt = "prompt: {model: m, base_url: 'http://h:1/v1', api_key_env: KEY, structure: json, params: {top_p: 1}}\n"
    for more, expected in [
        ("", ("http://h:1/v1", "KEY", "schema")),
        ("api_key_env: OWN, ", ("http://h:1/v1", "OWN", "schema")),
        ("base_url: 'http://h:2/v1', ", ("http://h:2/v1", None, "schema")),
        ("structure: md_json, ", ("http://h:1/v1", "KEY", "md_json")),
        ("messages: {answer: tool}, ", ("http://h:1/v1", "KEY", "tools")),
        ("base_url: 'http://h:2/v1', messages: {answer: tool}, ", ("http://h:2/v1", None, "tools")),
    ]:
        spec = spec_of(f"{prompt}finetuned: {{{more}engine: chat, model: ft, params: {{seed: 1}}}}")
        asked = spec.asked("finetuned")
        assert (asked.url, asked.key_variable, asked.structure) == expected
        assert (asked.model, asked.params) == ("ft", {"seed": 1})
        assert spec.asked("prompt") is spec.prompt


@pytest.mark.parametrize("answer", ["json", "tool"])
def test_a_model_tuned_elsewhere_may_answer_in_several_ways(answer: str) -> None:
    messages = spec_of(f"finetuned: {{engine: chat, messages: {{answer: {answer}}}}}").finetuned.messages
    assert messages is not None
    assert (messages.system, messages.user, messages.answer) == (None, "text", answer)


def test_the_one_text_may_have_a_column() -> None:
    assert spec_of("data: {columns: {input: body}}").data.columns.input == "body"


ALLOWED = (
    "allowed are format, name, version, output, input, instructions, fields, mode, prompt, finetuned, accept, cascade, "
    "retry, budget, cache, log, redact, data"
)
ENDPOINT = "is for a model behind an endpoint; write `engine: chat`, or remove it"
SECRET = "no secret stands in a spec; name its variable, `prompt.api_key_env: OPENAI_API_KEY`"
VARIABLE = "write its name, such as OPENAI_API_KEY; the key itself never stands in a spec"
URL = (
    "prompt.base_url: expected a URL without user or password, found something else; begin it with http:// or "
    "https://; a key belongs in the variable that `api_key_env` names"
)
TYPES = "expected a type (choice, bool, scale, tags, text, number, integer, date) or a mapping"

CASES = {
    # keys that are unknown
    "instrctions: x": "3:1: instrctions: unknown key; did you mean `instructions`?",
    "zzz: 1": f"3:1: zzz: unknown key; {ALLOWED}",
    "Mode: prompt": "3:1: Mode: unknown key; did you mean `mode`?",
    "Name: x": "3:1: Name: is the key `name` of line 1 again; keep `name`, and remove this one",
    "schema: os:system": "3:1: schema: unknown key; did you mean `output`?",
    "api_key: sk-123": f"3:1: api_key: unknown key; {SECRET}",
    "prompt: {key: sk-123}": f"3:10: prompt.key: unknown key; {SECRET}",
    "prompt: {url: x}": "3:10: prompt.url: unknown key; did you mean `base_url`?",
    "retry: {timeout: 3s}": "3:9: retry.timeout: unknown key; did you mean `deadline`?",
    "retry: {pauses: 3}": "3:9: retry.pauses: unknown key; did you mean `passes`?",
    "cache: {place: x}": "3:9: cache.place: unknown key; allowed are folder, ttl, size",
    "accept: {target: 0.9, a: 0.8}": (
        "3:23: accept.a: unknown key; thresholds and a target are two forms; beside a target are allowed target, "
        "level, per, critical"
    ),
    "finetuned: {engine: chat, messages: {answer: {label: a, labl: a}}}": (
        "3:57: finetuned.messages.answer.labl: unknown key; did you mean `label`?"
    ),
    # keys at the wrong place
    "engine: chat": "3:1: engine: unknown key; it belongs under `prompt` or under `finetuned`: check the indentation",
    "options: [a]": (
        "3:1: options: unknown key; it belongs under `input.NAME` or under `fields.NAME`: check the indentation"
    ),
    "prompt: {version: 3}": "3:10: prompt.version: unknown key; it belongs at the left margin: check the indentation",
    "input: {b: {type: text, mode: x}}": (
        "3:25: input.b.mode: unknown key; it belongs at the left margin: check the indentation"
    ),
    "input:\n  b: text\n  prompt:\n    model: x": (
        "6:5: input.prompt.model: unknown key; if this is the section `prompt`, indent it less"
    ),
    "input:\n  routing:\n    team:\n      options: [a, b]": (
        "5:5: input.routing.team: unknown key; write a nested field by its dotted name, `routing.team:`"
    ),
    # spaces and values that are missing
    "zzz:": f"3:1: zzz: unknown key; {ALLOWED}",
    "input: {b:text}": "3:9: input.b:text: the space after `:` is missing; write `b: text`",
    "retry: {attempts:3}": "3:9: retry.attempts:3: the space after `:` is missing; write `attempts: 3`",
    "input: {b: {options: {x:\"one\"}}}": (
        '3:23: input.b.options.x:"one": the space after `:` is missing; write `x: "one"`'
    ),
    "prompt: model:x": "3:1: prompt: expected a mapping, found 'model:x'; write a space after the `:`",
    "cache:": "3:1: cache: is empty; write a value, or remove the key",
    "cascade: [prompt, ~]": "3:19: cascade[1]: is empty; write a value, or remove the key",
    "instructions: ' '": "3:1: instructions: is empty; write a value, or remove the key",
    "prompt: {examples: {count: 2}}": "3:10: prompt.examples.file: is missing; add `file: …`",
    "accept: {critical: {a: {value: x}}}": "3:21: accept.critical.a.recall: is missing; add `recall: …`",
    # the wrong shape
    "prompt:\n- model: x": "3:1: prompt: expected a mapping, found a list; write `key: value` lines, without the `- `",
    "prompt: x": "3:1: prompt: expected a mapping, found 'x'; write its keys on indented lines below it",
    "cascade: prompt": "3:1: cascade: expected a list, found 'prompt'; write [prompt]",
    "cascade: {a: b}": "3:1: cascade: expected a list, found a mapping",
    "instructions: [a]": "3:1: instructions: expected text, found a list",
    "input: [a]": "3:1: input: expected FILE.py:CLASS, or a mapping of fields, found a list",
    "accept: 0.9": "3:1: accept: expected a mapping with `target`, or of field to threshold, found '0.9'",
    "data: {columns: {input: [a]}}": (
        "3:18: data.columns.input: expected a column, or a mapping of field to column, found a list"
    ),
    "prompt: {params: x}": "3:10: prompt.params: expected a mapping, found 'x'; write {name: value}",
    "finetuned: {engine: chat, messages: {answer: [a]}}": (
        "3:38: finetuned.messages.answer: expected json, tool or {label: FIELD}, found a list"
    ),
    # words
    "mode: finetune": (
        "3:1: mode: expected prompt, finetuned or cascade, found 'finetune'; did you mean `finetuned`?"
    ),
    "redact: {kinds: [email, ips]}": (
        "3:25: redact.kinds[1]: expected email, phone, card, iban or ip, found 'ips'; did you mean `ip`?"
    ),
    "redact: {kinds: []}": "3:10: redact.kinds: takes nothing out; write, for example, [email, phone]",
    "redact: {kinds: [email], region: US}": (
        "3:26: redact.region: is for phone numbers; add phone to kinds, or remove it"
    ),
    "redact: {region: us}": (
        "3:10: redact.region: expected a country as two capital letters, found 'us'; write US, DE or GB"
    ),
    "redact: {patterns: {order id: x}}": (
        "3:21: redact.patterns.order id: expected a name of letters, digits, - and _, found 'order id'; name it like "
        "`ticket`, which leaves [TICKET]"
    ),
    "redact: {function: 'os:system'}": (
        "3:10: redact.function: expected a function in a Python file beside the spec, found 'os:system'; write "
        "FILE.py:FUNCTION, such as `scrub.py:mask`"
    ),
    "prompt: {engine: [chat]}": "3:10: prompt.engine: expected chat or decisions, found a list",
    # numbers
    "version: 1.10": "3:1: version: expected a whole number, found '1.10'; write, for example, 1",
    "version: 017": "3:1: version: expected a whole number, found '017'; write, for example, 1",
    "version: -1": "3:1: version: must be at least 1, found -1",
    "retry: {attempts: -3}": "3:9: retry.attempts: must be from 1 to 100, found -3",
    "prompt: {samples: 1000}": "3:10: prompt.samples: must be from 1 to 100, found 1000",
    "accept: {target: 97%}": "3:10: accept.target: expected a number, found '97%'; write 0.97",
    "accept: {target: 1}": "3:10: accept.target: must be between 0 and 1, found 1",
    "accept: {a: 1.5}": "3:10: accept.a: must be from 0 to 1, found 1.5",
    "budget: {run: {usd: 0}}": "3:16: budget.run.usd: must be more than 0, found 0",
    "budget: {run: {usd: five}}": "3:16: budget.run.usd: expected a number, found 'five'; write a number",
    "budget: {run: {usd: 1e999}}": "3:16: budget.run.usd: expected a number, found inf; write a number",
    "prompt: {params: {a: [1e999]}}": "3:23: prompt.params.a[0]: the number 1e999 is too large",
    # durations, sizes, true and false
    "retry: {deadline: 60}": "3:9: retry.deadline: 60 has no unit; write 60s (units: ms, s, m, h, d)",
    "cache: {size: 10}": "3:9: cache.size: 10 has no unit; write 10GB (units: B, kB, MB, GB, TB)",
    "cache: {size: 1gb}": (
        "3:9: cache.size: expected a number and a unit, found '1gb'; write, for example, 1GB (units: B, kB, MB, GB, TB)"
    ),
    "cache: {ttl: 0d}": "3:9: cache.ttl: must be more than zero, found '0d'; write, for example, 60s",
    "cache: {ttl: [1d]}": (
        "3:9: cache.ttl: expected a number and a unit, found a list; write, for example, 60s (units: ms, s, m, h, d)"
    ),
    "log: {fsync: yes}": "3:7: log.fsync: expected true or false, found 'yes'; write true",
    "log: {fsync: 1}": "3:7: log.fsync: expected true or false, found '1'",
    "log: {fsync: {}}": "3:7: log.fsync: expected true or false, found a mapping",
    # names of classes, endpoints and variables; what may be a secret is not repeated
    "output: os:system": (
        "3:1: output: expected a class in a Python file beside the spec, found 'os:system'; write FILE.py:CLASS, such "
        "as `schema.py:Triage`"
    ),
    "prompt: {base_url: localhost}": f"3:10: {URL}",
    "prompt: {base_url: 'https://me:secret@host/v1'}": f"3:10: {URL}",
    "prompt: {api_key_env: sk-123}": (
        f"3:10: prompt.api_key_env: expected the name of an environment variable, found something else; {VARIABLE}"
    ),
    "redact: {patterns: {a: '('}}": (
        "3:21: redact.patterns.a: is not a regular expression: missing ), unterminated subpattern at position 0; see "
        "the syntax of Python's re module"
    ),
    # fields
    "input: {b: string}": f"3:9: input.b: {TYPES}, found 'string'; did you mean `text`?",
    "input: {b: what is asked}": (
        f"3:9: input.b: {TYPES}, found 'what is asked'; to describe the field, write {{description: …}}"
    ),
    "input: {b: {type: enum}}": (
        "3:13: input.b.type: expected choice, bool, scale, tags, text, number, integer or date, found 'enum'; "
        "did you mean `choice`?"
    ),
    "input: {b: {values: [x, y]}}": "3:13: input.b.values: unknown key; did you mean `options`?",
    "input: {b: choice}": (
        "3:9: input.b.type: a field of type choice needs options; write options: [first, second]"
    ),
    "input: {b: {options: x}}": "3:13: input.b.options: expected a list or a mapping, found 'x'; write [first, second]",
    "input: {b: {options: []}}": "3:13: input.b.options: is empty; write [first, second]",
    "input: {b: {options: ~}}": "3:13: input.b.options: is empty; write a value, or remove the key",
    "input: {b: {options: [x, null]}}": (
        "3:26: input.b.options[1]: expected one answer, found nothing; write `optional: true`"
    ),
    "input: {b: {options: [{x: y}]}}": (
        "3:23: input.b.options[0]: expected one answer, found a mapping; write the options as a mapping: "
        "{answer: description}"
    ),
    "input: {b: {options: {x: [y]}}}": "3:23: input.b.options.x: expected a description, found a list",
    "input: {b: {type: text, options: [x]}}": (
        "3:25: input.b.options: a field of type text has no options; write `type: choice`"
    ),
    "input: {b: {type: bool, min: 1}}": "3:25: input.b.min: a field of type bool has no min; remove it",
    "input: {b: {type: scale, options: [1, 2], max: 2}}": (
        "3:43: input.b.max: a field with options has no max; remove it"
    ),
    "input: {b: {type: scale, min: 5, max: 1}}": "3:26: input.b.min: is more than max, which is 1; exchange them",
    "input: {b: {type: integer, max: 0.5}}": "3:28: input.b.max: expected a whole number, found 0.5",
    "input: {b: {type: text, min: -1}}": "3:25: input.b.min: must be at least 0, found -1",
    # keys that need or exclude each other
    "finetuned: {messages: {user: json}}": f"3:13: finetuned.messages: {ENDPOINT}",
    "finetuned: {base_url: 'http://h/v1'}": f"3:13: finetuned.base_url: {ENDPOINT}",
    "finetuned: {model: x, api_key_env: KEY}": f"3:23: finetuned.api_key_env: {ENDPOINT}",
    "finetuned: {structure: json}": f"3:13: finetuned.structure: {ENDPOINT}",
    "finetuned: {engine: local, params: {a: 1}}": f"3:28: finetuned.params: {ENDPOINT}",
    "finetuned: {price: {input: 1, output: 2}}": f"3:13: finetuned.price: {ENDPOINT}",
    "finetuned: {context: 10}": f"3:13: finetuned.context: {ENDPOINT}",
    "finetuned: {messages: {}, structure: json, context: 1}": f"3:44: finetuned.context: {ENDPOINT}",
    "finetuned: {engine: decisions}": "3:13: finetuned.engine: expected local or chat, found 'decisions'",
    "finetuned: {engine: chat, samples: 3}": (
        "3:27: finetuned.samples: unknown key; it belongs under `prompt`: check the indentation"
    ),
    "finetuned: {engine: chat, key: sk-123}": f"3:27: finetuned.key: unknown key; {SECRET}",
    "finetuned: {engine: chat, structure: strict}": (
        "3:27: finetuned.structure: expected schema, tools, json or md_json, found 'strict'"
    ),
    "finetuned: {engine: chat, messages: {system: ''}}": (
        "3:38: finetuned.messages.system: is empty; write a value, or remove the key"
    ),
    "finetuned: {engine: chat, messages: {user: html}}": (
        "3:38: finetuned.messages.user: expected text or json, found 'html'"
    ),
    "context: 5": (
        "3:1: context: unknown key; it belongs under `prompt` or under `finetuned`: check the indentation"
    ),
    # what a model costs, and how much it takes in
    "prompt: {price: {input: 1}}": "3:10: prompt.price.output: is missing; add `output: …`",
    "prompt: {price: 3}": (
        "3:10: prompt.price: expected a mapping, found '3'; write its keys on indented lines below it"
    ),
    "prompt: {price: {input: -1, output: 0}}": "3:18: prompt.price.input: must be at least 0, found -1",
    "prompt: {price: {input: 1, output: 2, cached: free}}": (
        "3:39: prompt.price.cached: expected a number, found 'free'; write a number"
    ),
    "prompt: {context: 0}": "3:10: prompt.context: must be at least 1, found 0",
    "prompt: {context: 8k}": "3:10: prompt.context: expected a whole number, found '8k'; write, for example, 1",
    "mode: cascade": "3:1: mode: mode cascade has no steps; add `cascade: [finetuned, prompt]`",
    "cascade: []": "3:1: cascade: is empty; write, for example, [finetuned, prompt]",
    "cascade: [prompt, prompt]": "3:19: cascade[1]: prompt stands twice; keep one of them",
    "cascade: [review, prompt]": "3:11: cascade[0]: review must be the last step; move it to the end",
    "cascade: [review]": "3:1: cascade: review needs a step before it; write, for example, [finetuned, review]",
    "accept: {per: field}": (
        "3:1: accept: promises nothing; write `target: 0.97`, or thresholds such as {category: 0.8}"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), CASES.items())
def test_a_mistake_is_told_with_its_place_and_what_to_write(text: str, sentence: str) -> None:
    assert mistakes(FIELDS + text) == [f"s.yaml:{sentence}"]


def test_the_name_is_required_and_short() -> None:
    assert mistakes("mode: prompt") == ["s.yaml:1:1: name: is missing; add `name: …`"]
    assert mistakes("name: my task") == [
        "s.yaml:1:1: name: expected at most 64 letters, digits, - and _, found 'my task'; write it like `ticket-triage`"
    ]
    assert check(parse("name: 5")).name == "5"
    assert f"found '{'x' * 60}…'" in mistakes(f"name: {'x' * 65}")[0]


UPGRADE = "upgrade decider: pip install --upgrade decider-sdk"
WRITE = "write `format: 1`, or leave it out"


@pytest.mark.parametrize(
    ("typed", "remedy"), [("2", UPGRADE), ("9999999999999", UPGRADE), ("0", WRITE), ("x", WRITE), ("1.0", WRITE)]
)
def test_another_format_is_the_only_mistake_that_is_told(typed: str, remedy: str) -> None:
    assert mistakes(f"format: {typed}\nzzz: 1") == [
        f"s.yaml:1:1: format: this version of decider reads format 1, not {typed!r}; {remedy}"
    ]


def test_a_format_without_a_value_is_empty() -> None:
    assert mistakes("name: t\nformat:") == ["s.yaml:2:1: format: is empty; write a value, or remove the key"]


def test_all_mistakes_are_told_at_once_in_the_order_of_their_places() -> None:
    text = "name: t\nprompt:\nmodel: x\nretry: {attempts: 0, deadline: 5}\nversion: x\n"
    with pytest.raises(SpecError) as caught:
        check(parse(text, file="s.yaml"))
    error = caught.value
    assert (error.line, error.field, error.message) == (2, "prompt", "is empty")
    assert [(one.line, one.field) for one in error.also] == [
        (3, "model"), (4, "retry.attempts"), (4, "retry.deadline"), (5, "version"),
    ]  # fmt: skip
    assert len(str(error).splitlines()) == 5
    assert error.also[0].remedy == "it belongs under `prompt` or under `finetuned`: check the indentation"
    assert error.__cause__ is None
    assert error.__context__ is None


def test_mistakes_from_the_command_line_come_last() -> None:
    document = parse(FIELDS + "zzz: 1\n", file="s.yaml").with_set({"version": "x"})
    with pytest.raises(SpecError) as caught:
        check(document)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["s.yaml", "--set"]


def test_no_message_speaks_of_pydantic() -> None:
    for text in CASES:
        for sentence in mistakes(FIELDS + text):
            assert "pydantic" not in sentence.lower()
            assert "input_value" not in sentence
            assert "<" not in sentence


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"mode": 5}, "mode: expected prompt, finetuned or cascade, found 5"),
        ({"instructions": {"a", "b"}}, "instructions: expected text, found a value of type set"),
        ({"retry": {"deadline": 60}}, "retry.deadline: 60 has no unit; write 60s (units: ms, s, m, h, d)"),
        ({"retry": {"attempts": 2.0}}, "retry.attempts: expected a whole number, found 2.0; write, for example, 1"),
        (
            {"budget": {"run": {"usd": 10**400}}},
            f"budget.run.usd: expected a number, found 1{'0' * 59}…; write a number",
        ),
        ({"budget": {"run": {"usd": True}}}, "budget.run.usd: expected a number, found True; write a number"),
        ({"prompt": {"base_url": None}}, "prompt.base_url: is empty; write a value, or remove the key"),
        ({"prompt": {1: 2}}, "prompt[1]: expected text as a key, found 1"),
        ({"data": {"columns": {"output": {1: "a"}}}}, "data.columns.output[1]: expected text as a key, found 1"),
        ({"prompt": {"params": {1: 2}}}, "prompt.params: expected text as a key, found 1"),
        ({"prompt": {"params": {"a": [float("nan")]}}}, "prompt.params.a[0]: JSON has no number nan"),
        (
            {"prompt": {"params": {"a": {"b": b""}}}},
            "prompt.params.a.b: expected a JSON value, found a value of type bytes",
        ),
        ({"fields": {"a": {"options": [0.5]}}}, "fields.a.options[0]: expected one answer, found 0.5"),
        ({"Name": "x"}, "Name: unknown key; did you mean `name`?"),
    ],
)  # fmt: skip
def test_mistakes_in_python_keywords(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        check(from_keywords({"name": "t", **keywords}))
    assert str(caught.value) == sentence


def test_python_values_of_every_kind_are_taken() -> None:
    spec = check(
        from_keywords(
            {
                "name": "t",
                "version": 2,
                "log": {"fsync": True},
                "budget": {"run": {"usd": 5}},
                "accept": {"critical": {"a": {"value": True, "recall": 0.9}}},
                "prompt": {"params": {"n": 1, "stop": ["1"], "user": None, "logit_bias": {"5": 0.5}, "x": False}},
            }
        )
    )
    assert isinstance(spec.accept, Accept)
    assert spec.accept.critical["a"].value is True
    assert spec.prompt.params == {"n": 1, "stop": ["1"], "user": None, "logit_bias": {"5": 0.5}, "x": False}
    assert spec.budget is not None
    assert spec.budget.run is not None
    assert spec.budget.run.usd == 5.0


@pytest.mark.parametrize(
    "url", ["http://[::1/v1", "http://[v1]/v1", "http://127.0.0.1:abc/v1", "http://127.0.0.1:99999/v1"]
)
def test_a_url_that_cannot_be_asked_is_a_mistake(url: str) -> None:
    with pytest.raises(SpecError, match="prompt.base_url: is no URL that can be asked"):
        check(from_keywords({"name": "t", "prompt": {"base_url": url}}))
