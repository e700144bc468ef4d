"""What every study shares: points run once, tidy rows, tables, plots, tests.

A *point* is one training run: a base config, changes to it, and labels for the table.
Its row is kept in ``workdir/points``, so an interrupted study goes on where it was, and
two studies that need the same point run it once.
"""

import contextlib
import copy
import csv
import functools
import hashlib
import json
import os
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict

import drrl_jax
from drrl_jax import data, evaluation, training
from experiments.report_table import latex_table, markdown_table

Row = dict[str, Any]
Made = tuple[Row, Mapping[str, jax.Array]]
# Changes of a run that are not part of its setting.
_NOT_SETTINGS = ("seed", "training.epochs", "training.batch_size")
# Labels of a table whose rows differ in nothing else: not the data, nor noise in them.
_OF_ONE_CONDITION = ("method", "seed", "trial")


class Study:
    """Runs points of one base config on one data set.

    Args:
      workdir: folder of the study; points are kept in ``workdir/points``.
      config: the base config.
      dataset: data to use; by default what the config names, loaded once, when first
        asked for: what a study refuses, it refuses before.
      load: loads what the config names.
      progress: show a progress bar for each run.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        config: config_dict.ConfigDict,
        dataset: data.Dataset | None = None,
        *,
        load: Callable[[config_dict.ConfigDict], data.Dataset] = training.load_dataset,
        progress: bool = False,
    ):
        self.workdir = pathlib.Path(workdir)
        self.config = config
        self.progress = progress
        self._load = load if dataset is None else lambda _: dataset
        self._noted = False

    @functools.cached_property
    def dataset(self) -> data.Dataset:
        """The study's data."""
        return self._load(self.config)

    def point(
        self,
        changes: Mapping[str, Any],
        labels: Mapping[str, Any],
        dataset: data.Dataset | None = None,
        dataset_key: str = "",
    ) -> Row:
        """Trains one setting, or reads the row of when it was trained.

        Args:
          changes: ``{"loss.name": …}`` on top of the base config.
          labels: columns of the row that name the point.
          dataset: data of this point, if not the study's (noise, windows).
          dataset_key: names that data set, so that its points are told apart.

        Returns:
          The labels, ``test/…``, ``valid/…``, ``best_epoch``, ``epochs``, ``seconds``
          and ``key``, under which ``per_user`` finds each user's metric.
        """
        config = self.configured(changes)

        def make() -> Made:
            parts = training.build(config, dataset or self.dataset)
            return made_of(parts, *training.fit(parts, progress=self.progress))

        return self.keep(config, changes, labels, make, dataset_key, dataset)

    def with_false_positives(self, rate: str) -> dict[str, Any]:
        """What `point` takes for data with a share of random items among the positives.

        Args:
          rate: the share, of each user's positives, as it was typed.
        """
        seed = self.config.data.seed
        noisy = data.add_false_positives(self.dataset, float(rate), seed=seed)
        return {"dataset": noisy, "dataset_key": f"false positives {rate}"}

    def configured(self, changes: Mapping[str, Any]) -> config_dict.ConfigDict:
        """The base config with the changes made, and no baselines."""
        config = copy.deepcopy(self.config)
        try:
            config.update_from_flattened_dict(dict(changes))
        except KeyError as error:  # of a table that another version wrote
            raise ValueError(
                f"settings must be fields of the config; got {', '.join(changes)}."
            ) from error
        config.baselines = ()
        return config

    def keep(
        self,
        config: config_dict.ConfigDict,
        changes: Mapping[str, Any],
        labels: Mapping[str, Any],
        make: Callable[[], Made],
        suffix: str = "",
        dataset: data.Dataset | None = None,
    ) -> Row:
        """The row of a point, made unless it was before.

        A row that another version of the library or another kind of device made is
        taken all the same; a line says so, once a study.

        Args:
          config: names the point, together with ``suffix``.
          changes: written into the row: those from this study's base config, whichever
            study trained the point.
          labels: columns that name the point; not kept, so that studies may share it.
          make: returns its row and its arrays; of a run those of `made_of`.
          suffix: what else tells the point from others of this config.
          dataset: data of this point, if not the study's.

        Raises:
          ValueError: if the point was made from other data.
        """
        identity = json.dumps(_set_fields(config), sort_keys=True, default=str) + suffix
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        path = self.workdir / "points" / f"{key}.json"
        users_path = self._users_path(key)
        fingerprint = (dataset or self.dataset).fingerprint
        own = {"changes": json.dumps(dict(changes), sort_keys=True)}
        if path.exists() and users_path.exists():
            row = json.loads(path.read_text())
            if row.get("data", fingerprint) != fingerprint:
                raise ValueError(
                    f"{path} was trained on other data: its fingerprint is"
                    f" {row['data']!r}, here it is {fingerprint!r}. Choose another"
                    " --workdir, or delete that file."
                )
            self._note_maker(row)
            return {**labels, **row, **own}
        made, users = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(users_path) as temporary:
            np.savez_compressed(
                temporary,
                **{
                    name: np.asarray(value, np.float32) for name, value in users.items()
                },
            )
        row = {
            **made,
            **own,
            "key": key,
            "data": fingerprint,
            **_maker(),
        }
        with _replacing(path) as temporary:
            temporary.write_text(json.dumps(row) + "\n")
        return {**labels, **row}

    def lines(
        self,
        make: Callable[..., list[Row]],
        changes: Mapping[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> list[Row]:
        """What a run gives beside its row, such as a trajectory, kept as points are.

        Args:
          make: trains, and returns lines of a table: it is called as ``make(study,
            changes, *args, **kwargs)``, and its name and these name the point.
          changes: of the run.
          *args: as ``**kwargs``, what else it takes.
        """
        row = self.keep(
            self.configured(changes),
            changes,
            {},
            lambda: ({"lines": make(self, changes, *args, **kwargs)}, {}),
            f" {make.__name__} {args} {kwargs}",
        )
        return list(row["lines"])

    def _note_maker(self, row: Row) -> None:
        """Says, once, that a point comes from other code or another kind of device."""
        mine = _maker()
        other = {k: row[k] for k, v in mine.items() if row.get(k, v) != v}
        if other and not self._noted:
            here = ", ".join(f"{name} {mine[name]}" for name in other)
            there = ", ".join(f"{name} {value}" for name, value in other.items())
            print(f"points of {self.workdir} are of {there}; here it is {here}")
            self._noted = True

    def per_user(self, row: Row, metric: str) -> np.ndarray:
        """The metric of each evaluated user of a point, in the plan's order."""
        with np.load(self._users_path(row["key"])) as file:
            return np.asarray(file[metric])

    def arrays(self, row: Row) -> dict[str, np.ndarray]:
        """All that was made with a point's row: of a run, each user's metrics."""
        with np.load(self._users_path(row["key"])) as file:
            return dict(file)

    def _users_path(self, key: str) -> pathlib.Path:
        return self.workdir / "points" / f"{key}.npz"

    def need_validation(self) -> None:
        """Raises ``ValueError`` where there is nothing to choose settings by."""
        if not len(self.dataset.valid):
            raise ValueError(
                f"{self.dataset.name} has no validation interactions to choose a setting"
                " by; every user has too few."
            )

    def check(self, settings: Iterable[Mapping[str, Any]]) -> None:
        """Refuses impossible settings, all of them before the first is run.

        Raises:
          ValueError: what `training.validate` says of the first such.
        """
        for changes in settings:
            training.validate(self.configured(changes))

    def tune(
        self, grid: Sequence[Mapping[str, Any]], labels: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], list[Row]]:
        """The setting of a grid with the best validation metric at seed 0, and all rows.

        Raises:
          ValueError: for an empty grid, an impossible setting, runs without an epoch, or
            data without a validation part; before anything is trained.
        """
        monitor = f"valid/{self.config.evaluation.monitor}"
        if not grid:
            raise ValueError("a budget must be at least one setting; got none.")
        self.need_validation()
        self.check(grid)
        for changes in grid:
            need_epochs(self.configured(changes), "tune")
        rows = [self.point({**changes, "seed": 0}, labels) for changes in grid]
        best = max(range(len(rows)), key=lambda i: rows[i][monitor])
        return grid[best], rows


def made_of(
    parts: training.Parts, state: training.TrainState, results: Mapping[str, Any]
) -> Made:
    """A run's row and each user's metrics; results under ``extra`` join the row."""
    users = training.evaluate_state(
        parts, state.params, parts.test_split, per_user=True
    )
    row = {
        **{f"test/{name}": value for name, value in results["test"].items()},
        **{f"valid/{name}": value for name, value in results["valid"].items()},
        **{name: results[name] for name in ("best_epoch", "epochs", "seconds")},
        **results.get("extra", {}),
    }
    return row, users


def at_the_end(grid: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    """Says which numbers of a choice are the largest or smallest that were tried.

    Example:
      >>> tried = [{"loss.temperature": t} for t in (0.1, 0.2, 0.3)]
      >>> at_the_end(tried, tried[2]), at_the_end(tried, tried[1])
      (' (at the end of its grid: loss.temperature)', '')
    """
    ends = []
    for name, value in best.items():
        tried = {row[name] for row in grid if name in row}
        if len(tried) > 1 and not isinstance(value, str):
            ends += [name] * (value in (min(tried), max(tried)))
    return f" (at the end of its grid: {', '.join(ends)})" if ends else ""


@functools.cache
def _maker() -> dict[str, str]:
    """What makes a point, beside its config and data: the library and the device."""
    package = pathlib.Path(drrl_jax.__file__).parent
    code = 0
    for path in sorted(package.rglob("*.py")):
        code = zlib.crc32(path.read_bytes(), code)
    return {"code": f"{code:08x}", "device": jax.devices()[0].device_kind}


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file of this process, which takes the place of ``path`` once it is whole."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    yield temporary
    temporary.replace(path)


def need_epochs(config: config_dict.ConfigDict, purpose: str) -> None:
    """Raises ``ValueError`` for a run that trains nothing, which has no validation."""
    if not config.training.epochs:
        raise ValueError(f"training.epochs must be at least 1 to {purpose}; got 0.")


def _set_fields(config: config_dict.ConfigDict) -> dict[str, Any]:
    """The fields that hold something: one that is new, and unset, renames no point."""
    return {
        name: _set_fields(value) if isinstance(value, config_dict.ConfigDict) else value
        for name, value in config.items()
        if value is not None
    }


def grid(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations; ``__`` stands for the dot of a config field.

    Example:
      >>> grid(loss__gamma=(1.5, 2.0), seed=(0,))
      [{'loss.gamma': 1.5, 'seed': 0}, {'loss.gamma': 2.0, 'seed': 0}]
    """
    settings: list[dict[str, Any]] = [{}]
    for name, values in axes.items():
        field = name.replace("__", ".")
        settings = [{**s, field: value} for s in settings for value in values]
    return settings


def summarise(
    rows: Sequence[Row], by: Sequence[str], metrics: Sequence[str]
) -> list[Row]:
    """Mean and standard deviation (n − 1) of the metrics over rows of equal labels."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    summary = []
    for labels, members in groups.items():
        line: Row = dict(zip(by, labels)) | {"runs": len(members)}
        for metric in metrics:
            values = np.array([member[metric] for member in members], float)
            line[metric] = float(values.mean())
            spread = values.std(ddof=1) if len(values) > 1 else float("nan")
            line[f"{metric}/std"] = float(spread)
        summary.append(line)
    return summary


def significance(
    study: Study, rows: Sequence[Row], baseline: str, metric: str, by: str = "method"
) -> dict[str, evaluation.Comparison]:
    """Every method against the baseline, paired by user, Holm-corrected.

    A user's value is the mean over the seeds, so that a pair differs in the method only.
    """
    means = {}
    for name in dict.fromkeys(row[by] for row in rows):
        members = [study.per_user(row, metric) for row in rows if row[by] == name]
        means[name] = np.mean(members, axis=0)
    others = {name: values for name, values in means.items() if name != baseline}
    return evaluation.compare(means[baseline], others)


def significance_by_seed(
    rows: Sequence[Row], baseline: str, metric: str, by: str = "method"
) -> dict[str, str]:
    """Every method against the baseline, paired by seed: Holm-corrected t-tests.

    Users say whether these models differ, seeds whether the methods do: where runs of one
    method differ by more than their users can tell, only the seeds count. ``-`` for the
    baseline, and for fewer than two seeds in common.
    """
    values: dict[str, dict[Any, float]] = {}
    for row in rows:
        values.setdefault(row[by], {})[row["seed"]] = row[metric]
    base = values.pop(baseline)
    shared = [seed for seed in base if all(seed in other for other in values.values())]
    if len(shared) < 2 or not values:
        return dict.fromkeys([baseline, *values], "-")
    found = evaluation.compare(
        [base[seed] for seed in shared],
        {name: [other[seed] for seed in shared] for name, other in values.items()},
    )
    return {baseline: "-"} | {k: f"{v.t_p_holm:.1e}" for k, v in found.items()}


def read_all_settings(paths: Sequence[str], metric: str) -> dict[str, Row]:
    """`read_settings` of several files; a method in two has the last one's."""
    found: dict[str, Row] = {}
    for path in paths:
        found |= read_settings(pathlib.Path(path), metric)
    return found


def read_settings(path: pathlib.Path, metric: str) -> dict[str, Row]:
    """The best setting of each method in rows that a study wrote.

    Rows of a method that differ in the seed only are runs of one setting; the setting
    with the best mean of the metric is the method's.

    Args:
      path: a ``.csv`` with the columns ``method``, ``changes`` and the metric.
      metric: column to choose by, such as ``valid/ndcg@20``.

    Returns:
      ``{method: changes}``, without seeds, sizes of batches and budgets of epochs.

    Raises:
      ValueError: if a column is missing, or rows are of several conditions, such as
        rates of noise, which would come along with the setting.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    columns = list(reader.fieldnames or []) if rows else []
    if not {metric, "method", "changes"} <= set(columns):
        raise ValueError(
            f"{path} must have the columns method, changes and {metric};"
            f" got {', '.join(columns) or 'no row'}."
        )
    labels = columns[: min(columns.index(name) for name in (metric, "changes"))]
    labels = [label for label in labels if not label.startswith(("test/", "valid/"))]
    if conditions := [label for label in labels if label not in _OF_ONE_CONDITION]:
        raise ValueError(
            f"{path} must be a table of one condition, as `experiments.accuracy` and"
            f" `search` write; its rows differ in {', '.join(conditions)}."
        )
    runs: dict[str, dict[str, list[float]]] = {}
    for number, row in enumerate(rows, 1):
        try:
            changes, value = dict(json.loads(row["changes"])), float(row[metric])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: row {number} must have a number as {metric} and settings as"
                f" changes; got {row[metric]!r} and {row['changes']!r}."
            ) from error
        kept = {k: v for k, v in changes.items() if k not in _NOT_SETTINGS}
        of_method = runs.setdefault(row["method"], {})
        of_setting = of_method.setdefault(json.dumps(kept, sort_keys=True), [])
        of_setting.append(value)
    return {
        method: json.loads(max(found, key=lambda name: float(np.mean(found[name]))))
        for method, found in runs.items()
    }


def write_rows(rows: Sequence[Row], path: pathlib.Path) -> None:
    """Tidy results: one line a run."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_table(
    header: list[str], body: list[list[str]], stem: pathlib.Path, command: str
) -> str:
    """The table as ``.md`` (with the command that made it) and ``.tex``; returns it."""
    table = markdown_table(header, body)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(f"{table}\n\nMade by `{command}`\n")
    stem.with_suffix(".tex").write_text(latex_table(header, body))
    return table


def plus_minus(line: Row, metric: str, digits: int = 4) -> str:
    """``.0946 ± .0003`` of a summary line."""
    spread = line[f"{metric}/std"]
    if np.isnan(spread):
        return f"{line[metric]:.{digits}f}"
    return f"{line[metric]:.{digits}f} ± {spread:.{digits}f}"
