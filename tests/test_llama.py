"""The model server of the tests is real and does what the tests of prompt mode rest on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from openai import OpenAI

SCRIPT = str(Path(__file__).with_name("llama.py"))


def test_the_server_keeps_to_a_strict_schema(llama: str) -> None:
    schema = {
        "type": "object",
        "properties": {"team": {"enum": ["billing", "login"]}, "urgent": {"type": "boolean"}},
        "required": ["team", "urgent"],
        "additionalProperties": False,
    }
    with OpenAI(base_url=llama, api_key="none", max_retries=0, timeout=60) as client:
        reply = client.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": "I was charged twice."}],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
            temperature=0,
        )
    answer = json.loads(reply.choices[0].message.content or "")
    assert set(answer) == {"team", "urgent"}
    assert answer["team"] in {"billing", "login"}
    assert isinstance(answer["urgent"], bool)


def test_the_server_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([sys.executable, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"http://127.0.0.1:")
        server.stdin.close()
        assert server.wait(timeout=10) == 0


def test_a_missing_package_is_said() -> None:
    alone = [sys.executable, "-I", "-S", SCRIPT]  # without site-packages
    done = subprocess.run(alone, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert "`make test` sets up" in done.stdout
