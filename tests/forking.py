"""Modules run as programs, each in a process of its own that forks from one import.

What takes such a program longest is to import JAX and what stands on it. One process of a
worker's imports it once, computes nothing, and forks a child for each program.
"""

import atexit
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from tests.conftest import ROOT

# Objects of the parent's are frozen: the children need not look through them at the end.
_PARENT = """
import gc, json, os, runpy, signal, sys
import drrl_jax, experiments.report_table, jax, ml_collections.config_flags, yaml
gc.collect()
gc.freeze()
for line in sys.stdin:
    module, arguments, environment, *files = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(600)
        for number, path in enumerate([os.devnull, *files]):
            way = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
            os.dup2(os.open(path, way, 0o600), number)
        os.environ.clear()
        os.environ.update(environment)
        jax.config.update("jax_platforms", environment.get("JAX_PLATFORMS"))
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@functools.cache
def _parent() -> subprocess.Popen:
    """This process's parent of programs, which ends with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def run_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess:
    """What ``python -m module arguments`` gives in ROOT, without the time of imports."""
    parent = _parent()
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        request = [module, list(arguments), dict(environment), *files]
        parent.stdin.write(json.dumps(request) + "\n")
        parent.stdin.flush()
        code = parent.stdout.readline()
        assert code, "the parent of programs ended"
        texts = [pathlib.Path(path).read_text() for path in files]
    return subprocess.CompletedProcess([module, *arguments], int(code), *texts)
