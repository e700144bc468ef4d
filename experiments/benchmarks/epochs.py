"""Seconds an epoch by loss and threshold mode, against a plain PyTorch loop.

  python -m experiments.benchmarks.epochs --path=$DRRL_DATA/amazon-beauty

Both sides run MF with Adam, uniform negatives outside the user's positives and the
same batch size, negatives and dimension, in this one process, on the same threads,
turn by turn. The PyTorch loop is what one would write by hand: index the embeddings,
normalise, one einsum, the loss, backward, Adam; its negatives are drawn by vectorised
rejection. PyTorch is optional (pip install 'drrl_jax[torch]'); without it, and for
losses that only this project has, the ratio column is empty.
"""

import math
import time

import jax
import numpy as np
from absl import app, flags

from drrl_jax import data, training
from experiments import clock
from experiments.report_table import markdown_table

_PATH = flags.DEFINE_string("path", "", "Data folder; empty: the synthetic set.")
_LOSSES = flags.DEFINE_list("losses", [], "Rows of the table; all if left out.")
_BATCH = flags.DEFINE_integer("batch_size", 1024, "Rows a step.")
_NEGATIVES = flags.DEFINE_integer("negatives", 64, "Negatives a row.")
_DIM = flags.DEFINE_integer("dim", 64, "Embedding dimension.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed epochs of each side; the median.")
_SMOKE = flags.DEFINE_bool("smoke", False, "One epoch of a tiny set, to see it run.")

# name -> (config of ours, loss of the PyTorch loop or None)
RUNS = {
    "bpr": ({"loss.name": "bpr"}, "bpr"),
    "softmax": ({"loss.name": "softmax"}, "softmax"),
    "ccl": ({"loss.name": "ccl"}, "ccl"),
    "psl": ({"loss.name": "psl"}, None),
    "drrl_tempered": ({"loss.name": "drrl_tempered"}, "drrl_tempered"),
    "drrl learned": ({"loss.name": "drrl_dual"}, "drrl_dual"),
    "drrl solved": ({"loss.name": "drrl"}, None),
    "drrl user": ({"loss.name": "drrl", "loss.threshold_mode": "user"}, None),
    "softmax, all items": (
        {"loss.name": "softmax", "training.negatives": "all"},
        None,
    ),
}


def jax_epoch(dataset: data.Dataset, changes: dict):
    """A function that runs one of our epochs and waits for it."""
    config = training.default_config()
    config.training.batch_size = _BATCH.value
    config.training.negatives = str(_NEGATIVES.value)
    config.model.dim = _DIM.value
    config.update_from_flattened_dict(changes)
    parts = training.build(config, dataset)
    epoch = training.jit_epoch(parts.epoch)
    carried = [parts.init()]

    def one() -> None:
        carried[0], losses = epoch(carried[0], parts.data, np.uint32(0), {})
        jax.block_until_ready((carried[0], losses))

    return one


def torch_epoch(dataset: data.Dataset, name: str):
    """The same epoch as a plain PyTorch loop; ``None`` without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    device = clock.torch_device(torch)
    users = torch.as_tensor(
        np.asarray(dataset.train.users), dtype=torch.long, device=device
    )
    items = torch.as_tensor(
        np.asarray(dataset.train.items), dtype=torch.long, device=device
    )
    seen = torch.sort(users * dataset.num_items + items).values
    user_table = torch.nn.Embedding(dataset.num_users, _DIM.value)
    item_table = torch.nn.Embedding(dataset.num_items, _DIM.value)
    threshold = torch.nn.Embedding(dataset.num_users, 1)
    for table in (user_table, item_table):
        torch.nn.init.xavier_uniform_(table.weight)
    torch.nn.init.zeros_(threshold.weight)
    adam = torch.optim.Adam([user_table.weight, item_table.weight], lr=0.01)
    sgd = torch.optim.SGD([threshold.weight], lr=1e-3)

    def negatives(batch):
        drawn = torch.randint(dataset.num_items, (len(batch), _NEGATIVES.value))
        while True:  # redraw what hits a positive
            flat = batch[:, None] * dataset.num_items + drawn
            place = torch.searchsorted(seen, flat).clamp(max=len(seen) - 1)
            bad = seen[place] == flat
            if not bad.any():
                return drawn
            drawn[bad] = torch.randint(dataset.num_items, (int(bad.sum()),))

    def loss_of(u, i, n, batch):
        if name != "bpr":
            u, i, n = (torch.nn.functional.normalize(x, dim=-1) for x in (u, i, n))
        positive = (u * i).sum(-1)
        negative = torch.einsum("bd,bnd->bn", u, n)
        if name == "bpr":
            return torch.nn.functional.softplus(negative - positive[:, None]).mean()
        if name == "softmax":
            return (torch.logsumexp(negative / 0.2, -1) - positive / 0.2).mean()
        if name == "ccl":
            hinge = torch.relu(negative - 0.3).mean(-1)
            return (torch.relu(1 - positive) + 5 * hinge).mean()
        if name == "drrl_tempered":
            k, tau = 3.0, 0.3
            top = negative.max(-1, keepdim=True).values
            ratio = torch.relu(1 - (top - negative) / (k * tau))
            moment = (ratio**k).mean(-1) ** (1 / k)
            return (top[:, 0] + k * tau * (moment - 1) - positive).mean()
        beta = threshold(batch)
        norm = torch.relu(negative - beta).square().mean(-1).clamp(min=1e-12).sqrt()
        return (torch.relu(1 - positive) + 2 * norm + beta[:, 0]).mean()

    def one() -> None:
        order = torch.randperm(len(users))
        for rows in order.split(_BATCH.value):
            batch = users[rows]
            drawn = negatives(batch)
            loss = loss_of(
                user_table(batch), item_table(items[rows]), item_table(drawn), batch
            )
            adam.zero_grad()
            sgd.zero_grad()
            loss.backward()
            adam.step()
            if name == "drrl_dual":
                sgd.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return one


def seconds(step, rounds: int) -> float:
    """Median seconds of ``rounds`` calls."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main(_: list[str]) -> None:
    """Prints the table."""
    names = clock.rows("losses", _LOSSES.value, RUNS)
    if _SMOKE.value:
        dataset = data.load("synthetic", num_users=60, num_items=80)
        runs, rounds = dict(list(RUNS.items())[:2]), 1
    else:
        source = "files" if _PATH.value else "synthetic"
        dataset = data.load(source, path=_PATH.value or None)
        runs = {name: RUNS[name] for name in names}
        rounds = _ROUNDS.value
    rows = []
    for label, (changes, torch_loss) in runs.items():
        ours = jax_epoch(dataset, changes)
        start = time.perf_counter()
        ours()
        first = time.perf_counter() - start
        theirs = torch_epoch(dataset, torch_loss) if torch_loss else None
        mine = seconds(ours, rounds)
        other = seconds(theirs, min(rounds, 3)) if theirs else math.nan
        ratio = f"{other / mine:.1f}x" if theirs else "-"
        rows.append([label, f"{mine:.3g}", f"{first:.1f}", f"{other:.3g}", ratio])
    print(
        f"{dataset.name}: {len(dataset.train)} interactions, batch {_BATCH.value},"
        f" {_NEGATIVES.value} negatives, dim {_DIM.value}, {jax.default_backend()}"
    )
    header = ["loss", "s/epoch", "first epoch (compiles)", "PyTorch s/epoch", "ratio"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    app.run(main)
