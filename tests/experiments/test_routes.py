"""The fit of the cost model finds the costs that times were made of."""

import numpy as np
import pytest

from drrl_jax import scores
from tests.experiments.modules import load

routes = load("routes")


def _times(costs, batch=8, dim=32, noise=0.0):
    rng = np.random.default_rng(0)
    times = {}
    for n in (1, 16, 256):
        for i in (100, 10_000):
            gather = batch * n * costs["row"] * dim / 64
            dense = batch * (n * costs["scalar"] + 3 * i * dim * costs["madd"])
            error = np.exp(noise * rng.normal(size=2))
            times[n, i] = {
                "gather": 1e-9 * gather * error[0],
                "dense": 1e-9 * dense * error[1],
            }
    return times


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_fit(noise):
    costs = {"row": 80.0, "scalar": 1.0, "madd": 0.03}
    found = routes.fit(_times(costs, noise=noise), batch=8, dim=32)
    for name, cost in costs.items():
        assert found[name] == pytest.approx(cost, rel=1e-6 + 6 * noise)


def test_the_fitted_costs_choose_the_faster_route():
    costs = {"row": 80.0, "scalar": 1.0, "madd": 0.03}
    times = _times(costs)
    for line in routes.choices(times, costs, batch=8, dim=32):
        assert line[6] == line[4] and line[8] == "1.00"


def test_a_wrong_choice_is_charged_what_it_takes_over_the_faster(monkeypatch):
    def choose(*_, cost=None):
        return "dense" if cost is None else "gather"

    monkeypatch.setattr(scores, "choose_route", choose)
    times = {(4, 20): {"gather": 1.0, "dense": 3.0}}
    (line,) = routes.choices(times, {}, batch=8, dim=32)
    assert line[4:] == ["gather", "dense", "gather", "3.00", "1.00"]
