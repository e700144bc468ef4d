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
# # Use it in your model
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
#
# A loss takes scores and a mask. The model is yours.
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
import flax.linen as nn
import optax

from drrl_jax import data

dataset = data.synthetic(300, 200, 6000)
rows = jnp.asarray(dataset.train.users), jnp.asarray(dataset.train.items)


def draw(key, size=512, negatives=32):
    first, second = jax.random.split(key)
    index = jax.random.randint(first, (size,), 0, len(rows[0]))
    sampled = jax.random.randint(second, (size, negatives), 0, dataset.num_items)
    return rows[0][index], rows[1][index], sampled


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


# %% [markdown]
# ## Flax


# %%
class TwoTower(nn.Module):
    @nn.compact
    def __call__(self, users, positives, negatives):
        user = unit(nn.Embed(dataset.num_users, 32)(users))
        table = nn.Embed(dataset.num_items, 32)
        pos, neg = unit(table(positives)), unit(table(negatives))
        return (user * pos).sum(-1), jnp.einsum("bd,bnd->bn", user, neg)


def train(params, loss_fn, steps=60):
    optimiser = optax.adam(0.02)

    @jax.jit
    def step(params, opt_state, key):
        value, grads = jax.value_and_grad(loss_fn)(params, draw(key))
        updates, opt_state = optimiser.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    opt_state, curve = optimiser.init(params), []
    for key in jax.random.split(jax.random.key(1), steps):
        params, opt_state, value = step(params, opt_state, key)
        curve.append(float(value))
    return curve


model = TwoTower()
params = model.init(jax.random.key(0), *draw(jax.random.key(0)))
curve = train(
    params,
    lambda p, batch: losses.drrl_tempered(
        *model.apply(p, *batch), gamma=1.5, temperature=0.3
    ),
)
assert curve[-1] < curve[0]

# %% [markdown]
# ## Optax alone

# %%
first, second = jax.random.split(jax.random.key(0))
tables = {
    "users": jax.random.normal(first, (dataset.num_users, 32)),
    "items": jax.random.normal(second, (dataset.num_items, 32)),
}


def loss_fn(tables, batch):
    users, positives, negatives = batch
    user = unit(tables["users"])[users]
    items = unit(tables["items"])
    pos = (user * items[positives]).sum(-1)
    neg = jnp.einsum("bd,bnd->bn", user, items[negatives])
    return losses.drrl(pos, neg, gamma=1.5, radius=1.0)


plain = train(tables, loss_fn)
plt.plot(curve, label="Flax, tempered")
plt.plot(plain, label="Optax, solved")
plt.title("two losses: compare their shapes, not their heights")
plt.legend()
plt.show()
assert plain[-1] < plain[0]

# %% [markdown]
# ## Lists, as in rax: scores, labels, where

# %%
scores = jnp.array([[2.0, 1.0, 0.0, 9.0]])
labels = jnp.array([[1, 0, 0, 0]])
where = jnp.array([[True, True, True, False]])
print(
    losses.from_lists(losses.drrl, scores, labels, where=where, gamma=2.0, radius=0.5)
)
