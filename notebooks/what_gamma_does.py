# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What γ does
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
#
# γ is the Rényi order of the ball in which the worst case is taken. On the axis 1/γ,
# CCL is at 0 and SL at 1; DrRL is what lies between.
#
# In Colab: upload this file, then, by the folder symbol at the left, the package's wheel
# (`python -m build` in a clone writes it to `dist`); the next cell installs it.
# Runtime → Change runtime type gives an accelerator; nothing here needs one.

# %%
import glob
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("drrl_jax") is None:
    found = glob.glob("drrl_jax-*.whl")  # uploaded beside this notebook
    if glob.glob("../setup.cfg"):  # the clone that it lies in
        found.append("..")
    if not found:
        raise FileNotFoundError(
            "drrl_jax is not installed: upload its wheel, drrl_jax-*.whl, to this"
            " folder and run this cell again."
        )
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", found[0]])

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from drrl_jax import dro, losses

print("running on", jax.default_backend())

# %% [markdown]
# ## Real scores
# A briefly trained model on the synthetic set gives one user's scores of the catalogue.

# %%
from drrl_jax import training

config = training.default_config()
config.training.epochs = 3
parts = training.build(config)
state, results = training.fit(parts, progress=False)
users, items = parts.objective.embeddings(state.params, parts.data)
user = 7
seen = np.unique(parts.dataset.train.items[parts.dataset.train.users == user])
scores = jnp.asarray(np.delete(np.asarray(items @ users[user]), seen))
print(results["test"], scores.shape)

# %% [markdown]
# ## The worst case of each order
# The order is traced, so one compilation serves all.

# %%
solve = jax.jit(dro.worst_case)


def show(inverse_order, radius=1.0):
    gamma = jnp.asarray(1 / inverse_order if inverse_order else jnp.inf)
    worst = solve(scores, gamma=gamma, radius=jnp.asarray(radius))
    order = np.argsort(scores)
    plt.plot(
        scores[order], worst.weights[order] * len(scores), label=f"{inverse_order:.2f}"
    )
    return worst


for inverse_order in (1.0, 0.67, 0.5, 0.25, 0.0):
    worst = show(inverse_order)
    support = float((worst.weights > 0).mean())
    print(f"1/γ {inverse_order:.2f}: value {worst.value:.3f}, support {support:.0%}")
plt.legend(title="1/γ")
plt.xlabel("score")
plt.ylabel("weight × N")
plt.show()

# %% [markdown]
# At the SL end everything has some weight and the top has most; at the CCL end it
# is flat above a threshold, and zero below. Move the slider:

# %%
try:
    import ipywidgets

    ipywidgets.interact(
        lambda inverse, radius: (show(inverse, radius), plt.show())[1],
        inverse=(0.0, 1.0, 0.05),
        radius=(0.1, 3.0, 0.1),
    )
except ImportError:
    show(0.5)
