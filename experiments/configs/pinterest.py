"""Pinterest, the drrl protocol.

python -m experiments.train --config=experiments/configs/pinterest.py --workdir=runs/pinterest
"""

from experiments.configs.base import drrl_config


def get_config():
    return drrl_config("pinterest")
