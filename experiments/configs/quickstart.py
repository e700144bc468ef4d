"""The offline quickstart: DrRL on the synthetic set, beside popularity and BPR.

python -m experiments.train
"""

from drrl_jax import training


def get_config():
    config = training.default_config()
    config.baselines = ("popularity", "bpr")
    return config
