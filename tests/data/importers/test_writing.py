"""Imports: sources of every kind as one dataset, with ids, sources, and whatever could not be a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from decider.data.dataset import Dataset
from decider.data.importers import FRAME, Import, Imported, Importer
from decider.data.logged import Logged
from decider.data.rows import Rejected
from decider.errors import DataError
from decider.runtime.log import Log
from decider.spec import Columns
from logged import decision
from logged import task as logged_task
from sources import task

TASK = task()


def row(text: str, team: str = "login", **about: Any) -> dict[str, Any]:
    return {"input": {"body": text}, "output": {"routing": {"team": team}, "vip": None}, **about}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows))
    return path


def written(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def run(out: Path, *sources: Any, said: list[str] | None = None, form: str | None = None, **how: Any) -> Imported:
    told = [] if said is None else said
    importer = Importer(TASK, form=form, told=told.append)
    return Import(**how).write(importer.read(*sources), out, told=told.append)


def test_sources_are_one_dataset_whose_rows_have_ids_and_say_where_they_come_from(tmp_path: Path, out: Path) -> None:
    first = lines(tmp_path / "a.jsonl", row("a", id="1", source="people"), row("b"))
    (tmp_path / "b.csv").write_text("body,routing.team,lang,vip,id\nc,billing,,true,2\n")
    done = run(out, first, str(tmp_path / "b.csv"), source="old")
    assert done.to_json() == {
        "out": str(out), "rows": 3, "rejected": 0, "reasons": {}, "rejects": None, "there": 0, "different": 0,
        "repeated": 0,
    }  # fmt: skip
    found = written(out)
    assert [(one["id"], one["source"]) for one in found] == [("1", "people"), (found[1]["id"], "old"), ("2", "old")]
    assert len(found[1]["id"]) == 16
    assert found[2]["output"] == {"routing": {"team": "billing"}, "vip": True}
    assert [one.id for one in Dataset.load(out, TASK)] == [one["id"] for one in found]


def test_importing_again_gives_the_same_bytes(tmp_path: Path, out: Path) -> None:
    source = lines(tmp_path / "a.jsonl", row("a"), row("a"), row("b"))
    run(out, source)
    before = out.read_bytes()
    run(out, out)
    assert out.read_bytes() == before
    run(out, source)
    assert out.read_bytes() == before


def test_ids_that_stand_in_several_sources_are_kept_apart_and_said(tmp_path: Path, out: Path) -> None:
    first = lines(tmp_path / "a.jsonl", row("a", id="1"), row("b", id="2"))
    second = lines(tmp_path / "b.jsonl", row("c", id="2"), row("d", id="1"))
    done = run(out, first, second)
    assert [one["id"] for one in written(out)] == ["1", "2", "2-2", "1-2"]
    assert (done.repeated, done.first) == (2, "2")


def test_bad_rows_are_named_counted_and_kept_and_the_others_written(tmp_path: Path, out: Path) -> None:
    said: list[str] = []
    source = lines(tmp_path / "a.jsonl", row("a"), row("b", "nobody"), "nope", [1], {"input": {"body": "c"}}, '{"inp')
    done = run(out, source, said=said)
    assert (done.rows, done.rejected) == (1, 5)
    assert done.reasons == {"row": 2, "unreadable": 2, "unknown-label (routing.team)": 1}
    assert done.rejects == tmp_path / "out.rejected.jsonl"
    assert [one["line"] for one in written(done.rejects)] == [2, 3, 4, 5, 6]
    assert said[0].startswith(f"{source}:2: routing.team: Input should be 'billing' or 'login'")


def test_rejected_rows_can_be_mended_where_they_are_kept_and_added(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("body,routing.team,lang,vip\na,login,,\nb,log in,,\n")
    done = run(out, tmp_path / "a.csv")
    assert done.rejects is not None
    done.rejects.write_text(done.rejects.read_text().replace("log in", "login"))
    again = run(out, done.rejects, append=True)
    assert (again.rows, again.rejected, again.rejects) == (1, 0, None)
    assert [one["input"]["body"] for one in written(out)] == ["a", "b"]
    assert not done.rejects.exists()


def test_adding_another_source_does_not_lose_what_was_rejected_before(tmp_path: Path, out: Path) -> None:
    run(out, lines(tmp_path / "a.jsonl", row("a"), row("b", team="no")))
    done = run(out, lines(tmp_path / "b.jsonl", row("c")), append=True)
    assert (done.rows, done.rejected) == (1, 0)
    assert done.rejects is not None
    assert [one["row"] for one in written(done.rejects)] == [row("b", team="no")]
    assert run(out, lines(tmp_path / "a.jsonl", row("a"), row("b")), append=True).rejects is None


def test_strict_names_all_and_writes_nothing(tmp_path: Path, out: Path) -> None:
    out.write_text("before")
    said: list[str] = []
    source = lines(tmp_path / "a.jsonl", row("a"), row("b", "nobody"), row("c", "nobody"))
    with pytest.raises(DataError, match=r"nothing was written, because of --strict: 2 of 3 rows do not fit: 2 unknown"):
        run(out, source, said=said, strict=True)
    assert len(said) == 2
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out.jsonl"]
    assert run(out, lines(source, row("a")), strict=True).rows == 1


def test_where_no_row_fits_what_was_there_stays(tmp_path: Path, out: Path) -> None:
    out.write_text("before")
    with pytest.raises(DataError, match=r"nothing was written: none of 1 rows fits: 1 unknown-label"):
        run(out, lines(tmp_path / "a.jsonl", row("b", "nobody")))
    with pytest.raises(DataError, match="nothing was written: there are no rows"):
        run(out, lines(tmp_path / "a.jsonl"))
    assert out.read_text() == "before"


def test_a_dataset_is_written_as_jsonl(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"name an OUT that ends in \.jsonl"):
        run(tmp_path / "out.csv", lines(tmp_path / "a.jsonl", row("a")))
    with pytest.raises(DataError, match="there is no folder"):
        run(tmp_path / "no" / "out.jsonl", lines(tmp_path / "a.jsonl", row("a")))


def test_rows_whose_ids_are_there_are_not_added_again(tmp_path: Path, out: Path) -> None:
    source = lines(tmp_path / "a.jsonl", row("a"), row("a"), row("b", id="2"))
    assert run(out, source, append=True).rows == 3
    lines(source, row("a"), row("a"), row("b", "billing", id="2"), row("c"))
    done = run(out, source, append=True)
    assert (done.rows, done.there, done.different) == (1, 3, 1)
    assert [one["input"]["body"] for one in written(out)] == ["a", "a", "b", "c"]
    assert run(out, source, append=True).rows == 0


def test_what_people_wrote_themselves_is_added_to_as_it_stands(tmp_path: Path, out: Path) -> None:
    by_hand = ' {"output": {"routing": {"team": "login"}, "vip": null}, "input": {"body": "a", "lang": null}}'
    out.write_text(f"{by_hand}\n\n{by_hand}")
    done = run(out, lines(tmp_path / "a.jsonl", row("a"), row("b")), append=True)
    assert (done.rows, done.there, done.different) == (1, 1, 0)
    assert out.read_text().startswith(f"{by_hand}\n{by_hand}\n{{")


@pytest.mark.parametrize(("text", "message"), [("{", "2: is not JSON, so that nothing"), ("[]", "2: is no row")])
def test_nothing_is_added_to_what_is_no_dataset(tmp_path: Path, out: Path, text: str, message: str) -> None:
    out.write_text(f"{json.dumps(row('x'))}\n{text}\n")
    with pytest.raises(DataError, match=message):
        run(out, lines(tmp_path / "a.jsonl", row("a")), append=True)


def test_a_source_that_cannot_be_read_to_its_end_gives_the_rows_before(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text('body,routing.team,lang,vip\na,login,,\n"b,log')
    done = run(out, tmp_path / "a.csv", lines(tmp_path / "b.jsonl", row("c")))
    assert (done.rows, done.rejected) == (2, 1)
    assert done.rejects is not None
    (kept,) = written(done.rejects)
    assert kept["line"] == 3
    assert kept["reason"].endswith("; nothing from here on was read")
    with pytest.raises(DataError, match="there is no such file"):
        run(out, tmp_path / "nowhere.csv")


def test_frames_and_logs_are_sources(tmp_path: Path) -> None:
    frame = pd.DataFrame({"body": ["a"], "routing.team": ["login"]})
    said: list[str] = []
    ((file, found),) = Importer(TASK, told=said.append).read(frame)
    assert file == FRAME
    assert not isinstance(found, Rejected)
    assert said == ["frame: no column 'lang', 'vip'; these fields are left empty"]
    one, log = logged_task(), Log(tmp_path / "log")
    log.append(decision("paid twice", id="d" * 32), one)
    ((file, found),) = Importer(one).read(Logged(log, one))
    assert (file, found.id) == (str(tmp_path / "log"), "d" * 32)


def test_what_is_read_in_a_form_of_its_own_is_said(tmp_path: Path, out: Path) -> None:
    answer = {"role": "assistant", "content": json.dumps(row("")["output"])}
    chat = {"messages": [{"role": "user", "content": "a"}, answer]}
    result = {"from_name": "routing.team", "type": "choices", "value": {"choices": ["login"]}}
    annotated = {"id": 4, "data": {"body": "b"}, "annotations": [{"result": [result]}]}
    said: list[str] = []
    paths = lines(tmp_path / "a.jsonl", chat, "x", [1], {"messages": []}), lines(tmp_path / "b.json", [annotated])
    done = run(out, *paths, said=said)
    assert (done.rows, done.reasons) == (2, {"unreadable": 1, "row": 2})
    assert said[0] == f"{paths[0]}: read as chat"
    assert f"{paths[1]}: read as label-studio" in said
    assert [one["input"]["body"] for one in written(out)] == ["a", "b"]


def test_a_form_can_be_forced(tmp_path: Path, out: Path) -> None:
    source = lines(tmp_path / "a.jsonl", row("a"))
    done = run(out, source, lines(tmp_path / "b.jsonl", row("b")), form="rows")
    assert done.rows == 2
    with pytest.raises(DataError, match="none of 1 rows fits: 1 row"):
        run(out, source, form="alpaca")
    with pytest.raises(ValueError, match="form must be one of jsonl, json"):
        Importer(TASK, form="xlsx")
    assert run(out, source, form="jsonl").rows == 1


def test_columns_that_are_guessed_are_said(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,login\n")
    said: list[str] = []
    run(out, tmp_path / "a.csv", said=said)
    again: list[str] = []
    run(out, tmp_path / "a.csv", tmp_path / "a.csv", said=again)
    assert again == said
    assert said == [
        f"{tmp_path / 'a.csv'}: columns body = text, routing.team = label",
        f"{tmp_path / 'a.csv'}: no column 'lang', 'vip'; these fields are left empty",
    ]


def test_columns_are_taken_in_the_place_of_the_names(tmp_path: Path) -> None:
    source = lines(tmp_path / "a.jsonl", {"message": "a", "queue": "login", "nr": 5})
    columns = Columns(input={"body": "message"}, output={"routing.team": "queue"}, id="nr")
    ((_, found),) = Importer(TASK, columns=columns).read(source)
    assert found.id == "5"
    assert not isinstance(found, Rejected)
    said = {"columns": {"input": "message", "output": {"routing.team": "queue"}}}
    ((_, found),) = Importer(task(data=said)).read(source)
    assert not isinstance(found, Rejected)


def test_progress_is_told_of_every_thousand_rows(tmp_path: Path, out: Path) -> None:
    told: list[int] = []
    source = lines(tmp_path / "a.jsonl", *(row(f"text {n}") for n in range(2500)))
    Import().write(Importer(TASK).read(source), out, progress=told.append)
    assert told == [1000, 2000]


def test_nobody_need_be_told(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,login\nb,nobody\n")
    assert Import().write(Importer(TASK).read(tmp_path / "a.csv"), out).rejected == 1


def test_a_table_without_its_columns_is_no_source(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.csv").write_text("subject,queue\na,login\n")
    said: list[str] = []
    with pytest.raises(DataError, match=r"a\.csv: has no column 'body', 'routing\.team'; it has subject, queue"):
        run(out, tmp_path / "a.csv", said=said)
    assert said == []


def test_a_line_in_another_encoding_is_rejected_alone(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "a.jsonl"
    first, last = json.dumps(row("a")).encode(), json.dumps(row("b")).encode()
    source.write_bytes(first + b'\n{"input": {"body": "caf\xe9"}}\n' + last + b"\n")
    said: list[str] = []
    done = run(out, source, said=said)
    assert (done.rows, done.reasons) == (2, {"unreadable": 1})
    assert "a.jsonl:2: is not UTF-8 (byte 24 of the line is 0xe9): it is perhaps CP1252; convert it:" in said[0]
    (kept,) = written(out.with_name("out.rejected.jsonl"))
    assert kept["row"] == '{"input": {"body": "caf\\xe9"}}'
