"""The command line of a study: its function's keyword arguments are its flags.

A study is ``run(study, out, *, name=default, …) -> table``. ``main(run)`` adds the
flags that all share (config, workdir, out, progress), runs it and prints the table.
"""

import inspect
import math
import pathlib
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict

from drrl_jax import data, evaluation, training
from experiments import front
from experiments import study as study_lib
from experiments.study import Row, Study

Run = Callable[..., str]


def main(
    run: Run,
    *,
    load: Callable[[config_dict.ConfigDict], data.Dataset] = training.load_dataset,
    least_seeds: int = 1,
) -> None:
    """Runs a study from the command line.

    Args:
      run: the study.
      load: its data, from the config.
      least_seeds: the least that ``--seeds`` may be.
    """
    name = command_name(run)
    config = front.define_config()
    workdir = _define("workdir", f"runs/{name}", "Folder of the study.")
    out = _define("out", "", "Folder of tables and plots; empty: workdir.")
    progress = _define("progress", True, "Show a progress bar for each run.")
    options = {
        key: _define(key, parameter.default, _help(run, key))
        for key, parameter in inspect.signature(run).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }

    def start() -> None:
        if "seeds" in options:
            seeds = [str(options["seeds"].value)]
            check_numbers("seeds", seeds, least_seeds, whole=True)
        if config.value.seed:
            which = "the seed that --seed names"
            if "seeds" in options:
                which = "seeds 0, 1, …, as many as --seeds says"
            raise ValueError(
                f"studies run {which}, whatever the config has; got"
                f" --config.seed={config.value.seed}."
            )

        def loaded(config: config_dict.ConfigDict) -> data.Dataset:
            dataset = load(config)
            front.describe(dataset)
            return dataset

        study = Study(workdir.value, config.value, load=loaded, progress=progress.value)
        folder = pathlib.Path(out.value or workdir.value)
        print(run(study, folder, **{key: h.value for key, h in options.items()}))

    front.run(start, config, "goes on where it was")


def command_name(run: Run) -> str:
    """``thresholds`` of ``experiments.thresholds`` (also when run as ``__main__``)."""
    return pathlib.Path(inspect.getfile(run)).stem


def _define(name: str, default: Any, text: str) -> flags.FlagHolder:
    # Of the script, not of this module: --help shows the flags of the script.
    own = {"module_name": sys.argv[0]}
    if isinstance(default, bool):
        return flags.DEFINE_bool(name, default, text, **own)
    if isinstance(default, int):
        return flags.DEFINE_integer(name, default, text, **own)
    if isinstance(default, float):
        return flags.DEFINE_float(name, default, text, **own)
    if isinstance(default, str):
        return flags.DEFINE_string(name, default, text, **own)
    return flags.DEFINE_list(name, list(default), text, **own)


def _help(run: Run, name: str) -> str:
    """What the docstring's ``Args`` say of a keyword argument."""
    text = inspect.getdoc(run) or ""
    found = re.search(rf"^  {name}: (.*(?:\n    .*)*)", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{run.__module__}.run must describe {name} in its docstring.")
    return " ".join(found[1].split())


def check_names(
    flag: str, names: Sequence[str], known: Collection[str], where: str = ""
) -> None:
    """Raises ``ValueError`` for names that are unknown, or named twice, or none at all.

    Args:
      flag: what the names are, such as ``methods``.
      names: names to look for.
      known: names that there are.
      where: what follows them in the sentence.
    """
    if not names:
        raise ValueError(f"{flag} must be among {_listed(known)}{where}; got none.")
    if len(set(names)) < len(names):
        raise ValueError(f"{flag} must name each once; got {_listed(names)}.")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"{flag} must be among {_listed(known)}{where}; got {_listed(unknown)}."
        )


def tested_against(baseline: str, methods: Collection[str], default: str) -> str | None:
    """The baseline of a table; ``None``, no tests, where the default is not run.

    Raises:
      ValueError: for another baseline that is not run.
    """
    if baseline in methods:
        return baseline
    if baseline != default:
        raise ValueError(
            f"baseline must be among the methods {_listed(methods)}; got {baseline!r}."
        )
    return None


def _listed(names: Iterable[str]) -> str:
    """The names, as a flag takes them: one with a comma in quotes."""
    return ", ".join(f'"{name}"' if "," in name else name for name in names)


def check_numbers(
    flag: str,
    values: Sequence[str],
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Raises ``ValueError`` for what is no number of a range, before anything is trained.

    A number given twice is refused too: its runs would count as runs of other seeds.

    Args:
      flag: what the numbers are, such as ``gammas``.
      values: numbers as they were typed.
      low: the least; with ``above`` they must be greater.
      high: the most.
      above: whether ``low`` itself is out.
      whole: whether they must be whole.

    Example:
      >>> check_numbers("rates", ["0.1", "1.5"], 0, 1)
      Traceback (most recent call last):
      ...
      ValueError: rates must be numbers in [0, 1]; got 0.1, 1.5.
    """

    def fits(value: str) -> bool:
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            return False
        return (low < number if above else low <= number) and number <= high

    if not all(map(fits, values)):
        kind = "whole numbers" if whole else "numbers"
        start = f"{'(' if above else '['}{low:g}"
        raise ValueError(
            f"{flag} must be {kind} in {start}, {high:g}]; got {', '.join(values)}."
        )
    if len({float(value) for value in values}) < len(values):
        raise ValueError(f"{flag} must be named once; got {', '.join(values)}.")


def chosen(
    paths: Sequence[str],
    methods: Sequence[str],
    defaults: Mapping[str, Mapping[str, Any]],
    monitor: str,
) -> dict[str, dict[str, Any]]:
    """The changes of each method: a study's own, or the tuned ones of a file.

    Args:
      paths: the rows that ``experiments.accuracy`` or ``experiments.search`` wrote; of
        each method's, those with the best mean validation metric count, and of
        several files the last one's. None: the study's own settings.
      methods: names to look up.
      defaults: the study's own settings.
      monitor: the metric that settings are chosen by, on validation.

    Raises:
      ValueError: for a method without a setting.
    """
    found: Mapping[str, Mapping[str, Any]] = defaults
    if paths:
        found = study_lib.read_all_settings(paths, f"valid/{monitor}")
    check_names("methods", methods, found, f" of {', '.join(paths)}" if paths else "")
    return {name: dict(found[name]) for name in methods}


def run_points(
    study: Study,
    settings: Sequence[tuple[dict[str, Any], dict[str, Any]]],
    seeds: int,
    **data: Any,
) -> list[Row]:
    """Every ``(labels, changes)`` on every seed, once all of them are known to be valid.

    Raises:
      ValueError: for an impossible setting, before the first is trained.
    """
    study.check(changes for _, changes in settings)
    return [
        study.point({**changes, "seed": seed}, {**labels, "seed": seed}, **data)
        for labels, changes in settings
        for seed in range(seeds)
    ]


def write(
    study: Study,
    rows: Sequence[Row],
    by: Sequence[str],
    out: pathlib.Path,
    name: str,
    *,
    baseline: str | None = None,
) -> str:
    """Tidy rows, and a table of means over seeds; returns the table.

    Args:
      study: where the points are.
      rows: one a run.
      by: labels that make a line of the table.
      out: folder.
      name: stem of the files.
      baseline: a value of the label ``method``; adds the gain over it and paired tests
        (by user and by seed, Holm-corrected) within each group of the other labels.
    """
    if not rows:
        raise ValueError("nothing was asked for: no method, no rate or no seed.")
    study_lib.write_rows(rows, out / f"{name}.csv")
    metrics = [column for column in rows[0] if column.startswith("test/")]
    summary = study_lib.summarise(rows, by, metrics)
    header = [*by, *(metric.removeprefix("test/") for metric in metrics)]
    others = [label for label in by if label != "method"]
    compared = {} if baseline is None else _against(study, rows, others, baseline)
    body = []
    for line in summary:
        cells = [str(line[label]) for label in by]
        cells += [study_lib.plus_minus(line, metric) for metric in metrics]
        if baseline is not None:
            key = *(line[label] for label in others), line["method"]
            cells += compared.get(key, ["-"] * 3)
        body.append(cells)
    if baseline is not None:
        header += comparison_header(baseline)
    return study_lib.write_table(header, body, out / name, command(name))


def _against(
    study: Study, rows: Sequence[Row], others: Sequence[str], baseline: str
) -> dict[tuple, list[str]]:
    """The cells of each group's methods, by the group's labels and the method."""
    monitor = study.config.evaluation.monitor
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[label] for label in others), []).append(row)
    cells: dict[tuple, list[str]] = {}
    for labels, group in groups.items():
        summary = study_lib.summarise(group, ["method"], [f"test/{monitor}"])
        means = {line["method"]: line[f"test/{monitor}"] for line in summary}
        if baseline not in means:
            continue
        by_seed = study_lib.significance_by_seed(group, baseline, f"test/{monitor}")
        several = len(study.per_user(group[0], monitor)) > 1  # users to pair
        tests = (
            study_lib.significance(study, group, baseline, monitor) if several else {}
        )
        for name in means.keys() - {baseline}:
            cells[*labels, name] = comparison_cells(
                means[name], means[baseline], tests.get(name), by_seed[name]
            )
    return cells


def comparison_header(baseline: str) -> list[str]:
    """Heads of the columns that `comparison_cells` fills."""
    return [f"vs {baseline}", "p (t / Wilcoxon, Holm)", "p by seed"]


def comparison_cells(
    value: float,
    reference: float,
    found: evaluation.Comparison | None,
    by_seed: str,
) -> list[str]:
    """The gain over the reference, and the p values of the tests, of users if any."""
    of_users = f"{found.t_p_holm:.1e} / {found.wilcoxon_p_holm:.1e}" if found else "-"
    return [_gain(value, reference), of_users, by_seed]


def _gain(value: float, reference: float) -> str:
    return f"{value / reference - 1:+.1%}" if reference else "-"


def command(name: str) -> str:
    """The command that is running, as one would type it."""
    module = pathlib.Path(sys.argv[0]).stem
    module = module if module in (name, name.split("_")[0]) else name.split("_")[0]
    return f"python -m experiments.{module} {shlex.join(sys.argv[1:])}"
