"""MovieLens-100K, 80/20 split at random, for the quick studies.

python -m experiments.train --config=experiments/configs/movielens_100k.py \\
    --workdir=runs/movielens_100k
"""

from experiments.configs.base import drrl_config


def get_config():
    config = drrl_config("movielens-100k")
    config.data.split = "random"
    config.training.epochs = 60
    return config
