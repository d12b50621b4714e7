"""What a change of the schema leaves behind in the log, the cache, the model and the examples."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from decider.data.dataset import Dataset
from decider.data.migrate.stale import Leftover, leftovers, load
from decider.errors import SpecError
from decider.learn.train import train
from decider.runtime.cache import Cache
from decider.runtime.log import Log
from decider.task import Task
from logged import PATHS, decision

SPEC = """\
name: triage
version: {version}
fields:
  priority: {{options: [low, high]}}
  routing.team: {{options: [{teams}]}}
  routing.tags: {{type: tags, options: [vip, late]}}
  rating: {{type: integer, optional: true}}
  summary: {{type: text}}
{more}"""
KEPT = "log: {folder: log}\ncache: {folder: cache}\n"


class Desk:
    """A spec whose schema has changed, and commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = folder / "spec.yaml"

    def task(self, *, teams: str = "billing, login, bug", version: int = 1, more: str = KEPT) -> Task[Any]:
        self.spec.write_text(SPEC.format(teams=teams, version=version, more=more))
        return Task.load(self.spec)

    def changed(self, **how: Any) -> Task[Any]:
        return self.task(**{"teams": "accounts, login, bug", **how})

    def leftovers(self, task: Task[Any], **how: Any) -> dict[str, Leftover]:
        found = leftovers(task, self.spec, Path("changes.yaml"), Path("new.jsonl"), **how)
        return {one.what: one for one in found}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_answers_to_the_old_prompt_are_counted_where_a_log_knows_them(desk: Desk) -> None:
    old = desk.task()
    decided = [decision(f"ticket {n}") for n in range(3)]
    cache = Cache(desk.folder / "cache", ttl=1000, size=1e6)
    for n, one in enumerate(decided):
        Log.of(old).append(one, old)
        if n:
            cache.put(one.steps[0].cache_key or "", "{}")
    cache.close()
    Log.of(old).append(decision(task="another"), old)
    found = desk.leftovers(desk.changed())
    assert set(found) == {"cache", "version"}
    assert found["cache"].message.startswith(f"2 answers in {desk.folder / 'cache'} are to prompts that the log has of")
    assert found["cache"].command == f"decider cache clear {desk.spec}"
    assert "the log has 3 decisions by another prompt, of version 1 as well: write version: 2  in" in (
        found["version"].message
    )
    assert set(desk.leftovers(desk.changed(version=2))) == {"cache"}
    assert desk.leftovers(old) == {}, "nothing has changed, so that the log has nothing of another prompt"


def test_keys_of_which_the_cache_has_none_are_not_told(desk: Desk) -> None:
    old = desk.task()
    Log.of(old).append(decision(), old)
    Log.of(old).append(decision(steps=()), old)
    assert "cache" not in desk.leftovers(desk.changed())
    Cache(desk.folder / "cache", ttl=1000, size=1e6).put("another", "{}")
    assert "cache" not in desk.leftovers(desk.changed())


def test_without_a_log_all_earlier_answers_are_stale(desk: Desk) -> None:
    task = desk.changed(more="cache: {folder: cache, ttl: 36h}\n")
    assert set(desk.leftovers(task)) == {"version"}, "there is no cache yet"
    (desk.folder / "cache").mkdir()
    found = desk.leftovers(task)
    assert "every answer in" in found["cache"].message
    assert "they go after 1.5 days" in found["cache"].message
    assert found["version"].message == "the spec says version 1: raise it, if the old schema had the same"
    assert found["version"].to_json() == {"what": "version", "message": found["version"].message, "command": None}


def test_a_model_of_the_old_schema_is_named_with_what_differs(desk: Desk) -> None:
    finetuned = "finetuned: {model: models/triage}\n"
    old = desk.task(more=finetuned)
    assert "model" not in desk.leftovers(old), "there is none yet"
    teams, priorities, tags = ("billing", "login", "bug"), ("low", "high"), ("vip", "late")
    rows = [
        {
            "input": f"{teams[n % 3]} {priorities[n % 2]} {n}",
            "output": {
                "priority": priorities[n % 2],
                "routing": {"team": teams[n % 3], "tags": [tags[n % 2]]},
                "rating": None,
                "summary": "x",
            },
        }
        for n in range(30)
    ]
    train(old, Dataset.of(rows, old), desk.folder / "models" / "triage")
    assert "model" not in desk.leftovers(old)
    found = desk.leftovers(desk.changed(more=finetuned))["model"]
    assert "routing.team was trained without ['accounts'] and with ['billing']" in found.message
    assert found.command == f"decider train {desk.spec} new.jsonl -o {desk.folder / 'models/triage'}"


def test_a_model_cannot_be_looked_at_without_numpy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "models").mkdir()
    monkeypatch.setitem(sys.modules, "decider.model.folder", None)
    monkeypatch.delattr("decider.model.folder", raising=False)
    found = desk.leftovers(desk.task(more="finetuned: {model: models}\n"))
    assert "cannot be looked at without numpy" in found["model"].message


def test_a_model_that_was_tuned_elsewhere_is_stale(desk: Desk) -> None:
    task = desk.task(more="finetuned: {engine: chat, model: ft:small}\n")
    found = desk.leftovers(task)["model"]
    assert (found.message.split(" was ")[0], found.command) == ("ft:small", None)


def test_examples_of_the_old_schema_can_be_migrated_although_the_spec_refuses_them(desk: Desk) -> None:
    file = desk.folder / "examples.jsonl"
    output = {"priority": "low", "routing": {"team": "billing", "tags": []}, "rating": 1, "summary": "x"}
    file.write_text(json.dumps({"input": "paid twice", "output": output}) + "\n")
    more = KEPT + "prompt: {model: m, examples: {file: examples.jsonl}}\n"
    old = desk.task(more=more)
    Log.of(old).append(decision(), old)
    with pytest.raises(SpecError):
        desk.changed(more=more)
    task, mistake = load(desk.spec)
    assert [field.path for field in task.fields] == list(PATHS)
    assert mistake is not None
    found = desk.leftovers(task, examples=mistake)
    assert "examples.jsonl:1: routing.team:" in found["examples"].message
    assert found["examples"].command == (
        f"decider data migrate {desk.spec} {file} changes.yaml -o {file.with_suffix('.new.jsonl')}"
    )
    assert "version" in found


def test_examples_that_are_not_there_have_no_command(desk: Desk) -> None:
    with pytest.raises(SpecError):
        desk.changed(more="prompt: {model: m, examples: {file: nowhere.jsonl}}\n")
    task, mistake = load(desk.spec)
    assert desk.leftovers(task, examples=mistake)["examples"].command is None


def test_a_spec_with_another_mistake_is_not_loaded(desk: Desk) -> None:
    desk.task()
    desk.spec.write_text(desk.spec.read_text() + "promt: {}\n")
    with pytest.raises(SpecError, match="promt"):
        load(desk.spec)
    assert load(desk.folder / "spec.yaml", set={"promt": None})[1] is None
