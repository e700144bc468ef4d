"""A study on a tiny data set, one a file: its points are shared by the file's tests."""

import pytest

from experiments.study import Study
from tests.training.helpers import tiny_config, tiny_dataset


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    config = tiny_config(training__epochs=1, training__eval_every=1)
    return Study(tmp_path_factory.mktemp("study"), config, tiny_dataset())
