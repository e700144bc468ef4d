"""Writes docs/configuration.md: every field of the config with its default.

python docs/make_configuration.py
"""

import pathlib

from drrl_jax import training
from drrl_jax.training.checkpoint import flatten

HEAD = """# Configuration

Every field is a flag: `--config.section.field=value`. `None` takes the default of the
loss or of the backbone; a hyperparameter that a loss does not take is refused. This page
is written by `python docs/make_configuration.py`.

| field | default |
|---|---|
"""


def page() -> str:
    rows = flatten(training.default_config().to_dict())
    return HEAD + "".join(
        f"| `{name}` | `{value!r}` |\n" for name, value in rows.items()
    )


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("configuration.md").write_text(page())
