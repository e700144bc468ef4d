"""Gowalla, the benchmark protocol.

python -m experiments.train --config=experiments/configs/gowalla.py --workdir=runs/gowalla
"""

from experiments.configs.base import benchmark_config


def get_config():
    return benchmark_config("gowalla")
