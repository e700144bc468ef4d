"""MovieLens-1M, the drrl protocol.

python -m experiments.train --config=experiments/configs/movielens_1m.py --workdir=runs/movielens_1m
"""

from experiments.configs.base import drrl_config


def get_config():
    return drrl_config("movielens-1m")
