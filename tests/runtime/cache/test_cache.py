from __future__ import annotations

import gc
import os
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caches import DAY, Clock, Opener, key, opener, run, sql, text, warnings
from decider.runtime.cache import store
from decider.runtime.cache.cache import ENTRIES, LETTERS, Cache, Memory

FILES = {".gitignore", "cache.db", "cache.db-shm", "cache.db-wal", "cache.db.lock"}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


# What is kept.


def test_what_was_put_is_got(cache: Cache, opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    assert cache.get(key(1)) is None
    cache.put(key(1), text(1))
    assert [cache.get(key(1)), opened().get(key(1))] == [text(1)] * 2
    cache.put(key(1), text(2))
    assert [cache.get(key(1)), opened().get(key(1)), opened().get(key(2))] == [text(2), text(2), None]
    assert not caplog.records


def test_what_was_deleted_is_gone(cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    cache.put(key(2), text(2))
    assert [cache.delete(key(1)), cache.delete(key(1)), opened().delete(key(1))] == [True, False, False]
    assert [cache.get(key(1)), opened().get(key(1)), opened().get(key(2))] == [None, None, text(2)]
    assert [opened().delete(key(2)), opened().get(key(2))] == [True, None]
    assert cache.get(key(2)) == text(2)  # of another process, this one cannot know what it deleted


def test_clearing_tells_how_many_there_were(cache: Cache, opened: Opener) -> None:
    for n in range(1234):
        cache.put(key(n), text(n))
    assert [cache.clear(), cache.get(key(1)), opened().get(key(1)), cache.clear()] == [1234, None, None, 0]


@pytest.mark.parametrize("remove", [lambda cache: cache.delete(key(1)), Cache.clear], ids=["delete", "clear"])
def test_no_byte_is_left_of_what_was_deleted(cache: Cache, folder: Path, remove: Callable[[Cache], object]) -> None:
    def is_there() -> bool:
        return any(b"of Ada" in file.read_bytes() for file in folder.iterdir())

    cache.put(key(1), text("Ada"))
    assert is_there()
    remove(cache)
    assert not is_there()


@pytest.mark.parametrize("value", ["", "é 漢 🎈 \0 \u202e", "x" * 200_000], ids=["empty", "unicode", "long"])
def test_any_text_is_kept_in_its_row(opened: Opener, folder: Path, value: str) -> None:
    opened().put(key(1), value)
    assert opened().get(key(1)) == value
    assert {one.name for one in folder.iterdir()} == FILES


@pytest.mark.parametrize("value", ["half a character: \ud83d", "x" * 300_000], ids=["surrogate", "large"])
def test_what_cannot_be_on_disk_is_in_memory_alone(
    opened: Opener, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    cache = opened(size=1e6)
    cache.put(key(1), value)
    assert [cache.get(key(1)), opened().get(key(1))] == [value, None]
    assert [cache.delete(key(1)), cache.get(key(1))] == [True, None]
    cache.put(key(2), text(2))
    assert opened().get(key(2)) == text(2)
    assert not caplog.records


# For how long, and how much.


def test_an_entry_has_its_time(clock: Clock, cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    clock.passes(29 * DAY)
    late = opened()
    assert [cache.get(key(1)), late.get(key(1)), opened(ttl=DAY).get(key(1))] == [text(1), text(1), None]
    clock.passes(2 * DAY)
    assert [cache.get(key(1)), late.get(key(1)), opened().get(key(1))] == [None, None, None]


def test_a_clock_that_is_set_back_makes_nothing_immortal(clock: Clock, cache: Cache, opened: Opener) -> None:
    cache.put(key(1), text(1))
    clock.wall -= DAY
    early = opened()
    assert early.get(key(1)) == text(1)
    clock.passes(29 * DAY)
    assert [cache.get(key(1)), early.get(key(1)), opened().get(key(1))] == [text(1)] * 3
    clock.passes(2 * DAY)
    assert [cache.get(key(1)), early.get(key(1)), opened().get(key(1))] == [None] * 3


def test_an_entry_from_far_in_the_future_is_a_miss(
    clock: Clock, cache: Cache, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(key(1), text(1))
    cache.put(key(2), text(2))
    clock.wall -= 31 * DAY
    back = opened()
    assert [back.get(key(1)), back.get(key(2))] == [None, None]
    (warning,) = warnings(caplog)
    assert "was the clock set back?" in warning
    back.put(key(1), text(3))
    assert opened().get(key(1)) == text(3)


def test_the_oldest_go_where_there_is_no_room(clock: Clock, opened: Opener, folder: Path) -> None:
    cache = opened(size=1e6)
    for n in range(300):
        clock.passes(1)
        cache.put(key(n), "x" * 10_000)
    cache.close()
    assert (folder / "cache.db").stat().st_size < 1.1e6
    late = opened()
    there = [n for n in range(300) if late.get(key(n))]
    assert there == list(range(300 - len(there), 300))
    assert 50 < len(there) < 100


def test_what_has_had_its_time_makes_room(clock: Clock, cache: Cache, folder: Path) -> None:
    for n in range(15):
        cache.put(key(n), text(n))
    clock.passes(31 * DAY)
    for n in range(15, 18):
        cache.put(key(n), text(n))
    assert sql(folder, "SELECT count(*) FROM Cache") == [(3,)]


def test_sizes_and_times_may_be_without_end(opened: Opener) -> None:
    cache = opened(ttl=float("inf"), size=float("inf"))
    cache.put(key(1), text(1))
    assert opened(ttl=float("inf")).get(key(1)) == text(1)


def test_memory_is_bounded_by_number_and_by_size() -> None:
    memory = Memory()
    for n in range(2 * ENTRIES):
        memory.put(key(n), "x", 60)
        assert memory.get(key(0)) == "x"  # what is asked for stays
    assert ENTRIES // 2 <= memory.clear() <= ENTRIES
    for n in range(100):
        memory.put(key(n), "x" * 1_000_000, 60)
    assert 7 <= memory.clear() <= LETTERS // 1_000_000
    memory.put(key(1), "x" * LETTERS, 60)
    assert memory.get(key(1)) is None


def test_memory_forgets_both_generations() -> None:
    memory = Memory()
    for n in range(ENTRIES // 2 + 1):
        memory.put(key(n), "x", 60)
    assert [memory.delete(key(0)), memory.delete(key(ENTRIES // 2)), memory.delete(key(0))] == [True, True, False]
    assert [memory.get(key(0)), memory.get(key(ENTRIES // 2)), memory.get(key(1))] == [None, None, "x"]


def test_memory_answers_without_the_disk(cache: Cache, opened: Opener, folder: Path) -> None:
    cache.put(key(1), text(1))
    reader = opened()
    assert reader.get(key(1)) == text(1)
    shutil.rmtree(folder)
    assert [cache.get(key(1)), reader.get(key(1))] == [text(1)] * 2
    assert not folder.exists()


# The folder.


def test_nothing_is_made_or_loaded_before_something_is_looked_for(folder: Path) -> None:
    script = """
    import sys
    from pathlib import Path
    before = set(sys.modules)
    from decider.runtime.cache import Cache
    cache = Cache(Path(sys.argv[1]), ttl=60, size=1e9)
    cache.close()
    loaded = sys.modules.keys() - before
    print([name for name in ("diskcache", "sqlite3", "pickle") if name in loaded], Path(sys.argv[1]).exists())
    """
    assert run(script, folder) == "[] False"


def test_a_folder_is_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opener(Path("$HOME")) as opened:
        cache = opened()
        monkeypatch.chdir("/")
        cache.put(key(1), text(1))
    with opener(tmp_path / "$HOME") as opened:
        assert opened().get(key(1)) == text(1)
    assert [one.name for one in tmp_path.iterdir()] == ["$HOME"]


def test_a_closed_cache_opens_again(cache: Cache, folder: Path) -> None:
    cache.close()
    cache.put(key(1), text(1))
    cache.close()
    cache.close()
    assert not (folder / "cache.db-wal").exists()
    cache.put(key(2), text(2))
    assert cache.clear() == 2


def test_a_forgotten_cache_closes_its_file(folder: Path) -> None:
    Cache(folder, ttl=60, size=1e9).put(key(1), text(1))
    gc.collect()
    assert not (folder / "cache.db-wal").exists()


# Shared by threads and processes.


def test_threads_share_it(opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(store, "PATIENCE", 60)
    caches = opened(), opened()

    def work(seed: int) -> set[bool]:
        draw, right = random.Random(seed), set()
        for _ in range(300):
            n, cache = draw.randrange(50), draw.choice(caches)
            match draw.randrange(8):
                case 0:
                    cache.delete(key(n))
                case 1 | 2:
                    cache.put(key(n), text(n))
                case _:
                    right.add(cache.get(key(n)) in {None, text(n)})
        return right

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(work, range(8))) == {True}
    assert not caplog.records


def test_another_process_hits_every_time(cache: Cache, folder: Path) -> None:
    for n in range(200):
        cache.put(key(n), text(n))
    script = """
    import sys
    from pathlib import Path
    from decider.runtime.cache import Cache
    cache = Cache(Path(sys.argv[1]), ttl=86400, size=1e9)
    print([n for n, key in enumerate(sys.argv[2:]) if f'"of {n}"' not in (cache.get(key) or "")])
    cache.close()
    """
    assert run(script, folder, *map(key, range(200))) == "[]"


@forks
def test_processes_that_begin_together_lose_nothing(cache: Cache, folder: Path) -> None:
    script = """
    import os, sys
    from pathlib import Path
    from decider.runtime.cache import store, storefile  # before they begin, so that they begin together
    from decider.runtime.cache import Cache

    storefile.TURN = store.PATIENCE = 60
    wait, go = os.pipe()
    children = []
    for worker in range(4):
        child = os.fork()
        if not child:
            os.close(go)
            os.read(wait, 1)
            cache = Cache(Path(sys.argv[1]), ttl=60, size=1e9)
            for n in range(100):
                cache.put(f"{worker} {n}", f"text {worker} {n}")
            cache.close()
            os._exit(0)
        children.append(child)
    os.close(go)
    print([os.waitpid(child, 0)[1] for child in children])
    """
    assert run(script, folder) == "[0, 0, 0, 0]"
    pairs = [(f"{worker} {n}", f"text {worker} {n}") for worker in range(4) for n in range(100)]
    assert [(name, cache.get(name)) for name, _ in pairs] == pairs
    assert {one.name for one in folder.iterdir()} == FILES


@forks
def test_a_forked_child_goes_on_whatever_the_threads_were_doing(cache: Cache, folder: Path) -> None:
    script = """
    import os, signal, sys, threading, warnings
    from pathlib import Path
    from decider.runtime.cache import store
    from decider.runtime.cache import Cache

    store.PATIENCE = 60
    warnings.simplefilter("ignore", DeprecationWarning)  # says that a fork among threads is dangerous, and it is
    folder = Path(sys.argv[1])
    cache, unused = (Cache(folder, ttl=60, size=1e9) for _ in range(2))
    unused.get("nothing")
    unused.close()
    Cache(folder, ttl=60, size=1e9).put("before", "x")
    cache.get("nothing")
    done = threading.Event()

    def work(n):
        other = Cache(folder, ttl=60, size=1e9)
        while not done.is_set():
            cache.put(f"thread {n}", "x")
            cache.get("nothing")
            other.get("nothing")
        other.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    ends = []
    for n in range(20):
        child = os.fork()
        if not child:
            signal.alarm(20)
            found = cache.get("before")
            cache.put(f"child {n}", "x")
            cache.close()
            sys.exit(found != "x")
        ends.append(os.waitpid(child, 0)[1])
    done.set()
    for thread in threads:
        thread.join()
    print(ends == [0] * 20, cache.get("before"), sum(cache.get(f"child {n}") == "x" for n in range(20)))
    cache.close()
    """
    assert run(script, folder) == "True x 20"
    assert cache.get("child 7") == "x"
