"""Draws the README's picture: worst-case weights of negatives, by order.

python docs/images/weights_by_gamma.py
"""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from drrl_jax import dro

INVERSE_ORDERS = (1.0, 2 / 3, 1 / 2, 1 / 4, 0.0)
RADIUS = 1.0


def label(inverse: float) -> str:
    if inverse == 1:
        return "1/γ = 1: softmax loss (SL)"
    if inverse == 0:
        return "1/γ = 0: cosine contrastive loss (CCL)"
    return f"1/γ = {inverse:.2g}   (γ = {1 / inverse:.2g})"


def main() -> None:
    # Cosines of a trained model: most negatives near 0, a few hard (or false) ones.
    levels = (np.arange(1000) + 0.5) / 1000
    scores = jnp.clip(0.22 * jax.scipy.stats.norm.ppf(levels), -1, 1)
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    cmap = matplotlib.colormaps["viridis"]
    solve = jax.jit(dro.worst_case)  # orders are traced: one compilation for all
    for inverse in INVERSE_ORDERS:
        gamma = jnp.asarray(1 / inverse if inverse else jnp.inf)
        weights = solve(scores, gamma=gamma, radius=RADIUS).weights * scores.shape[0]
        left.plot(
            scores, weights, color=cmap(0.9 * (1 - inverse)), label=label(inverse)
        )
    left.set(
        xlabel="score of a negative",
        ylabel="weight, times the number of negatives",
        title=f"The worst case in a Rényi ball (η = {RADIUS:g})",
    )
    left.legend(frameon=False, fontsize=8)
    axis = np.linspace(0, 1, 41)
    orders = jnp.asarray([1 / x if x else np.inf for x in axis], jnp.float32)
    for radius, colour in ((0.5, "0.65"), (1.0, "0.35"), (1.5, "0.0")):
        rows = jnp.broadcast_to(scores, (len(axis), scores.shape[0]))
        solved = solve(rows, gamma=orders, radius=jnp.asarray(radius))
        heaviest = solved.weights.max(axis=-1) * scores.shape[0]
        right.plot(axis, heaviest, color=colour, label=f"η = {radius:g}")
    right.set(
        xlabel="1/γ      (0 is CCL, 1 is SL)",
        yscale="log",
        title="What the highest score gets",
    )
    right.minorticks_off()
    right.set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
