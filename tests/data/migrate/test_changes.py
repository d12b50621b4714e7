"""The file that says what changed in a schema, and every mistake in it with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decider.data.migrate.changes import EXAMPLE, KINDS, read
from decider.data.migrate.fates import Fates, fates_of, listed
from decider.errors import SpecError
from decider.task import Task

SPEC = """\
name: triage
input: {text: text, channel: {options: [mail, phone]}}
fields:
  team: {options: [payments, growth, other]}
  routing.level: {type: scale, options: [1, 2, 3]}
  urgent: {type: bool}
  tags: {type: tags, options: [vip, late]}
  mood: {options: [good, bad], optional: true}
  note: {type: text}
  stars: {type: integer, optional: true}
"""


def fates(tmp_path: Path, text: str) -> Fates:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "changes.yaml").write_text(text)
    return fates_of(*read(tmp_path / "changes.yaml"), Task.load(tmp_path / "spec.yaml"))


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(SpecError) as error:
        fates(tmp_path, text)
    return str(error.value).replace(f"{tmp_path}/", "")


def changes(*lines: str) -> str:
    return "changes:\n" + "".join(f"  - {line}\n" for line in lines)


def test_the_example_has_every_kind_of_change(tmp_path: Path) -> None:
    (tmp_path / "changes.yaml").write_text(EXAMPLE)
    found, _ = read(tmp_path / "changes.yaml")
    assert tuple(one.kind for one in found) == KINDS[: len(found)]
    assert len(found) == len(KINDS)


def test_every_change_is_named_in_words(tmp_path: Path) -> None:
    text = changes(
        "rename: {field: team, from: billing, to: payments}",
        "merge: {field: team, from: [sales, ads], to: growth}",
        "split: {field: team, from: desk, into: [growth, other]}",
        "retire: {field: team, label: fax, to: other}",
        "retire: {field: mood, label: so_so}",
        "retire: {field: mood, label: none, to: null}",
        "add: {field: urgent, value: false}",
        "add: {field: note}",
        "add: {field: tags, value: []}",
        "drop: {field: old}",
        "rename_field: {from: stern, to: stars}",
    )
    assert fates(tmp_path, text).said == (
        "team: billing → payments",
        "team: sales, ads → growth",
        "team: desk → growth or other",
        "team: fax → other",
        "mood: so_so → retired",
        "mood: none → null",
        "urgent: new, false",
        "note: new",
        "tags: new, none",
        "old: dropped",
        "stern is stars",
    )


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("urgent", "true", True),
        ("routing.level", "2", 2),
        ("tags", "[vip, late]", ["vip", "late"]),
        ("tags", "vip", ["vip"]),
        ("tags", "null", []),
        ("mood", "null", None),
        ("stars", "3", 3),
        ("stars", "null", None),
        ("note", "no", "no"),
    ],
)
def test_a_value_means_what_its_field_holds(tmp_path: Path, field: str, value: str, meant: Any) -> None:
    found = fates(tmp_path, changes(f"add: {{field: {field}, value: {value}}}"))
    added = found.added[field]
    assert (type(added.value), added.value, added.asked) == (type(meant), meant, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "changes.yaml: is empty; write, for example:\n\nchanges:"),
        ("# nothing\n", "changes.yaml: is empty; write"),
        ("- rename: {}\n", "changes.yaml: has its changes at the left margin, below no key; write"),
        ("changes: []\n", "changes.yaml:1:1: changes: expected a list of changes, found a list; write"),
        ("changes: x\n", "changes.yaml:1:1: changes: expected a list of changes, found 'x'; write"),
        ("moves: []\n", "changes.yaml:1:1: changes: is missing; write"),
        ("changes: !!set {}\n", "changes.yaml:1:10: `!!set` is a tag, which a spec may not have; remove it"),
        (changes("x"), "changes.yaml:2:5: changes[0]: expected a mapping, found 'x'"),
        (changes("rename: x"), "changes.yaml:2:5: changes[0].rename: expected a mapping, found 'x'"),
        (
            changes("renam: {field: team, from: a, to: b}"),
            "changes.yaml:2:5: changes[0].renam: unknown key; did you mean `rename`?",
        ),
        (
            changes("rename: {field: team, form: a, to: b}"),
            "changes.yaml:2:5: changes[0].rename.from: is missing; add `from: …`",
        ),
        (
            changes("rename: {field: team, from: a, to: payments, form: b}"),
            "changes.yaml:2:50: changes[0].rename.form: unknown key; did you mean `from`?",
        ),
        (
            changes("drop: {field: a, xyz: b}"),
            "changes.yaml:2:22: changes[0].drop.xyz: unknown key; allowed are field",
        ),
        (
            changes("drop: {field: a}\n    add: {field: b}"),
            f"changes.yaml:2:5: changes[0]: holds add and drop; a change is one of {', '.join(KINDS)}; begin each",
        ),
        (changes("{}"), "changes.yaml:2:5: changes[0]: says nothing; a change is one of"),
        (
            changes("rename: {field: team, from: [a], to: payments}"),
            "changes.yaml:2:27: changes[0].rename.from: expected one label, found a list; write it as the rows have it",
        ),
        (
            changes("merge: {field: team, from: a, to: payments}"),
            "changes.yaml:2:26: changes[0].merge.from: expected a list of labels, found 'a'; write [first, second]",
        ),
    ],
)
def test_what_is_no_file_of_changes_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert refused(tmp_path, text).startswith(said)


def test_a_file_that_is_not_there_is_told_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file; write, for example"):
        read(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "rename: {field: taem, from: a, to: other}",
            "2:14: changes[0].rename.field: the new schema has no field 'taem'; did you mean 'team'?",
        ),
        (
            "rename: {field: team, from: a, to: othr}",
            "2:36: changes[0].rename.to: the new schema has no label 'othr' in team; did you mean 'other'?",
        ),
        (
            "rename: {field: team, from: a, to: qq}",
            "2:36: changes[0].rename.to: the new schema has no label 'qq' in team; it has payments, growth, other",
        ),
        (
            "rename: {field: team, from: other, to: other}",
            "2:40: changes[0].rename.to: is the name that it has; remove the change",
        ),
        (
            "rename: {field: note, from: a, to: b}",
            "2:14: changes[0].rename.field: note has no labels: it is text; remove the change",
        ),
        (
            "split: {field: team, from: a, into: [other]}",
            "2:35: changes[0].split.into: is one label alone; write `rename`, or name a second label",
        ),
        (
            "split: {field: team, from: a, into: [growth, other], by: {chanel: {mail: other}}}",
            "2:63: changes[0].split.by.chanel: there is no field 'chanel'; did you mean 'channel'?",
        ),
        (
            "split: {field: team, from: a, into: [growth, other], by: {channel: {mail: payments}}}",
            "2:63: changes[0].split.by.channel: 'payments' is not one of `into`; add it to `into` of line 2",
        ),
        (
            "split: {field: team, from: a, into: [growth, other], by: {channel: {}, urgent: {}}}",
            "2:58: changes[0].split.by: names more than one field; write by: {FIELD: {VALUE: LABEL}}",
        ),
        (
            "add: {field: urgent, value: yes}",
            "2:26: changes[0].add.value: the new schema has no label 'yes' in urgent; it has false, true",
        ),
        (
            "add: {field: tags, value: [vip, vips]}",
            "2:24: changes[0].add.value: the new schema has no label 'vips' in tags; did you mean 'vip'?",
        ),
        ("add: {field: new}", "2:11: changes[0].add.field: the new schema has no field 'new'; it has team"),
        (
            "drop: {field: team}",
            "2:12: changes[0].drop.field: the new schema still has 'team'; remove it from the spec first",
        ),
        (
            "rename_field: {from: team, to: mood}",
            "2:20: changes[0].rename_field.from: the new schema still has 'team'; remove it from the spec first",
        ),
        (
            "rename_field: {from: old, to: new}",
            "2:31: changes[0].rename_field.to: the new schema has no field 'new'; it has team",
        ),
    ],
)
def test_a_change_that_the_new_schema_does_not_have_is_refused(tmp_path: Path, change: str, said: str) -> None:
    assert refused(tmp_path, changes(change)).startswith(f"changes.yaml:{said}")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            "rename: {field: team, from: a, to: growth}",
            "retire: {field: team, label: a}",
            "3:27: changes[1].retire.label: 'a' is changed on line 2 already; keep one of the changes: each is",
        ),
        (
            "rename: {field: team, from: a, to: b}",
            "rename: {field: team, from: b, to: growth}",
            "2:36: changes[0].rename.to: the new schema has no label 'b' in team; line 3 changes it again, and no",
        ),
        (
            "rename: {field: team, from: a, to: b}",
            "merge: {field: team, from: [b, c], to: growth}",
            "2:36: changes[0].rename.to: the new schema has no label 'b' in team; line 3 changes it again",
        ),
        (
            "add: {field: urgent}",
            "add: {field: urgent, value: true}",
            "3:11: changes[1].add.field: is added twice; keep one of the changes",
        ),
        (
            "add: {field: team}",
            "retire: {field: team, label: a}",
            "3:14: changes[1].retire.field: team is added on line 2, so that no row has a label of it; remove one",
        ),
        (
            "rename_field: {from: group, to: team}",
            "retire: {field: group, label: a}",
            "3:14: changes[1].retire.field: the new schema has no field 'group'; write its new name, team",
        ),
        (
            "rename_field: {from: a, to: team}",
            "rename_field: {from: b, to: team}",
            "3:29: changes[1].rename_field.to: two fields become this one; keep one, and drop the other",
        ),
        (
            "rename_field: {from: a, to: team}",
            "drop: {field: a}",
            "3:12: changes[1].drop.field: 'a' is changed on line 2 already; keep one of the changes",
        ),
    ],
)
def test_changes_that_cannot_both_be_are_refused(tmp_path: Path, first: str, second: str, said: str) -> None:
    assert refused(tmp_path, changes(first, second)).startswith(f"changes.yaml:{said}")


def test_all_mistakes_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    said = refused(tmp_path, changes("rename: {field: team, from: a, to: x}", "drop: {field: team}"))
    assert [line.split(":")[1] for line in said.splitlines()] == ["2", "3"]


def test_a_label_that_goes_and_is_still_there_is_warned_of(tmp_path: Path) -> None:
    found = fates(
        tmp_path,
        changes(
            "rename: {field: team, from: payments, to: other}",
            "merge: {field: team, from: [growth, ads], to: growth}",
            "split: {field: mood, from: bad, into: [bad, good]}",
        ),
    )
    (warning,) = found.warnings
    assert warning.endswith(
        "changes.yaml:2:27: changes[0].rename.from: the new schema still has the label 'payments'; "
        "every row that has it is changed all the same"
    )


def test_a_long_list_of_labels_is_cut() -> None:
    assert listed(range(20)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"
