"""What is promised of the package as a whole: its names, what importing it costs, and what it asks for."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, requires, version
from importlib.resources import files
from pathlib import Path

import pytest

import decider

NAMES = ["Dataset", "Decider", "DeciderError", "Decision", "Example", "Task", "decide", "evaluate", "train"]
HEAVY = {
    "aiohttp", "diskcache", "instructor", "joblib", "numpy", "openai", "opentelemetry", "phonenumbers", "pyarrow",
    "rich", "scipy", "sklearn", "tenacity", "typer",
}  # fmt: skip
ROOT = Path(__file__).parents[1]


def test_exported_names() -> None:
    assert sorted(decider.__all__) == NAMES
    assert set(NAMES) <= set(dir(decider))


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_is_there(name: str) -> None:
    assert getattr(decider, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Deside'"):
        decider.Deside  # noqa: B018


def test_a_name_is_loaded_once() -> None:
    assert decider.Task is decider.Task
    assert vars(decider)["Task"] is decider.Task


@pytest.mark.parametrize("statement", ["import decider", "from decider import Task, Decider, decide"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement)
    assert "decider" in loaded
    assert loaded & HEAVY == set()


def test_importing_the_package_loads_none_of_its_parts() -> None:
    assert {name for name in modules_after("import decider") if name.startswith("decider.")} == set()


def test_the_types_are_for_users_too() -> None:
    assert (files("decider") / "py.typed").is_file()


def test_the_distribution_asks_for_what_can_be_installed_together() -> None:
    wanted = [line.replace(" ", "") for line in requires("decider-sdk") or [] if "extra" not in line]
    assert {"openai[aiohttp]>=3.3", "instructor>=1.17"} <= set(wanted)
    assert [line for line in wanted if "<" in line or "==" in line] == []


def test_the_version_is_one() -> None:
    assert version("decider-sdk") == decider.__version__


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="decider")
    assert command.value == "decider.cli:main"


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_the_demo_has_the_rows_of_the_example(name: str) -> None:
    assert (files("decider") / "demo" / name).read_bytes() == (ROOT / "examples/tickets/data" / name).read_bytes()


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
