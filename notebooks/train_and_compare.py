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
# # Train and compare
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/#upload=true)
#
# The same split, sampler and ranking for every loss. Real data where `DRRL_DATA` has
# Amazon Beauty, else the synthetic set.
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
import os
import pathlib

from drrl_jax import training

config = training.default_config()
beauty = (
    pathlib.Path(os.environ.get("DRRL_DATA", "../../shared/data")) / "amazon-beauty"
)
quick = bool(os.environ.get("DRRL_QUICK"))  # the tests: synthetic, small
if beauty.exists() and not quick:
    config.data.source, config.data.path = "files", str(beauty)
    config.evaluation.protocol = "drrl"
if quick:
    config.data.update({"num_users": 300, "num_items": 200, "num_interactions": 6000})
config.training.epochs = 2 if quick else 30
dataset = training.load_dataset(config)
print(dataset)

# %%
import copy

SETTINGS = {
    "SL": {"loss.name": "softmax", "loss.temperature": 0.2},
    "CCL": {"loss.name": "ccl"},
    "DrRL": {"loss.name": "drrl_tempered", "loss.gamma": 1.5, "loss.temperature": 0.3},
}
results, ndcg = {}, {}  # means, and the test NDCG of each user
for name, changes in SETTINGS.items():
    setting = copy.deepcopy(config)
    setting.update_from_flattened_dict(changes)
    parts = training.build(setting, dataset)
    state, results[name] = training.fit(parts, progress=False)
    found = training.evaluate_state(
        parts, state.params, parts.test_split, per_user=True
    )
    ndcg[name] = np.asarray(found["ndcg@20"])
    print(name, results[name]["test"], f"epoch {results[name]['best_epoch']}")

# %%
names = list(results)
plt.bar(names, [results[name]["test"]["ndcg@20"] for name in names])
plt.ylabel("NDCG@20, one seed")
plt.show()

# %% [markdown]
# Paired by user, corrected for the number of rivals (Holm). A small p says that other
# users of these two models would differ too, not that other seeds would: repeat over
# seeds before you believe a small difference.

# %%
from drrl_jax import evaluation

baseline = ndcg.pop("SL")
for name, test in evaluation.compare(baseline, ndcg).items():
    print(
        f"{name} against SL: {test.tests.relative:+.1%},"
        f" p {test.t_p_holm:.1e} (t), {test.wilcoxon_p_holm:.1e} (Wilcoxon)"
    )
