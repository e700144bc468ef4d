"""Command-line experiments on drrl_jax."""
