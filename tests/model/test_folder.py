"""A model folder: what is written, and every way in which it is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, create_model

from decider.errors import ModelError
from decider.learn.train import train
from decider.model import folder
from decider.model.hashing import BITS
from decider.task import Task
from model.samples import Everything, Lead, everything, leads


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task, rows = everything()
    path = tmp_path_factory.mktemp("models") / "everything"
    train(task, rows, path)
    return path


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "everything"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


Damage = Callable[[Path], object]


def change(path: Path, **values: Any) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **values}))


def removed(path: Path) -> None:
    shutil.rmtree(path)


def replaced_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def put(path: Path, name: str, content: bytes) -> None:
    """Replace a file, and its sha256 in the manifest: what somebody does who means it."""
    (path / name).write_bytes(content)
    files = json.loads((path / "manifest.json").read_text())["files"]
    change(path, files={**files, name: hashlib.sha256(content).hexdigest()})


def array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def test_it_loads_and_says_what_it_is(trained: Path) -> None:
    model = folder.load(trained, task=Task(Everything, name="everything"))
    assert [field.path for field in model.heads.fields] == list(Everything.model_fields)
    assert model.manifest.rows == 120
    assert model.manifest.metrics["joint"]["low"] <= model.manifest.metrics["joint"]["accuracy"]
    assert len(model.sha256) == 64


def test_files_are_private_and_hold_no_text_and_no_ids(trained: Path) -> None:
    assert stat.S_IMODE(trained.stat().st_mode) == 0o700
    assert {file.name for file in trained.iterdir()} == {
        "manifest.json",
        "buckets.npy",
        "rarity.npy",
        "weights.npy",
        "bias.npy",
    }
    for file in trained.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        content = file.read_bytes()
        assert b"secret-id" not in content
        assert b"immediately" not in content


def deep(path: Path, *keys: Any, value: Any) -> None:
    """Change one value deep in the manifest."""
    manifest = inner = json.loads((path / "manifest.json").read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (path / "manifest.json").write_text(json.dumps(manifest))


def altered(name: str, at: int, byte: int = 7) -> Damage:
    """One byte changed, as a failing disk does it."""

    def damage(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[at] ^= byte
        (path / name).write_bytes(content)

    return damage


def stretched(path: Path) -> None:
    """A header that claims a terabyte."""
    content = (path / "bias.npy").read_bytes()
    header, shape = content[:128], json.loads((path / "manifest.json").read_text())
    labels = sum(len(one["labels"]) for one in shape["fields"])
    claim = header.replace(f"({labels},)".encode(), b"(999999999999,)").replace(b"  " * 6, b"", 1)
    put(path, "bias.npy", claim[:127].ljust(127) + b"\n" + content[128:])


def number(**values: Any) -> dict[str, Any]:
    return {"path": "", "mean": 0.0, "scale": 1.0, "edges": [], **values}


def last(path: Path) -> NDArray[Any]:
    return np.load(path / "buckets.npy")[:-1]  # type: ignore[no-any-return]  # any array will do


DAMAGES: list[tuple[str, Damage, str]] = [
    ("a file", replaced_by_a_file, "is no model folder: it has no readable manifest.json"),
    ("nothing", removed, "is no model folder: it has no readable manifest.json"),
    ("altered buckets", altered("buckets.npy", -1), "buckets.npy is not the file that was written"),
    ("altered rarity", altered("rarity.npy", -1), "rarity.npy is not the file that was written"),
    ("altered bias", altered("bias.npy", 20), "bias.npy is not the file that was written"),
    ("junk", lambda p: (p / "head.pkl").write_bytes(b"x"), "it holds 'head.pkl', which is no part of a model"),
    ("unsigned", lambda p: change(p, files={}), "buckets.npy is not the file that was written"),
    ("too deep", lambda p: (p / "manifest.json").write_text("[" * 9999), "is damaged: its manifest is not JSON"),
    ("scale 0", lambda p: deep(p, "features", "numbers", value=[number(scale=0)]), "wrong at features.numbers.0.scale"),
    ("edges", lambda p: deep(p, "features", "numbers", value=[number(edges=[2, 1])]), "they do not ascend"),
    ("nan", lambda p: deep(p, "features", "numbers", value=[number(mean=float("nan"))]), "its manifest is not JSON"),
    ("no input", lambda p: deep(p, "features", "texts", value=["x"]), "its features do not read the inputs"),
    ("buckets", lambda p: put(p, "buckets.npy", array(-np.ones(2, np.int32))), "numbers that are no buckets"),
    ("fewer", lambda p: put(p, "buckets.npy", array(last(p))), "its arrays are not of the size"),
    ("infinite", lambda p: put(p, "bias.npy", array(np.full(3, np.inf, np.float32))), "bias.npy holds a number that"),
    ("columns", lambda p: put(p, "weights.npy", array(np.zeros((2, 3), np.float32, "F"))), "weights.npy holds float32"),
    ("terabyte", stretched, "bias.npy is no plain array"),
    ("no manifest", lambda p: (p / "manifest.json").unlink(), "is no model folder: it has no readable manifest.json"),
    ("no json", lambda p: (p / "manifest.json").write_text("{"), "is damaged: its manifest is not JSON"),
    ("a list", lambda p: (p / "manifest.json").write_text("[]"), "its manifest is wrong at the top"),
    ("format", lambda p: change(p, format=9), "is in format 9, and this version reads format 1; train it again"),
    ("missing key", lambda p: change(p, rows=None), "its manifest is wrong at rows"),
    ("foreign key", lambda p: change(p, extra=1), "its manifest is wrong at extra"),
    ("no array", lambda p: (p / "bias.npy").unlink(), "bias.npy cannot be read"),
    ("altered", lambda p: (p / "weights.npy").write_bytes(b"x"), "weights.npy is not the file that was written"),
    ("garbage", lambda p: put(p, "rarity.npy", b"x"), "rarity.npy is no plain array"),
    ("dtype", lambda p: put(p, "bias.npy", array(np.zeros(3))), "bias.npy holds float64 in 1 dimensions"),
    ("shape", lambda p: put(p, "bias.npy", array(np.zeros(3, np.float32))), "its arrays are not of the size"),
]


@pytest.mark.parametrize(("damage", "says"), [one[1:] for one in DAMAGES], ids=[one[0] for one in DAMAGES])
def test_a_damaged_folder_is_refused_in_words(model: Path, damage: Damage, says: str) -> None:
    damage(model)
    with pytest.raises(ModelError) as caught:
        folder.load(model, task=Task(Everything, name="everything"))
    assert says in str(caught.value)
    assert str(model) in str(caught.value)


def test_a_model_that_hashes_otherwise_is_refused(model: Path) -> None:
    features = json.loads((model / "manifest.json").read_text())["features"]
    change(model, features={**features, "bits": 12})
    with pytest.raises(ModelError, match=f"hashes to 12 bits, and this version to {BITS}; train it again"):
        folder.load(model, task=Task(Everything, name="everything"))


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_is_never_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(model, "bias.npy", array(np.array([_Bomb()], dtype=object)))
    with pytest.raises(ModelError, match="bias.npy holds object in 1 dimensions"):
        folder.load(model, task=Task(Everything, name="everything"))
    put(model, "bias.npy", pickle.dumps(_Bomb()))
    with pytest.raises(ModelError, match="bias.npy is no plain array"):
        folder.load(model, task=Task(Everything, name="everything"))
    assert not (tmp_path / "exploded").exists()


def task_with(**fields: Any) -> Task[Any]:
    base: dict[str, Any] = {name: (info.annotation, ...) for name, info in Everything.model_fields.items()}
    base["level"] = (Everything.model_fields["level"].rebuild_annotation(), ...)
    made = {name: value for name, value in {**base, **fields}.items() if value is not None}
    return Task(create_model("Changed", **made), name="changed")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"owner": (Literal["ana", "ben", "cy"] | None, ...)}, "owner was trained without ['cy']"),
        ({"owner": (Literal["ana", "zoe"] | None, ...)}, "owner was trained without ['zoe'] and with ['ben']"),
        ({"constant": (Literal["two", "one"], ...)}, "constant was trained with its answers in another order"),
        ({"constant": (Literal["one", "two"] | None, ...)}, "constant was trained without [None]"),
        ({"level": (Literal[1, 2, 3], ...)}, "level was trained as scale, and is choice"),
        ({"owner": None}, "owner is not a closed field of the task"),
        ({"more": (bool, ...)}, "more was not trained"),
    ],
)
def test_a_model_of_another_decision_is_refused_naming_what_differs(
    trained: Path, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError) as caught:
        folder.load(trained, task=task_with(**fields))
    assert says in str(caught.value)
    assert "train it again" in str(caught.value)


def test_a_model_of_other_inputs_is_refused(trained: Path) -> None:
    class Ticket(BaseModel):
        subject: str

    with pytest.raises(ModelError, match="it reads one text, and the task has subject"):
        folder.load(trained, task=Task(Everything, name="everything", input=Ticket))


def test_a_model_of_other_structured_inputs_is_refused_naming_them(tmp_path: Path) -> None:
    task, rows = leads(60)
    train(task, rows, tmp_path / "leads")
    assert folder.load(tmp_path / "leads", task=task).manifest.inputs["age"] == "integer"
    base: dict[str, Any] = {name: (info.annotation, None) for name, info in Lead.model_fields.items() if name != "job"}
    other = create_model("Other", **{**base, "age": (str | None, None), "city": (str | None, None)})
    with pytest.raises(ModelError) as caught:
        folder.load(tmp_path / "leads", task=Task(task.output, name="leads", input=other))
    assert (
        "it reads job, which is no input of the task; it was trained without the input city; "
        "it reads age as integer, and it is text; train it again"
    ) in str(caught.value)


def test_hidden_files_of_file_systems_do_not_matter(model: Path) -> None:
    (model / ".DS_Store").write_text("x")
    assert folder.load(model, task=Task(Everything, name="everything")).manifest.rows == 120


def test_arrays_cannot_be_changed(trained: Path) -> None:
    heads = folder.load(trained, task=Task(Everything, name="everything")).heads
    with pytest.raises(ValueError, match="read-only"):
        heads.weights[0, 0] = 1.0


def test_training_never_overwrites_what_is_no_model(tmp_path: Path) -> None:
    task, rows = everything(40)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name, manifest in (("app", '{"name": "a web app"}'), ("list", "[]"), ("broken", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(manifest)
    for name in ("precious", "file", "app", "list", "broken"):
        with pytest.raises(ModelError, match="is there already and is no model; nothing was written"):
            train(task, rows, tmp_path / name)
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"


def test_training_never_loses_what_somebody_put_beside_a_model(model: Path) -> None:
    (model / "notes.txt").write_text("what we learned")
    task, rows = everything(40)
    with pytest.raises(ModelError, match="holds 'notes.txt', which is no part of a model and would be lost"):
        train(task, rows, model)
    assert (model / "notes.txt").read_text() == "what we learned"


def test_training_again_replaces_a_model_whole(tmp_path: Path) -> None:
    task, rows = everything(40)
    path = tmp_path / "deep" / "model"
    train(task, rows, path)
    before = folder.load(path, task=task).sha256
    train(task, everything(60, seed=1)[1], path)
    assert folder.load(path, task=task).sha256 != before
    assert [one.name for one in path.parent.iterdir()] == ["model"]


def test_an_empty_folder_may_become_a_model(tmp_path: Path) -> None:
    task, rows = everything(40)
    (tmp_path / "model").mkdir()
    train(task, rows, tmp_path / "model")
    assert folder.load(tmp_path / "model", task=task).manifest.rows == 40
