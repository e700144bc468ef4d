"""Training: config, objective, one-scan epochs, checkpoints, the loop."""

from drrl_jax.training.baselines import BASELINES, popularity, run_with_baselines
from drrl_jax.training.build import Parts, build, init_state, load_dataset
from drrl_jax.training.cache import enable_compilation_cache
from drrl_jax.training.checkpoint import Checkpointer, CheckpointError
from drrl_jax.training.config import default_config
from drrl_jax.training.epoch import jit_epoch
from drrl_jax.training.grid import Grid, train_grid
from drrl_jax.training.loop import evaluate_state, fit, run
from drrl_jax.training.objective import Batch, Objective, Scored
from drrl_jax.training.progress import NonFiniteLossError
from drrl_jax.training.recommend import recommend
from drrl_jax.training.restore import load_best
from drrl_jax.training.sampling import Sampling
from drrl_jax.training.state import DeviceData, TrainState
from drrl_jax.training.validation import validate

# What a user's input or machine can cause; the command line shows it as one sentence.
EXPECTED_ERRORS = (
    ValueError,
    FileNotFoundError,
    NonFiniteLossError,
    CheckpointError,
)

__all__ = [
    "BASELINES",
    "EXPECTED_ERRORS",
    "Batch",
    "CheckpointError",
    "Checkpointer",
    "DeviceData",
    "Grid",
    "NonFiniteLossError",
    "Objective",
    "Parts",
    "Sampling",
    "Scored",
    "TrainState",
    "build",
    "default_config",
    "enable_compilation_cache",
    "evaluate_state",
    "fit",
    "init_state",
    "jit_epoch",
    "load_best",
    "load_dataset",
    "popularity",
    "recommend",
    "run",
    "run_with_baselines",
    "train_grid",
    "validate",
]
