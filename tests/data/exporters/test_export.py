"""Exports: which rows go where, that all files are there or none, and that each is what it says."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel

from decider.data.exporters.cards import Counts, card
from decider.data.exporters.export import Export, Exported
from decider.data.exporters.sheets import LabelSheet, TableSheet, Wrong
from decider.data.exporters.targets import TARGETS, Rules, Target, target_of
from decider.data.rows import read, to_row
from decider.data.shapes import CHAT
from decider.data.split import Split
from decider.data.tables import layout_of
from decider.decision import Example
from decider.errors import DataError, SpecError
from decider.task import Task


class Ticket(BaseModel):
    team: Literal["billing", "=login"]
    tags: list[Literal["a", "b"]]
    urgent: bool
    note: str | None


class Mail(BaseModel):
    subject: str | None
    body: str
    id: int = 0


def output(n: int = 0, **more: Any) -> dict[str, Any]:
    return {"team": "billing", "tags": ["a"] if n % 2 else [], "urgent": n % 3 == 0, "note": None, **more}


def rows_of(count: int = 12, **more: Any) -> list[dict[str, Any]]:
    return [{"input": f"text {n}", "output": output(n), "id": f"r{n}", **more} for n in range(count)]


@pytest.fixture
def task() -> Task[Any]:
    return Task(Ticket, name="t", instructions="Decide.", finetuned={"engine": "chat", "model": "ft"})


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


Write = Callable[..., Exported]


@pytest.fixture
def export(task: Task[Any], given: Callable[..., Path], tmp_path: Path) -> Write:
    """Writes rows for a target to a path below the test's own folder."""

    def write(rows: list[dict[str, Any]], name: str, out: str = "out", **more: Any) -> Exported:
        how = {"task": task, "data": given(rows), "target": target_of(name), **more}
        return Export(**how).write(tmp_path / out, today=date(2026, 11, 23))

    return write


def lines(path: Path) -> Iterator[Any]:
    yield from map(json.loads, path.read_text(encoding="utf-8-sig").splitlines())


def left(tmp_path: Path) -> list[str]:
    """What is in the folder, beside what the tests wrote there themselves."""
    return sorted(path.name for path in tmp_path.rglob("*") if path.name not in ("rows.jsonl", "shots.jsonl"))


# Sides.


SIDED = [*rows_of(10), *rows_of(2, split="val"), *rows_of(1, split="test"), *rows_of(3, split="excluded")]


def test_training_and_validation_rows_are_files_of_their_own(export: Write, tmp_path: Path) -> None:
    exported = export(SIDED, "openai")
    assert [(one.path.name, one.side, one.rows) for one in exported.files] == [
        ("train.jsonl", "train", 10),
        ("validation.jsonl", "validation", 2),
    ]
    assert left(tmp_path) == ["out", "train.jsonl", "validation.jsonl"]
    assert exported.notes[0] == "left out: 1 test, 3 excluded rows"
    said = exported.to_json()
    assert list(said) == ["target", "files", "notes", "next"]
    train = said["files"][0]
    assert train["bytes"] == (tmp_path / "out" / "train.jsonl").stat().st_size
    assert train["tokens"] > 100
    assert list(train) == ["path", "side", "rows", "bytes", "tokens"]


def test_one_file_takes_one_side(export: Write, tmp_path: Path) -> None:
    exported = export(SIDED, "openai", "one.jsonl")
    assert exported.files[0].path == tmp_path / "one.jsonl"
    assert exported.notes[0] == (
        "left out: 2 validation, 1 test, 3 excluded rows; with a folder as OUT there is a file of each side"
    )
    asked = export(SIDED, "openai", "test.jsonl", side="test", target=target_of("together"))
    assert (asked.files[0].side, asked.files[0].rows) == ("test", 1)


def test_a_table_takes_all_sides_and_says_which(export: Write, tmp_path: Path) -> None:
    exported = export(SIDED, "csv", "all.csv")
    assert [(one.side, one.rows, one.tokens) for one in exported.files] == [("all", 13, None)]
    with (tmp_path / "all.csv").open(newline="") as file:
        sides = [row["split"] for row in csv.DictReader(file)]
    assert sides == [""] * 10 + ["val"] * 2 + ["test"]
    assert [one.path.name for one in export(SIDED, "parquet").files] == [
        "train.parquet", "validation.parquet", "test.parquet",
    ]  # fmt: skip


def test_a_split_file_gives_the_sides(export: Write, tmp_path: Path) -> None:
    sides: dict[str, Any] = {f"r{n}": "test" if n > 7 else "train" for n in range(10)}
    split = Split(task="t", fingerprint="", shares={}, sides=sides)
    exported = export(rows_of(10), "jsonl", split=split)
    assert [(one.side, one.rows) for one in exported.files] == [("train", 8), ("test", 2)]
    assert [row["split"] for row in lines(tmp_path / "out" / "test.jsonl")] == ["test", "test"]
    with pytest.raises(DataError, match=r"row 'r10' is on no side of the split; give it one with: decider data split"):
        export(rows_of(11), "jsonl", split=split)


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([], {}, "rows.jsonl: holds no rows; a row is"),
        (rows_of(3, split="test"), {}, "rows.jsonl: has no train rows; it has 3 test rows"),
        (rows_of(3), {"side": "test"}, "rows.jsonl: has no test rows; it has 3 train rows"),
        (rows_of(3, split="new"), {}, "row 'r0' is on the side 'new'; sides are train, validation, test and excluded"),
        (
            [*rows_of(2), {"input": "x", "output": {}}, *rows_of(1), {"input": ""}, 3],
            {},
            "rows.jsonl:3: 3 of 6 rows do",
        ),
    ],
)
def test_what_cannot_be_exported_leaves_nothing_behind(
    export: Write, tmp_path: Path, rows: list[dict[str, Any]], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        export(rows, "together", **more)
    assert left(tmp_path) == []


def test_only_excluded_rows_are_no_rows(export: Write) -> None:
    with pytest.raises(DataError, match=r"has no rows; it has 2 excluded rows"):
        export(rows_of(2, split="excluded"), "jsonl")


# Rules of files.


@pytest.mark.parametrize(
    ("rules", "rows", "said"),
    [
        (Rules(least=10), SIDED[1:12], r"out/train.jsonl: has 9 rows, and 10 is the least"),
        (Rules(least=2), rows_of(1), r"has 1 row, and 2 is the least"),
        (Rules(most=9), SIDED, r"has 10 rows, and 9 is the most"),
        (Rules(most=10, most_validation=1), SIDED, r"out/validation.jsonl: has 2 rows, and 1 is the most"),
        (Rules(size=1_000_000, least=10), [*rows_of(9), {**SIDED[0], "input": "x" * 10**6}], "and 1 MB is the most"),
        (Rules(tokens=999), [*SIDED[:9], {**SIDED[10], "input": "x" * 9999}],
         r"validation.jsonl:1: is about 2,\d\d\d tokens long, and 999 is the most; .*; it is row 'r0' of .*rows.jsonl"),
        (Rules(reserved=("[EOS]",)), [*SIDED[:9], {**SIDED[9], "input": "x[EOS]"}],
         r"train.jsonl:10: holds '\[EOS\]', which is reserved there; .*; it is row 'r9' of"),
    ],
)  # fmt: skip
def test_each_rule_of_a_file_is_kept(
    export: Write, tmp_path: Path, rules: Rules, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        export(rows, "openai", target=Target(name="x", shape=CHAT, rules=rules, then=""))
    assert left(tmp_path) == []


def test_all_rows_that_break_a_rule_are_counted_and_the_first_are_named(export: Write) -> None:
    rows = [{**row, "input": "System: x"} if n % 2 else row for n, row in enumerate(rows_of(14))]
    with pytest.raises(DataError) as refused:
        export(rows, "bedrock-nova")
    first, second, *others = str(refused.value).split("\n")
    assert re.search(r"train.jsonl:2: 7 of its rows break a rule of bedrock-nova; they are of .*rows.jsonl$", first)
    assert (
        second
        == "  2: holds 'System:', which is reserved there; say it in other words, or leave the row out (row 'r1')"
    )
    assert len(others) == 4


def test_validation_rows_may_be_few_and_old_files_stay_where_an_export_fails(export: Write, tmp_path: Path) -> None:
    export(SIDED[:11], "openai")
    before = (tmp_path / "out" / "train.jsonl").read_bytes()
    with pytest.raises(DataError, match="has 9 rows, and 10 is the least"):
        export(SIDED[1:11], "openai")
    assert (tmp_path / "out" / "train.jsonl").read_bytes() == before
    assert left(tmp_path) == ["out", "train.jsonl", "validation.jsonl"]
    notes = export(SIDED[:10], "openai").notes
    assert f"{tmp_path / 'out' / 'validation.jsonl'} was there before, and is as it was" in notes


def test_what_openai_ends_is_said_as_of_the_day(given: Callable[..., Path], task: Task[Any], tmp_path: Path) -> None:
    work = Export(task=task, data=given(SIDED), target=target_of("openai"))
    soon = work.write(tmp_path / "out", today=date(2027, 1, 6)).notes
    assert any(
        "takes new fine-tuning jobs only from who has tuned before, and none after 2027-01-06" in one for one in soon
    )
    assert "models that were tuned from gpt-4o and gpt-4.1 stop answering on 2027-01-14" in soon
    late = work.write(tmp_path / "out", today=date(2027, 2, 1)).notes
    assert any("takes no new fine-tuning jobs since 2027-01-06" in one for one in late)
    assert "models that were tuned from gpt-4o and gpt-4.1 stopped answering on 2027-01-14" in late
    assert work.write(tmp_path / "out").files


def test_azure_wants_the_mark_of_utf_8(export: Write, tmp_path: Path) -> None:
    export(SIDED, "azure")
    assert (tmp_path / "out" / "train.jsonl").read_bytes().startswith(b"\xef\xbb\xbf{")
    assert len(list(lines(tmp_path / "out" / "train.jsonl"))) == 10


# What is said and asked.


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.shape is not None])
def test_every_target_of_messages_is_written(export: Write, name: str, tmp_path: Path) -> None:
    exported = export(SIDED, name)
    first = next(lines(exported.files[0].path))
    shape = TARGETS[name].shape
    assert shape is not None
    said = shape.read(first)
    assert said.turns == (("user", '"text 0"'),)
    assert said.answer == '{"team":"billing","tags":[],"urgent":true,"note":null}'
    assert "OUT" not in exported.then
    assert "FILE" not in exported.then
    assert not any("finetuned: {engine: chat" in note for note in exported.notes)


def test_llama_factory_is_told_of_the_files_beside_others(export: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    info = tmp_path / "out" / "dataset_info.json"
    info.write_text('{"mine": {"file_name": "mine.json"}}')
    exported = export(SIDED, "llama-factory")
    columns = {"messages": "conversations", "system": "system"}
    assert json.loads(info.read_text()) == {
        "mine": {"file_name": "mine.json"},
        "t_train": {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": columns},
        "t_validation": {"file_name": "validation.jsonl", "formatting": "sharegpt", "columns": columns},
    }
    export(SIDED, "llama-factory-alpaca", "alpaca")
    told = json.loads((tmp_path / "alpaca" / "dataset_info.json").read_text())["t_train"]
    assert told["columns"] == {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}
    assert exported.then == f"in its config  dataset_dir: {tmp_path / 'out'}  and  dataset: t_train"
    for wrong, said in (("{", "is not JSON"), ("[]", "is no JSON object")):
        info.write_text(wrong)
        with pytest.raises(DataError, match=rf"dataset_info.json: {said}"):
            export(SIDED, "llama-factory")
        assert info.read_text() == wrong


def test_llama_factory_is_told_of_no_column_that_no_row_has(export: Write, tmp_path: Path) -> None:
    """It fails for one; what some row has, as few-shot examples where the first row is the only one, it is told of."""

    def columns(out: str, name: str, task: Task[Any], **more: Any) -> set[str]:
        export(rows_of(4), name, out, task=task, **more)
        return set(json.loads((tmp_path / out / "dataset_info.json").read_text())["t_train"]["columns"])

    (tmp_path / "shots.jsonl").write_text(json.dumps({"input": "text 0", "output": output()}))
    prompt = {"model": "m", "examples": {"file": "shots.jsonl", "count": 1}}
    chat = {"engine": "chat", "model": "ft"}
    shown: Task[Any] = Task(Ticket, name="t", folder=tmp_path, prompt=prompt, finetuned=chat)
    bare: Task[Any] = Task(Ticket, name="t", finetuned={**chat, "messages": {"user": "text"}})
    plain = {"prompt", "query", "response"}
    assert columns("alpaca", "llama-factory-alpaca", shown) == {*plain, "system"}
    assert columns("history", "llama-factory-alpaca", shown, examples=True) == {*plain, "system", "history"}
    assert columns("bare", "llama-factory-alpaca", bare) == plain
    assert columns("sharegpt", "llama-factory", bare) == {"messages"}


def test_tool_calls_are_taught_where_they_can_be(export: Write, tmp_path: Path) -> None:
    calling: Task[Any] = Task(Ticket, name="t", finetuned={"engine": "chat", "model": "ft", "structure": "tools"})
    export(SIDED, "openai", task=calling)
    line = next(lines(tmp_path / "out" / "train.jsonl"))
    assert line["messages"][-1]["tool_calls"][0]["function"]["name"] == line["tools"][0]["function"]["name"]
    with pytest.raises(
        DataError, match=r"vertex: the model answers by calling a tool.*targets that can: openai, azure,"
    ):
        export(SIDED, "vertex", task=calling)


def test_few_shot_examples_are_those_of_the_prompt_mode_without_the_row_itself(export: Write, tmp_path: Path) -> None:
    shots = [{"input": f"text {n}", "output": output(n)} for n in range(3)]
    (tmp_path / "shots.jsonl").write_text("\n".join(map(json.dumps, shots)))
    examples = {"file": "shots.jsonl", "count": 3}
    shown: Task[Any] = Task(Ticket, name="t", folder=tmp_path, prompt={"model": "m", "examples": examples})
    exported = export(rows_of(4), "together", task=shown, examples=True)
    assert [len(line["messages"]) for line in lines(exported.files[0].path)] == [7, 7, 7, 9]
    for line in lines(exported.files[0].path):
        *before, asked, _ = [message["content"] for message in line["messages"]]
        assert asked not in before
    assert "the messages are those of the prompt mode: ask the tuned model as `prompt: {model: …}`" in exported.notes
    tuned = export(rows_of(4), "together", task=shown)
    assert {len(line["messages"]) for line in lines(tuned.files[0].path)} == {3}
    assert "the messages are those that  finetuned: {engine: chat, model: …}  asks the tuned model" in tuned.notes
    with pytest.raises(SpecError, match="names no examples to show"):
        export(rows_of(4), "together", examples=True)
    with pytest.raises(DataError, match="csv has no messages, and so no few-shot examples"):
        export(rows_of(4), "csv", task=shown, examples=True)


def shouted(text: str) -> str:
    if text == "fail":
        raise ValueError(text)
    return text


@pytest.mark.parametrize(("send", "seen"), [("redacted", "[email]"), ("original", "a@example.com")])
def test_texts_are_redacted_as_they_are_when_it_is_asked(export: Write, tmp_path: Path, send: str, seen: str) -> None:
    redacting: Task[Any] = Task(
        Ticket, name="t", redact={"kinds": ["email"], "send": send, "function": shouted},
        finetuned={"engine": "chat", "model": "ft"},
    )  # fmt: skip
    rows = [{"input": "write to a@example.com", "output": output(note="to a@example.com")}]
    exported = export(rows, "together", task=redacting)
    said = CHAT.read(next(lines(tmp_path / "out" / "train.jsonl")))
    assert seen.upper() in said.turns[0][1].upper()
    assert ("a@example.com" in said.answer) == (send == "original")
    assert ("texts are redacted, as the spec says" in exported.notes) == (send == "redacted")
    export(rows, "jsonl", "rows2.jsonl", task=redacting)  # nobody is asked: what the spec names is out
    assert "a@example.com" not in (tmp_path / "rows2.jsonl").read_text()
    with pytest.raises(DataError, match="row '1' cannot be redacted: .*failed"):
        export([{"input": "fail", "output": output()}], "jsonl", task=redacting)


def test_who_checked_a_row_and_its_group_are_no_way_round_redaction(export: Write, tmp_path: Path) -> None:
    redacting: Task[Any] = Task(Ticket, name="t", redact={"kinds": ["email"]})
    about = [
        {"by": "ana@x.io", "group": "c@x.io"},
        {"by": "ana", "group": "c@x.io"},
        {"group": "d@x.io"},
        {"group": "g"},
    ]
    rows = [{"input": "hi", "output": output(), **one} for one in about]
    exported = export(rows, "jsonl", "rows2.jsonl", task=redacting)
    assert "texts are redacted, as the spec says; the ids of rows are as they were" in exported.notes
    found = list(lines(tmp_path / "rows2.jsonl"))
    assert [one.get("by") for one in found] == ["[EMAIL]", "ana", None, None]
    first, second, third, fourth = (one["group"] for one in found)
    assert first == second != third
    assert re.fullmatch("[0-9a-f]{16}", third)
    assert fourth == "g"


# Where it is written.


@pytest.mark.parametrize(
    ("name", "out", "said"),
    [
        ("mlx", "out.jsonl", "out.jsonl: mlx is written to a folder$"),
        ("openai", "out.csv", r"out.csv: openai is written to a folder, or a file that ends in \.jsonl"),
        ("datasets", "no/out", "no/out: there is no folder .*; make it first"),
        ("openai", "no/out.jsonl", "there is no folder"),
        ("jsonl", "rows.jsonl", "rows.jsonl: would be written over by its own export; name another OUT"),
        ("trl", "there", "there: trl is written to a folder, or a file that ends in .jsonl"),
        ("jsonl", ".", None),
    ],
)
def test_out_is_a_folder_or_one_file(export: Write, tmp_path: Path, name: str, out: str, said: str | None) -> None:
    if said is None:
        assert export(rows_of(), name, out).files[0].path == tmp_path / "train.jsonl"
        return
    (tmp_path / "there").write_text("of somebody else")
    with pytest.raises(DataError, match=said):
        export(rows_of(), name, out)
    assert left(tmp_path) == ["there"]
    assert (tmp_path / "there").read_text() == "of somebody else"


def test_progress_is_told_while_rows_are_written_and_read_back(
    given: Callable[..., Path], task: Task[Any], tmp_path: Path
) -> None:
    told: list[int] = []
    Export(task=task, data=given(rows_of(1500)), target=target_of("jsonl")).write(
        tmp_path / "out", progress=told.append
    )
    assert told == [1000, 2000, 3000]


# Tables.


def examples_of(path: Path, task: Task[Any], **more: Any) -> list[dict[str, Any]]:
    found = list(read(path, task, **more))
    assert all(isinstance(one, Example) for one in found)
    return [to_row(one) for one in found if isinstance(one, Example)]


HARD = [
    {"input": "=SUM(A1)", "output": output(team="=login", note='"q", ,\n', tags=["a", "b"]), "id": "r1", "group": "g"},
    {"input": "'=x", "output": output(urgent=True, note="'"), "id": "r2", "time": "2026-01-02", "source": "s"},
    {"input": "caf\u00e9 \u2028 \U0001f600\r\n", "output": output(note="None"), "by": "ana", "at": "2026"},
]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_are_read_back_as_the_same_rows(export: Write, task: Task[Any], tmp_path: Path, ending: str) -> None:
    assert export(HARD, ending, f"all.{ending}").files[0].rows == 3
    assert examples_of(tmp_path / f"all.{ending}", task) == HARD
    if ending == "csv":
        assert "'=SUM(A1),'=login" in (tmp_path / "all.csv").read_text()


class Both(BaseModel):
    body: Literal["x", "y"]


CLASHING = [
    {"input": {"subject": "s", "body": "b", "id": 7}, "output": {"body": "x"}, "id": "r1", "group": "g"},
    {"input": {"subject": None, "body": "b", "id": 8}, "output": {"body": "y"}},
]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_of_the_same_name_stand_apart(export: Write, tmp_path: Path, ending: str) -> None:
    both: Task[Any] = Task(Both, name="t", input=Mail)
    exported = export(CLASHING, ending, f"all.{ending}", task=both)
    renamed = "columns called otherwise than their fields: input.id, output.body; decider data import reads them so"
    assert exported.notes == (renamed,)
    layout = layout_of(both, {"group"})
    assert [one.name for one in layout.columns] == ["subject", "body", "input.id", "output.body", "id", "group"]
    assert examples_of(tmp_path / f"all.{ending}", both, columns=layout.named) == CLASHING


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_a_row_says_of_itself_stands_beside_inputs_of_the_same_name(
    export: Write, tmp_path: Path, ending: str
) -> None:
    class Line(BaseModel):
        source: str
        by: str

    class Daytime(BaseModel):
        time: Literal["a", "b"]

    logs: Task[Any] = Task(Daytime, name="t", input=Line)
    about = {"id": "1", "source": "corrected", "by": "ana", "time": "2024"}
    row = {"input": {"source": "nginx", "by": "root"}, "output": {"time": "a"}, **about}
    exported = export([row], ending, task=logs)
    assert examples_of(exported.files[0].path, logs, columns=layout_of(logs, about).named) == [row]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_are_called_as_the_spec_says(export: Write, tmp_path: Path, ending: str) -> None:
    columns = {"input": {"id": "number"}, "output": {"body": "truth"}, "id": "ticket"}
    named: Task[Any] = Task(Both, name="t", input=Mail, data={"columns": columns, "group": "who", "time": "subject"})
    flat = [
        {"subject": "s", "body": "b", "number": 7, "truth": "x", "ticket": "r1", "who": "g"},
        {"subject": "s", "body": "b", "number": 8, "truth": "y"},
    ]
    assert export(flat, ending, f"all.{ending}", task=named).notes == ()
    assert [one.name for one in layout_of(named, ()).columns] == [
        "subject", "body", "number", "truth", "ticket", "who",
    ]  # fmt: skip
    rows = [
        {"input": {"subject": "s", "body": "b", "id": 7}, "output": {"body": "x"}, "id": "r1", "group": "g"},
        {"input": {"subject": "s", "body": "b", "id": 8}, "output": {"body": "y"}},
    ]
    assert examples_of(tmp_path / f"all.{ending}", named) == [{**row, "time": "s"} for row in rows]


def test_one_text_may_have_a_column_of_another_name(export: Write, tmp_path: Path) -> None:
    named: Task[Any] = Task(Both, name="t", data={"columns": {"input": "said"}})
    assert layout_of(named, ()).columns[0].name == "said"
    export([{"said": "x", "body": "x"}], "csv", "all.csv", task=named)
    assert examples_of(tmp_path / "all.csv", named) == [{"input": "x", "output": {"body": "x"}}]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_empty_texts_that_may_be_missing_are_told_of(export: Write, ending: str) -> None:
    rows = [{"input": "x", "output": output(note="")}, {"input": "x", "output": output()}]
    (note,) = export(rows, ending, f"all.{ending}").notes
    assert (
        note
        == "rows with an empty text that may be missing, which is then read as missing, because a table cannot tell: 1"
    )
    assert export(rows, "jsonl", "all.jsonl").notes == ()


class Open(BaseModel):
    odd: list[str] | None
    count: int


def test_what_a_column_cannot_hold_is_refused(export: Write, tmp_path: Path) -> None:
    odd: Task[Any] = Task(Open, name="t")
    row = {"input": "x", "output": {"odd": ["p"], "count": 2**63}}
    with pytest.raises(DataError, match=r"count of row r1 is 9223372036854775808, more than a Parquet column holds"):
        export([{**row, "id": "r1"}], "parquet", "all.parquet", task=odd)
    with pytest.raises(DataError, match=r"^count is 9223372036854775808, more than a Parquet column holds"):
        export([row], "parquet", "all.parquet", task=odd)
    assert left(tmp_path) == []
    export([row], "csv", "all.csv", task=odd)
    assert examples_of(tmp_path / "all.csv", odd) == [row]


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("x,nobody,[],true,,r1\n", "team: .*found 'nobody'"),
        ("x,billing,[],true,,r2\n", "would not be read back as it is; export it as jsonl"),
    ],
)
def test_a_table_is_compared_with_the_rows_it_is_of(task: Task[Any], tmp_path: Path, instead: str, said: str) -> None:
    example = Example(input="x", output=output(), id="r1")
    with (tmp_path / "a").open("wb") as file:
        sheet = TableSheet(file, task, layout_of(task, ()), "csv")
        sheet.write(example)
        assert sheet.finish() == (tmp_path / "a").stat().st_size
    assert list(sheet.read(tmp_path / "a")) == [0]
    (tmp_path / "a").write_text(f"text,team,tags,urgent,note,id\n{instead}")
    (wrong,) = sheet.read(tmp_path / "a")
    assert isinstance(wrong, Wrong)
    assert wrong.place == 1
    assert re.match(said, wrong.message)


# One label, as SetFit takes it.


class Two(BaseModel):
    team: Literal["billing", "login"]
    level: Literal[1, 2]
    tags: list[Literal["a", "b"]]


def labelled(text: str, level: int) -> dict[str, Any]:
    return {"input": text, "output": {"team": "login", "level": level, "tags": []}}


def test_setfit_gets_a_text_and_the_label_of_one_field(export: Write, tmp_path: Path) -> None:
    two: Task[Any] = Task(Two, name="t")
    with pytest.raises(DataError, match="setfit: choose the field that it learns, with --field: team, level$"):
        export([labelled("x", 1)], "setfit", task=two)
    with pytest.raises(DataError, match="setfit: 'tags' is no field of one label, with --field: team, level$"):
        export([labelled("x", 1)], "setfit", task=two, label="tags")
    with pytest.raises(DataError, match="csv is of all fields; leave --field out"):
        export([labelled("x", 1)], "csv", task=two, label="team")
    exported = export([labelled("=x", 1), labelled("y", 2)], "setfit", task=two, label="level")
    assert (tmp_path / "out" / "train.csv").read_bytes() == b"text,label\r\n'=x,1\r\ny,2\r\n"
    assert exported.notes[0].startswith("rows whose text or label begins like a formula, so that a ' stands before it")
    assert exported.notes[0].endswith(": 1")
    marked = [{"input": "x", "output": output(team="=login")}, {"input": "y", "output": output()}]
    assert export(marked, "setfit", label="team").notes[0].endswith(": 1")
    export(CLASHING, "setfit", task=Task(Both, name="t", input=Mail))
    assert (tmp_path / "out" / "train.csv").read_bytes() == b"text,label\r\nb,x\r\nb,y\r\n"
    with pytest.raises(DataError, match="with --field: there is none of one label"):
        export([{"input": "x", "output": {"odd": None, "count": 1}}], "setfit", task=Task(Open, name="t"))


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("text,label\n ,x\n", "has no text, or no label of body"),
        ("text,label\nt,z\n", "has no text, or no label of body"),
        ("text,label\nt\n", "has more or fewer cells"),
    ],
)
def test_each_row_of_setfit_has_a_text_and_a_label(tmp_path: Path, instead: str, said: str) -> None:
    both: Task[Any] = Task(Both, name="t")
    with (tmp_path / "a").open("wb") as file:
        sheet = LabelSheet(file, both, both.fields[0])
    (tmp_path / "a").write_text(instead)
    (wrong,) = sheet.read(tmp_path / "a")
    assert isinstance(wrong, Wrong)
    assert wrong.message.startswith(said)


# A folder with a card.


def test_a_datasets_folder_has_a_card(export: Write, tmp_path: Path) -> None:
    described: Task[Any] = Task(
        Ticket,
        name="tickets",
        instructions="Decide\n- who | helps & <when>",
        fields={"team": {"description": "who helps", "options": {"billing": "a | b"}}},
        redact={"kinds": ["email"]},
    )
    exported = export(SIDED, "datasets", task=described)
    assert [one.path.relative_to(tmp_path / "out").as_posix() for one in exported.files] == [
        f"data/{side}-00000-of-00001.parquet" for side in ("train", "validation", "test")
    ]
    assert pq.read_table(exported.files[0].path).column_names == [
        "text", "team", "tags", "urgent", "note", "id", "split",
    ]  # fmt: skip
    readme = (tmp_path / "out" / "README.md").read_text()
    _, head, body = readme.split("---\n", 2)
    sides = ["train", "validation", "test"]
    assert yaml.safe_load(head) == {
        "configs": [
            {"config_name": "default", "data_files": [{"split": one, "path": f"data/{one}-*"} for one in sides]}
        ],
        "task_categories": ["text-classification"],
    }
    assert "# tickets\n\nDecide - who | helps &amp; &lt;when>" in body
    assert "| train | 10 |" in body
    assert "| tags | list of string |" in body
    assert "## Labels of team\n\nwho helps\n\n| label | meaning | train | validation | test |" in body
    assert "| billing | a \\| b | 10 | 2 | 1 |\n| =login |  | 0 | 0 | 0 |" in body
    assert "| a |  | 5 | 1 | 0 |" in body
    assert "| false |  | 6 | 1 | 0 |" in body
    assert "- exported by decider from rows.jsonl\n- texts are redacted, as the spec says" in body
    assert "Write `license:` into the head" in body
    (tmp_path / "out" / "README.md").write_text("mine")
    again = export(rows_of(3), "datasets", task=described)
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
    assert (
        f"{tmp_path / 'out' / 'README.md'} was there before, and is as it was; delete it to have it written anew"
        in again.notes
    )


def test_a_label_that_may_be_missing_is_counted_as_null() -> None:
    class Maybe(BaseModel):
        team: Literal["a", "b"] | None

    maybe: Task[Any] = Task(Maybe, name="t")
    counts = Counts(maybe.fields)
    counts.add("train", Example(input="x", output={"team": None}))
    assert "| null |  | 1 |" in card(maybe, {"train": 1}, counts, (), ())


def test_a_failed_export_takes_the_folders_that_it_made_with_it(export: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        export([], "datasets")
    assert left(tmp_path) == []


# The table of targets.


def test_targets_are_known_by_name() -> None:
    assert target_of("OpenAI") is TARGETS["openai"]
    with pytest.raises(DataError, match=r"there is no target 'opnai'; did you mean openai\? targets: openai, azure"):
        target_of("opnai")
    with pytest.raises(DataError, match="there is no target 'xyz'; targets: openai"):
        target_of("xyz")


def test_the_table_says_shape_files_and_rules() -> None:
    assert TARGETS["vertex"].to_json() == {
        "target": "vertex",
        "shape": "vertex",
        "files": ["train.jsonl", "validation.jsonl"],
        "rules": "at most 1,000,000 rows, at most 5,000 validation rows, at most 1 GB a file, "
        "at most 131,072 tokens a row",
        "next": TARGETS["vertex"].then,
    }
    assert TARGETS["bedrock-nova"].rules.said() == "without User: Bot: Assistant: System: <image> <video> [EOS]"
    assert TARGETS["openai"].rules.said().startswith("at least 10 rows, at most 512 MB a file")
    assert [TARGETS[name].kept for name in ("setfit", "csv", "parquet", "jsonl", "datasets")] == [
        "CSV text,label", "CSV", "Parquet", "dataset rows", "Parquet and a card",
    ]  # fmt: skip
