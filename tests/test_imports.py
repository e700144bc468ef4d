"""Starting a run loads nothing that its first epoch does not use."""

import subprocess
import sys


def test_training_loads_no_heavy_package():
    code = (
        "import sys, drrl_jax.training;"
        "print([m for m in ('torch', 'scipy.stats', 'matplotlib', 'tensorboardX')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
