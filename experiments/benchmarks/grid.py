"""A grid of settings in one mapped program against one run alone.

python -m experiments.benchmarks.grid --settings=16
"""

import numpy as np
from absl import app, flags

from drrl_jax import data, training
from experiments.report_table import markdown_table

_PATH = flags.DEFINE_string("path", "", "Data folder; empty: the synthetic set.")
_SETTINGS = flags.DEFINE_integer("settings", 16, "Settings of the grid.")
_EPOCHS = flags.DEFINE_integer("epochs", 3, "Timed epochs.")
_SMOKE = flags.DEFINE_bool("smoke", False, "A tiny problem, to see that it runs.")


def main(_: list[str]) -> None:
    """Prints the table; the first epoch of each side compiles and is not in it."""
    settings, epochs, size = _SETTINGS.value, _EPOCHS.value, {}
    source = "files" if _PATH.value else "synthetic"
    if _SMOKE.value:
        settings, epochs, size = 2, 1, {"num_users": 60, "num_items": 80}
    dataset = data.load(source, path=_PATH.value or None, **size)
    config = training.default_config()
    if _SMOKE.value:
        config.model.dim = 8
    parts = training.build(config, dataset)
    rows, alone = [], None
    for count in (1, settings):
        overrides = {"temperature": np.linspace(0.1, 0.5, count).tolist()}
        seconds = training.train_grid(parts, overrides, epochs=1 + epochs).seconds
        epoch = float(np.median(seconds[1:]))
        alone = alone or epoch
        rows.append(
            [str(count), f"{epoch:.3g}", f"{epoch / alone:.2f}", f"{seconds[0]:.1f}"]
        )
    print(f"{dataset.name}: {len(dataset.train)} interactions")
    header = ["settings", "s/epoch of all", "over one", "first epoch (compiles) s"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    app.run(main)
