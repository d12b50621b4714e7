"""One file of records: what is in it is read again, whatever else is in it, and one process holds it."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from decider.errors import DataError
from decider.runtime.log.segment import Reader, Segment, private


def _record(n: int, **more: object) -> bytes:
    return json.dumps({"v": 1, "n": n, **more}).encode()


def _numbers(path: Path) -> list[int]:
    return [line.record["n"] for line in Reader(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.jsonl"


def test_records_are_read_in_order_and_again_by_their_place(path: Path) -> None:
    with Segment.open(path) as segment:
        for n in range(3):
            segment.append(_record(n, text="ä\nß"))
    assert path.read_bytes().count(b"\n") == 6
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Reader(path) as reader:
        lines = list(reader)
        assert [reader.at(line.offset) for line in reversed(lines)] == [line.record for line in reversed(lines)]
        content = path.read_bytes()
        assert all(json.loads(content[one.offset : one.offset + one.length]) == one.record for one in lines)
        with pytest.raises(DataError, match="holds no record at byte 0"):
            reader.at(0)
        assert reader.unreadable == 0


def test_what_is_no_record_is_counted_and_skipped(path: Path) -> None:
    path.write_bytes(
        b'\n\n  \n{"v":1,"n":0}\n{"v":1,"n":1\n"text"\n[1]\n{"v":2,"n":2}\n{"n":3}\n\xff\xfe\n\0\0\0\n{"v":1,"n":4}'
    )
    with Segment.open(path) as segment:
        segment.append(_record(5))
    reader = Reader(path)
    assert [line.record["n"] for line in reader] == [0, 4, 5]
    assert reader.unreadable == 7
    assert [line.record["n"] for line in reader] == [0, 4, 5]
    assert reader.unreadable == 7


def test_a_segment_cut_at_any_byte_of_its_end_loses_no_other_record(path: Path) -> None:
    with Segment.open(path) as segment:
        for n in range(8):
            segment.append(_record(n, text="x" * 90))
    whole = path.read_bytes()
    ends = [line.offset + line.length for line in Reader(path)]
    for cut in range(len(whole) - 300, len(whole) + 1):
        path.write_bytes(whole[:cut])
        with Segment.open(path) as segment:
            segment.append(_record(99))
        assert _numbers(path) == [n for n, end in enumerate(ends) if end <= cut] + [99], cut


def test_a_segment_is_read_while_it_grows(path: Path) -> None:
    with Segment.open(path) as segment:
        segment.append(_record(0))
        reading = iter(Reader(path))
        assert next(reading).record["n"] == 0
        segment.append(_record(1))
        assert [line.record["n"] for line in Reader(path)] == [0, 1]


def test_a_segment_that_is_not_there_or_not_allowed_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl: cannot be read: No such file"):
        list(Reader(tmp_path / "nothing.jsonl"))
    with pytest.raises(DataError, match=r"cannot be read"), Reader(tmp_path / "nothing.jsonl") as reader:
        reader.at(0)
    with pytest.raises(DataError, match="cannot be written: No such file"):
        Segment.open(tmp_path / "nowhere" / "one.jsonl", lock=True)
    with pytest.raises(DataError, match="cannot be written: Is a directory"):
        Segment.open(tmp_path, lock=True)
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        private(tmp_path / "file" / "log")


def test_a_folder_for_segments_is_its_owners_and_stays_out_of_git(tmp_path: Path) -> None:
    folder = private(tmp_path / "a" / "log")
    assert private(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_in_use_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").touch()
    tmp_path.chmod(0o755)
    private(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_with_fsync_a_record_is_on_the_disk_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("decider.runtime.log.segment._flush", synced.append)
    with Segment.open(path) as segment:
        segment.append(_record(0))
        assert synced == []
    with Segment.open(path, fsync=True) as segment:
        segment.append(_record(1))
        assert synced == [segment.descriptor]
    assert _numbers(path) == [0, 1]


def test_a_cleared_segment_is_empty_and_goes_on(path: Path) -> None:
    with Segment.open(path, lock=True) as segment:
        segment.append(_record(0))
        segment.clear()
        segment.append(_record(1))
    segment.close()
    assert _numbers(path) == [1]


FULL = """
import resource, sys
from pathlib import Path
from decider.errors import DataError
from decider.runtime.log.segment import Segment

segment = Segment.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for n in range(100):
    try:
        segment.append(b'{"v":1,"n":%d,"text":"%b"}' % (n, b"x" * 80))
    except DataError as error:
        print("refused", error, type(error.__cause__).__name__, error.__cause__.errno)
        break
    print("done", n)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
segment.append(b'{"v":1,"n":1000}')
"""


@pytest.mark.parametrize("room", [1000, 1001, 1063, 1099])
def test_a_full_disk_is_an_error_and_tears_only_what_was_not_acknowledged(path: Path, room: int) -> None:
    ran = subprocess.run([sys.executable, "-c", FULL, str(path), str(room)], capture_output=True, text=True, check=True)
    done = [int(line.split()[1]) for line in ran.stdout.splitlines() if line.startswith("done")]
    refused = ran.stdout.splitlines()[-1]
    assert refused.startswith(f"refused {path}: cannot be written: File too large; make room on the disk")
    assert refused.endswith(f"OSError {errno.EFBIG}")
    assert len(done) >= 8
    reader = Reader(path)
    assert [line.record["n"] for line in reader] == [*done, 1000]
    assert reader.unreadable <= 1


def test_a_piece_that_went_in_is_written_again_as_a_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, pieces = os.write, [5]

    def some(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[: pieces.pop()] if pieces else data)

    with Segment.open(path) as segment:
        monkeypatch.setattr("os.write", some)
        segment.append(_record(0))
        pieces[:] = [len(_record(1)) + 1]  # all but the line end
        segment.append(_record(1))
        segment.append(_record(2))
        pieces[:] = [7, 6]
        with pytest.raises(DataError, match="No space left on device; make room"):
            segment.append(_record(3))
    reader = Reader(path)
    assert [line.record["n"] for line in reader] == [0, 1, 2]
    assert reader.unreadable == 3


def test_a_read_only_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path.parent / f"{tmp_path.name}-read-only"
    folder.mkdir(mode=0o555)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write everywhere
        try:
            Segment.open(Path("one.jsonl"))
        except DataError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        remedy = "allow it to whoever runs this, or name another folder"
        assert said.read() == f"one.jsonl: cannot be written: Permission denied; {remedy}"


def test_what_the_system_forbids_says_whom_to_ask(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(DataError, match="Read-only file system; allow it to whoever runs this, or name another folder"):
        Segment.open(path)


HOLD = """
import sys, time
from pathlib import Path
from decider.runtime.log.segment import Segment

segment = Segment.open(Path(sys.argv[1]), lock=True)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_pid_of_the_first_until_that_is_killed(path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=rf"one\.jsonl: is locked by pid {first.pid}; wait until it has ended"):
            Segment.open(path, lock=True)
        with Segment.open(path) as segment:
            segment.append(_record(0))
        first.send_signal(signal.SIGKILL)
        first.wait()
    lock = path.with_name("one.jsonl.lock")
    assert lock.exists()
    with Segment.open(path, lock=True) as segment:
        segment.append(_record(1))
        assert lock.read_text() == str(os.getpid())
    assert not lock.exists()
    assert _numbers(path) == [0, 1]


def test_many_processes_append_at_once(path: Path) -> None:
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            with Segment.open(path) as segment:
                for n in range(200):
                    segment.append(_record(child * 200 + n, text="y" * (n * 37 % 5000)))
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    reader = Reader(path)
    assert sorted(line.record["n"] for line in reader) == list(range(800))
    assert reader.unreadable == 0


def test_reading_takes_little_memory(path: Path) -> None:
    """A file many times as large as what is allowed to it."""
    with Segment.open(path) as segment:
        for n in range(2000):
            segment.append(_record(n, text="z" * 10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in Reader(path)) == 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000
