"""Every command and example of the README runs."""

import doctest
import math
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from tests.conftest import data_dir, user_environment
from tests.forking import run_module
from tests.test_docs import BUILD, load_maker

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
TINY = [
    "--noprogress", "--config.training.epochs=1", "--config.baselines=()",
    "--config.model.dim=8", "--config.training.negatives=8",
]  # fmt: skip


def block(marker):
    """Lines of the first fenced block after ``<!-- marker -->``."""
    found = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block {marker!r}"
    return found[1].strip().splitlines()


def run(command, tmp_path, extra=()):
    words = shlex.split(command.split("&&")[-1])  # the virtual environment is ours
    assert words[0] in ("python", ".venv/bin/python")
    if extra:
        words = [w for w in words if not w.startswith("--workdir")]
        words += [f"--workdir={tmp_path / 'run'}", *extra]
    environment = user_environment()
    if extra is TINY:  # the quickstart alone is started and compiled as a user's
        environment["XLA_FLAGS"] = os.environ["XLA_FLAGS"]
        assert words[1] == "-m"
        done = run_module(words[2], words[3:], environment)
    else:
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True,
            env=environment,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_examples():
    for page in ("README.md", *(f"docs/add_a_{x}.md" for x in PAGES)):
        flags = doctest.NORMALIZE_WHITESPACE
        result = doctest.testfile(
            str(ROOT / page), module_relative=False, optionflags=flags
        )
        assert result.attempted and not result.failed, page


PAGES = ("loss", "backbone", "dataset", "method")


def test_the_quickstart_ranks_far_above_popularity(tmp_path):
    short = ["--noprogress", "--config.training.epochs=10"]
    short += ["--config.baselines=('popularity',)"]
    table = run(block("quickstart")[0], tmp_path, short)
    popularity, drrl = re.findall(
        r"^\| (?:pop|drrl).*?\| (?:[\d.]+) +\| ([\d.]+)", table, re.M
    )
    assert float(drrl) > 1.8 * float(popularity)


@pytest.mark.parametrize("command", block("commands"))
def test_train_commands(command, tmp_path):
    assert "ndcg@20" in run(command, tmp_path, TINY)


def test_own_data(tmp_path):
    path = tmp_path / "ratings.csv"
    pairs = [f"{u},{i}" for u in range(60) for i in range(80) if (u + i) % 4 == 0]
    path.write_text("user_id,item_id\n" + "\n".join(pairs) + "\n")
    (command,) = block("data-command")
    command = command.replace("path/to/ratings.csv", str(path))
    assert "ndcg@20" in run(command, tmp_path, TINY)


def test_dataset_command(tmp_path):
    data_dir("amazon-beauty")
    assert "ndcg@20" in run(block("dataset-command")[0], tmp_path, TINY)


def test_the_test_command_is_the_first_block_after_its_marker():
    (command,) = block("test-command")
    assert command.endswith("-m pytest -n 2") and "'.[test]'" in command


def test_the_docs_command_is_the_one_that_is_tested():
    (command,) = block("docs-command")
    assert shlex.split(command)[1:] == [*BUILD[1:], "docs/_build/html"]


@pytest.mark.parametrize(
    ("maker", "draw", "name"),
    [
        ("images/weights_by_gamma", "main", "weights_by_gamma"),
        ("make_overview", "picture", "gain_by_dataset"),
    ],
)
def test_the_pictures(monkeypatch, maker, draw, name):
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: saved.append(path))
    assert f"python docs/{maker}.py" in README
    getattr(load_maker(maker), draw)()
    assert saved == [ROOT / "docs" / "images" / f"{name}.png"]


def test_the_table_of_results_is_of_the_tables():
    overview = load_maker("make_overview")
    head, *lines = re.findall(r"^\| (?:NDCG@20 \(s|Amazon|Pint|Movie).*", README, re.M)
    methods = {label: name for name, label in overview.METHODS.items()}
    columns = [methods.get(x, overview.BASELINE) for x in head.split(" | ")[1:5]]
    assert len(lines) == len(overview.PLACES)
    for line in lines:
        place, *cells, gain, p = map(str.strip, line.strip("| ").split("|"))
        name, backbone = re.match(r"(?:Amazon )?(\S+), (\S+) \(", place).groups()
        key = f"{name}\n{backbone}"
        for method, cell in zip(columns, cells, strict=True):
            if cell:
                x = overview.values_of(key, method)
                want = f"{x.mean():.4f} ± {x.std(ddof=1):.4f}".replace("0.", ".")
                assert cell.replace("*", "") == want, (place, method)
        want = overview.gains(key)["drrl at k"].mean()
        # A leading zero only: that of 10.1 stays.
        want = re.sub(r"\b0\.", ".", f"{want:+.1f} %")
        assert gain.replace("−", "-") == want, place
        table = overview.RESULTS / overview.PLACES[key][0] / "accuracy.md"
        row = next(x for x in table.read_text().splitlines() if x[:11] == "| drrl at k")
        written, true = float(p), float(row.split(" | ")[4].split(" / ")[0])
        assert abs(written - true) <= 0.5 * 10 ** math.floor(math.log10(true)), place


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link
