"""Benchmarks: ratios from one run, smoke-run in CI."""
