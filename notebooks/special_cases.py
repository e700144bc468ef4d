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
# # Special cases, checked live
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
#
# Each identity is an assertion: if the cell runs, it holds.
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

# %%
key = jax.random.split(jax.random.key(0), 2)
pos = jax.random.uniform(key[0], (8,), minval=-1)
neg = jax.random.uniform(key[1], (8, 100), minval=-1)

# %% [markdown]
# ## γ = 1 is the softmax loss, up to the constant log N

# %%
tau = 0.2
tempered = losses.drrl_tempered(pos, neg, gamma=1.0, temperature=tau, reduce_fn=None)
softmax = losses.softmax(pos, neg, temperature=tau, reduce_fn=None)
np.testing.assert_allclose(tempered, tau * (softmax - np.log(100)), atol=1e-5)

# %% [markdown]
# ## γ = ∞ with a given threshold is CCL plus its margin

# %%
dual = losses.drrl_dual(
    pos, neg, threshold=0.3, gamma=np.inf, weight=2.0, reduce_fn=None
)
ccl = losses.ccl(pos, neg, margin=0.3, negative_weight=2.0, reduce_fn=None)
np.testing.assert_allclose(dual, ccl + 0.3, atol=1e-5)

# %% [markdown]
# ## γ = ∞, solved, is conditional value at risk: the mean of the best e^-η

# %%
worst = dro.worst_case_mean(neg, gamma=np.inf, radius=np.log(10.0))
np.testing.assert_allclose(worst, np.sort(neg)[:, -10:].mean(axis=1), atol=1e-5)

# %% [markdown]
# ## The ends of the radius: the mean and the maximum

# %%
np.testing.assert_allclose(
    dro.worst_case_mean(neg, gamma=2.0, radius=0.0), neg.mean(axis=1), atol=1e-5
)
np.testing.assert_allclose(
    dro.worst_case_mean(neg, gamma=2.0, radius=10.0), neg.max(axis=1), atol=1e-5
)

# %% [markdown]
# ## The paper's Algorithm 1: β descends to the worst case
#
# Algorithm 1 keeps a threshold β for each user and moves it by SGD beside the model. At the
# best β its loss is the solved worst case plus a hinge on the positive, and SGD finds it.

# %%
gamma, radius = 2.0, 0.5
weight = dro.weight_from_radius(radius, gamma)
best = dro.worst_case(neg, gamma=gamma, radius=radius)
hinge = jnp.maximum(1 - pos, 0)


def algorithm_1(beta):
    return losses.drrl_dual(
        pos, neg, threshold=beta, gamma=gamma, weight=weight, reduce_fn=None
    )


np.testing.assert_allclose(algorithm_1(best.threshold), hinge + best.value, atol=1e-5)
descent = jax.jit(jax.grad(lambda beta: algorithm_1(beta).sum()))
beta = jnp.zeros(8)
for _ in range(300):
    beta -= 0.1 * descent(beta)
np.testing.assert_allclose(beta, best.threshold, atol=1e-3)

# %% [markdown]
# ## The gradient is the worst case's weight

# %%
gradient = jax.grad(lambda f: dro.worst_case_mean(f, gamma=1.5, radius=0.5).sum())(neg)
weights = dro.worst_case(neg, gamma=1.5, radius=0.5).weights
np.testing.assert_allclose(gradient, weights, atol=1e-6)
print("all hold")
