"""Electronic, the benchmark protocol.

python -m experiments.train --config=experiments/configs/electronic.py --workdir=runs/electronic
"""

from experiments.configs.base import benchmark_config


def get_config():
    return benchmark_config("amazon2014-electronic")
