"""The published tables: every row can be trained, and what is unknown is refused."""

import dataclasses

import pytest

from drrl_jax import training
from experiments import published
from experiments import study as study_lib
from experiments.configs.base import benchmark_config
from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset

ROWS = [
    (name, backbone, loss)
    for name, figures in published.PUBLISHED.items()
    for backbone, loss in figures
]


def study(folder, path="anywhere/gowalla"):
    config = tiny_config(
        data__source="files",
        data__path=path,
        training__epochs=1,
        evaluation__ks=(20,),
        evaluation__monitor="ndcg@20",
        evaluation__protocol="benchmark",
    )
    return Study(folder, config, tiny_dataset())


@pytest.mark.parametrize(("name", "backbone", "loss"), ROWS, ids=":".join)
def test_every_row_has_settings_that_are_valid(name, backbone, loss):
    config = benchmark_config(name)
    config.update_from_flattened_dict(
        {
            **published.BACKBONES[backbone],
            "loss.name": loss,
            **published.SETTINGS[name][loss],
        }
    )
    training.validate(config)
    assert (config.training.epochs, config.training.patience) == (200, 0)


def test_no_settings_without_a_figure():
    assert set(published.SETTINGS) == set(published.PUBLISHED)
    for name, figures in published.PUBLISHED.items():
        assert set(published.SETTINGS[name]) == {loss for _, loss in figures}
        assert set(published.BACKBONES) == {backbone for backbone, _ in figures}
        assert all(0 < ndcg < recall < 1 for recall, ndcg in figures.values())


def test_a_row_stands_beside_its_figure_and_is_kept(tmp_path):
    first = published.run(study(tmp_path), tmp_path / "out", rows=("mf:bpr",))
    assert "| mf       | bpr  |" in first and "| 0.1355    |" in first
    second = published.run(study(tmp_path), tmp_path / "out", rows=("mf:softmax",))
    lines = second.splitlines()
    assert [line.split()[3] for line in lines[2:]] == ["bpr", "softmax"]
    for suffix in ("csv", "md", "tex", "png"):
        assert (tmp_path / "out" / f"published.{suffix}").stat().st_size > 0


def test_rows_of_other_data_are_not_compared_with_these_figures(tmp_path):
    published.run(study(tmp_path), tmp_path / "out", rows=("mf:bpr",))
    other = study(tmp_path / "other", "anywhere/amazon2014-electronic")
    other.dataset = dataclasses.replace(other.dataset, test=other.dataset.valid)
    with pytest.raises(ValueError, match="published.csv has rows of other data"):
        published.run(other, tmp_path / "out", rows=("mf:bpr",))


def test_figures_are_at_20(tmp_path):
    config = tiny_config(data__source="files", data__path="data/gowalla")
    with pytest.raises(ValueError, match="hold recall and ndcg at 20, .* at 5, 10"):
        published.run(Study(tmp_path, config, tiny_dataset()), tmp_path)


def test_figures_are_of_the_benchmark_protocol(tmp_path):
    other = study(tmp_path)
    other.config.evaluation.protocol = "drrl"
    with pytest.raises(
        ValueError, match="protocol must be 'benchmark', .*; got 'drrl'"
    ):
        published.run(other, tmp_path)


def test_unknown_rows_and_data_sets_are_one_sentence(tmp_path):
    for row in ("mf:sofmax", "mf", "lightgcn:llpauc"):
        with pytest.raises(
            ValueError, match=rf"rows must be among mf:bpr, .*; got {row}\."
        ):
            published.run(study(tmp_path), tmp_path, rows=("mf:bpr", row))
    with pytest.raises(
        ValueError, match="must end in one of amazon2014-electronic, gowalla, .*yelp'"
    ):
        published.run(study(tmp_path, "data/yelp"), tmp_path)
    assert not (tmp_path / "published.csv").exists()


def test_a_difference_is_over_the_figure(tmp_path):
    row = {"backbone": "mf", "loss": "bpr", "negatives": "1 a row", "seconds": 5.0}
    row |= {"best_epoch": 3, "epochs": 4, "data": "0"}
    row |= {"test/recall@20": 1.1 * 0.1355, "test/ndcg@20": 0.8 * 0.1111}
    figures = published.PUBLISHED["gowalla"]
    table = published._write(None, [row], figures, tmp_path)
    assert "| +10.0%     |" in table and "| -20.0%     |" in table


def test_rows_without_a_figure_are_not_kept(tmp_path):
    numbers = ("test/recall@20", "test/ndcg@20", "best_epoch", "epochs", "seconds")
    rows = [
        {"backbone": "mf", "loss": loss, **dict.fromkeys(numbers, 1)}
        for loss in ("bpr", "bce", "softmax")
    ]
    study_lib.write_rows(rows, tmp_path / "published.csv")
    known = [("mf", "bpr"), ("mf", "softmax")]
    kept = published._kept(tmp_path / "published.csv", [("mf", "bpr")], known, "0")
    assert [row["loss"] for row in kept] == ["softmax"]
