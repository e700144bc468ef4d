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
# # β finds its level
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
#
# The threshold β is where the worst case has used up its radius.
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
# ## The budget
# As the temperature falls, the weights of the dual move away from uniform: their
# divergence rises. The solution is where it equals the radius.

# %%
scores = 0.3 * jax.random.normal(jax.random.key(0), (256,))
gamma, radius = 2.0, 0.5
k = gamma / (gamma - 1)
solve = jax.jit(dro.worst_case)
worst = solve(scores, gamma=gamma, radius=radius)
levels = jnp.linspace(worst.threshold - 0.4, worst.threshold + 0.3, 60)
budget = []
for beta in levels:
    p = jnp.maximum(scores - beta, 0) ** (k - 1)
    uniform = jnp.full_like(scores, 1 / len(scores))
    budget.append(dro.renyi_divergence(p / p.sum(), uniform, gamma))
plt.plot(levels, budget)
plt.axhline(radius, color="grey")
plt.axvline(worst.threshold, color="red")
plt.xlabel("β")
plt.ylabel("divergence used")
plt.show()
print(f"β = {worst.threshold:.4f}, {int(worst.num_steps)} evaluations")
assert abs(np.interp(worst.threshold, levels, budget) - radius) < 1e-2

# %% [markdown]
# ## Learned against solved
# Gradient descent on the dual, as in the paper, comes to the same level.

# %%
weight = dro.weight_from_radius(radius, gamma)
slope = jax.jit(jax.grad(lambda b: dro.dual(scores, b, gamma=gamma, weight=weight)))
beta, path = jnp.asarray(0.0), []
for _ in range(300):
    beta = beta - 0.05 * slope(beta)
    path.append(float(beta))
plt.plot(path)
plt.axhline(worst.threshold, color="red")
plt.xlabel("descent step")
plt.ylabel("β")
plt.show()
assert abs(beta - worst.threshold) < 1e-2

# %% [markdown]
# ## β across users of a trained model

# %%
from drrl_jax import training

config = training.default_config()
config.training.epochs = 2
parts = training.build(config)
state, _ = training.fit(parts, progress=False)
users, items = parts.objective.embeddings(state.params, parts.data)
per_user = solve(users[:200] @ items.T, gamma=gamma, radius=radius)
plt.hist(np.asarray(per_user.threshold), bins=30)
plt.xlabel("β of a user")
plt.show()
