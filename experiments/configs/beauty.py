"""Amazon Beauty, the drrl protocol.

python -m experiments.train --config=experiments/configs/beauty.py --workdir=runs/beauty
"""

from experiments.configs.base import drrl_config


def get_config():
    return drrl_config("amazon-beauty")
