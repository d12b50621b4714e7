"""Folders of datasets: as `save_to_disk` writes them, as the hub holds them, and what none may do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from decider.data.files import FileRow
from decider.data.importers.folders import arrow_rows, declared, named, parts
from decider.errors import DataError

LABEL = {"names": ["billing", "login"], "_type": "ClassLabel"}


def table(rows: list[dict[str, Any]], features: Any = None) -> pa.Table:
    found = pa.Table.from_pylist(rows)
    if features is None:
        return found
    return found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def save(folder: Path, rows: list[dict[str, Any]], split: str | None = None, **state: Any) -> None:
    """What `Dataset.save_to_disk` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file:
        found = table(rows, {"team": LABEL})
        with pa.ipc.new_stream(file, found.schema) as stream:
            stream.write_table(found)
    files = [{"filename": "data-00000-of-00001.arrow"}]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": split, **state}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"team": LABEL}}))


def hub(folder: Path, *files: str, card: str | None = None) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    if card is not None:
        (folder / "README.md").write_text(f"---\n{card}\n---\n# A dataset\n")
    return folder


def found(folder: Path) -> list[tuple[str, str | None]]:
    return [(part.path.relative_to(folder).as_posix(), part.split) for part in parts(folder)]


def names(feature: Any, *values: Any) -> list[Any]:
    rows = (FileRow(n, n, {"x": value}) for n, value in enumerate(values))
    return [row.value["x"] for row in named(rows, {"x": feature})]


def test_a_saved_dataset_has_its_files_and_features_in_its_state(tmp_path: Path) -> None:
    save(tmp_path, [{"body": "a", "team": 1}], split="train")
    (part,) = parts(tmp_path)
    assert (part.path.name, part.split, part.features) == ("data-00000-of-00001.arrow", "train", {"team": LABEL})
    assert [row.value for row in named(arrow_rows(part.path), declared(part.path, parquet=False))] == [
        {"body": "a", "team": "login"}
    ]


def test_saved_splits_are_each_a_folder(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "dev", "extra"]}')
    for name in ("train", "dev", "extra"):
        save(tmp_path / name, [{"body": name}])
    assert [(part.path.parent.name, part.split) for part in parts(tmp_path)] == [
        ("train", "train"), ("dev", "validation"), ("extra", "extra"),
    ]  # fmt: skip
    (tmp_path / "dataset_dict.json").write_text("[]")
    assert parts(tmp_path) == []


def test_a_saved_selection_of_rows_is_not_read_as_all_of_them(tmp_path: Path) -> None:
    save(tmp_path, [{"body": "a"}], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(DataError, match="a selection of its rows.*save it again"):
        parts(tmp_path)


def test_arrow_is_read_in_pieces_in_both_formats(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    rows = table([{"n": n} for n in range(2500)], {"team": LABEL})
    for write in (pa.ipc.new_file, pa.ipc.new_stream):
        with pa.OSFile(str(path), "wb") as file, write(file, rows.schema) as writer:
            writer.write_table(rows)
        assert declared(path, parquet=False) == {"team": LABEL}
        assert [(row.n, row.value["n"]) for row in arrow_rows(path)] == [(n + 1, n) for n in range(2500)]


def test_arrow_that_ends_too_early_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, pa.schema([("n", pa.int64())])) as writer:
        for n in range(3):
            writer.write_table(table([{"n": n}] * 100))
    path.write_bytes(path.read_bytes()[:-500])
    rows = arrow_rows(path)
    assert next(rows).value == {"n": 0}
    with pytest.raises(DataError, match="is not Arrow, or not all of it") as caught:
        list(rows)
    assert caught.value.row == 201


def test_arrow_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["n", "n"])
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, twice.schema) as stream:
        stream.write_table(twice)
    with pytest.raises(DataError, match="a.arrow: has two columns 'n'; rename one"):
        list(arrow_rows(tmp_path / "a.arrow"))


def test_a_card_says_which_files_are_which_split(tmp_path: Path) -> None:
    files = "data/a-1.parquet", "data/a-2.parquet", "data/b.parquet", "other.parquet"
    card = "configs:\n- data_files:\n  - {split: train, path: data/a-*}\n  - {split: dev, path: [data/b.parquet]}"
    hub(tmp_path, *files, card=card)
    assert found(tmp_path) == [
        ("data/a-1.parquet", "train"), ("data/a-2.parquet", "train"), ("data/b.parquet", "validation"),
    ]  # fmt: skip
    hub(tmp_path, card="configs: [{data_files: other.parquet}]")
    assert found(tmp_path) == [("other.parquet", None)]
    hub(tmp_path, card="configs: [{data_files: [other.parquet, {path: data/b.parquet}]}]")
    assert found(tmp_path) == [("other.parquet", None), ("data/b.parquet", None)]


def test_the_default_of_several_datasets_is_meant_or_none(tmp_path: Path) -> None:
    hub(tmp_path, "a.csv", "b.csv")
    one, two = "{config_name: one, data_files: a.csv}", "{config_name: two, data_files: b.csv"
    for default in (f"{two}, default: true}}", "{config_name: default, data_files: b.csv}"):
        hub(tmp_path, card=f"configs: [{one}, {default}]")
        assert found(tmp_path) == [("b.csv", None)]
    hub(tmp_path, card=f"configs: [{one}, {two}}}]")
    with pytest.raises(DataError, match="holds several datasets: one, two; name the files of one"):
        parts(tmp_path)


def test_without_a_card_the_names_of_files_and_folders_say_it(tmp_path: Path) -> None:
    files = "data/train-00000-of-00001.parquet", "data/validation.parquet", "testing/x.parquet", "more.parquet"
    hub(
        tmp_path,
        *files,
        ".cache/train.parquet",
        "train.rejected.jsonl",
        "dataset_infos.json",
        "notes.txt",
        card="license: mit",
    )
    assert found(tmp_path) == [
        ("data/train-00000-of-00001.parquet", "train"), ("data/validation.parquet", "validation"),
        ("testing/x.parquet", "test"),
    ]  # fmt: skip


def test_files_that_name_no_split_are_all_of_it(tmp_path: Path) -> None:
    hub(tmp_path, "rows.jsonl", "more/rows.jsonl")
    assert found(tmp_path) == [("more/rows.jsonl", None), ("rows.jsonl", None)]


def test_a_folder_without_data_or_with_the_same_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no data; a dataset folder holds"):
        parts(hub(tmp_path, "notes.txt"))
    with pytest.raises(DataError, match=r"several formats, \.csv, \.parquet; name those to read"):
        parts(hub(tmp_path, "a.csv", "a.parquet"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.csv", "a/../../x.csv", "https://x.y/a.csv", "..\\x.csv"])
def test_no_folder_leads_out_of_itself(tmp_path: Path, name: str) -> None:
    hub(tmp_path, "a.csv", card=f"configs: [{{data_files: '{name}'}}]")
    with pytest.raises(DataError, match="outside of the folder"):
        parts(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match="outside of the folder"):
        parts(tmp_path)


def test_what_a_card_names_must_be_there(tmp_path: Path) -> None:
    hub(tmp_path, "a.csv", card="configs: [{data_files: data/train-*}]")
    with pytest.raises(DataError, match="files that are not there: 'data/train-\\*'; is the download complete"):
        parts(tmp_path)


@pytest.mark.parametrize("head", ["a: [", "a: b: c"])
def test_a_card_that_is_no_yaml_is_named(tmp_path: Path, head: str) -> None:
    with pytest.raises(DataError, match=r"README\.md: its head is not YAML"):
        parts(hub(tmp_path, "a.csv", card=head))


def test_a_card_without_a_head_says_nothing(tmp_path: Path) -> None:
    hub(tmp_path, "a.csv")
    for text in ("# only words", "---\n- a\n---\n"):
        (tmp_path / "README.md").write_text(text)
        assert found(tmp_path) == [("a.csv", None)]


def test_a_state_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: is not JSON"):
        parts(tmp_path)


CARD = """\
dataset_info:
  features:
  - {name: body, dtype: string}
  - name: team
    dtype: {class_label: {names: {'1': login, '0': billing, '10': other}}}
  - name: tags
    sequence: {class_label: {names: {'0': late}}}
  - {name: words, list: string}
"""


def test_a_card_declares_the_names_of_labels(tmp_path: Path) -> None:
    (part,) = parts(hub(tmp_path, "a.csv", card=CARD))
    rows = [FileRow(1, 1, {"body": "0", "team": 2, "tags": [0], "words": ["x"], "more": 1})]
    assert [row.value for row in named(rows, part.features)] == [
        {"body": "0", "team": "other", "tags": ["late"], "words": ["x"], "more": 1}
    ]
    hub(tmp_path, card="dataset_info: [{features: [{name: team, dtype: {class_label: {names: [a, b]}}}]}, 7]")
    assert names(parts(tmp_path)[0].features["team"], 1) == ["b"]


@pytest.mark.parametrize(
    ("feature", "value", "name"),
    [
        (LABEL, 1, "login"),
        (LABEL, -1, None),
        (LABEL, 2, 2),
        (LABEL, "login", "login"),
        (LABEL, None, None),
        ([LABEL], [0, 1], ["billing", "login"]),
        ({"_type": "List", "feature": LABEL}, [1], ["login"]),
        ({"_type": "Sequence", "feature": {"team": LABEL}}, {"team": [1, 0]}, {"team": ["login", "billing"]}),
        ([{"team": LABEL}], [{"team": 1, "n": 1}], [{"team": "login", "n": 1}]),
        ({"team": LABEL}, {"team": 0}, {"team": "billing"}),
        (LABEL, {"team": 0}, {"team": 0}),
        ({"_type": "Value", "dtype": "int64"}, 1, 1),
        ([], [1], [1]),
    ],
)
def test_numbers_of_labels_are_read_as_their_names(feature: Any, value: Any, name: Any) -> None:
    assert names(feature, value) == [name]


def test_rows_that_are_none_are_left_alone() -> None:
    rows = [FileRow(1, 1, "x", "is not JSON"), FileRow(2, 2, {"y": 1})]
    assert list(named(rows, {"x": LABEL})) == rows


def test_files_declare_features_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(table([{"team": 1}], {"team": LABEL}), path)
    assert declared(path, parquet=True) == {"team": LABEL}
    parquet.write_table(table([{"team": 1}]), path)
    assert declared(path, parquet=True) == {}
    parquet.write_table(table([{"team": 1}], [1]), path)
    assert declared(path, parquet=True) == {}
    path.write_text("nothing of the kind")
    assert declared(path, parquet=True) == {}
