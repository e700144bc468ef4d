"""Writes docs/configuration.md: every field of the config, its default and meaning.

python docs/make_configuration.py
"""

import pathlib

from drrl_jax import losses, models, training
from drrl_jax.training.checkpoint import flatten
from drrl_jax.training.config import hyperparameters, model_options

HEAD = """# Configuration

Every field is a flag: `--config.section.field=value`. `None` takes the default of the
loss or of the backbone, which the meaning names; a hyperparameter that a loss does not take
is refused. This page is written by `python docs/make_configuration.py`.
"""

MEANINGS = {
    "baselines": "what trains beside the run: `popularity`, `bpr`, `softmax`, as `\"('bpr','softmax')\"`; the quickstart has the first two, `'()'` is none",
    "seed": "of initialisation, order and negatives",
    "data.cleaning": "`clean` removes dirt, `keep` keeps it, `error` stops at it",
    "data.core": "repeatedly drops users and items with fewer interactions; 0: none",
    "data.data_dir": "where TFDS keeps what it has prepared (`tfds`)",
    "data.data_seed": "of the set that is made (`synthetic`)",
    "data.false_positive_rate": "random items added to each user's positives, as a share of them",
    "data.format": "of the files, where the detection errs: `pairs`, `adjacency`, `table`, `ratings`, `atomic`, `movielens` (`files`)",
    "data.ids": "`integer` or `string` (`files`)",
    "data.manual_dir": "folder of archives that were downloaded by hand (`tfds`)",
    "data.min_rating": "ratings below it are no positives",
    "data.name": "of the builder, such as `movielens/1m` (`tfds`)",
    "data.num_interactions": "about (`synthetic`)",
    "data.num_items": "(`synthetic`)",
    "data.num_users": "(`synthetic`)",
    "data.path": "a file, or a folder of one or of `train` and `test` (`files`)",
    "data.seed": "of splits and hold-outs",
    "data.source": "`synthetic`, `files` or `tfds`",
    "data.split": "`given` by files, `random`, `leave_one_out`, `temporal` or `popularity`",
    "evaluation.block": "users scored at a time; 0: by the number of items",
    "evaluation.ks": "cut-offs",
    "evaluation.metrics": "of `recall`, `ndcg`, `precision`, `hit`, `mrr`, `map`",
    "evaluation.monitor": "chooses the best epoch, on the validation split",
    "evaluation.protocol": "`strict`, `benchmark` or `drrl`: who is a candidate ([protocol](protocol.md))",
    "loss.name": "of `drrl_jax.losses.LOSSES`",
    "loss.activation": "PSL's σ",
    "loss.adversary_every": "epochs from one turn of AdvInfoNCE's adversary to the next",
    "loss.adversary_learning_rate": "of that adversary",
    "loss.alpha": "true positive rate of LLPAUC",
    "loss.auxiliary_form": "LLPAUC's variables all `descend`, as published figures have it, or the maximised ones `ascend`",
    "loss.auxiliary_learning_rate": "of LLPAUC's variables; None: the model's",
    "loss.beta": "false positive rate of LLPAUC",
    "loss.direction": "of the ball over positives: `optimistic` or `pessimistic`",
    "loss.epsilon": "added inside the norm of learned thresholds; .1 in the authors' code",
    "loss.gamma": "Rényi order, from 1 (SL) to `inf` (CCL)",
    "loss.include_positive": "whether the positive is in the denominator",
    "loss.kappa": "sharpness of LLPAUC's softplus",
    "loss.margin": "score above which a negative counts; in `drrl_dual`, below which a positive does",
    "loss.neg_temperature": "τ⁻, of the negatives",
    "loss.negative_weight": "weight w of all negatives together; at K None is their number",
    "loss.pos_gamma": "Rényi order of the ball over positives",
    "loss.pos_radius": "radius of that ball",
    "loss.pos_temperature": "τ⁺, of the positives",
    "loss.radius": "η, the size of DrRL's ball; or set `loss.weight`",
    "loss.refresh_every": "epochs between estimates of quantiles (losses at K) and of users' thresholds; the studies have 5",
    "loss.score_temperature": "PSL's scale of scores",
    "loss.temperature": "τ; at K keep τ log w / τ_w between .3 and .6 on sparse data",
    "loss.threshold_init": "where learned thresholds start",
    "loss.threshold_learning_rate": "of learned thresholds",
    "loss.threshold_mode": "where β comes from: of `drrl` `solved` a row, `learned` (Algorithm 1) or solved a `user` over the catalogue; of `drrl_tempered` a `row`'s or a `user`'s temperature",
    "loss.threshold_optimizer": "`sgd` or `adam`",
    "loss.top_k": "K of the losses at K",
    "loss.weight": "c = exp(η (γ − 1)/γ), another name of DrRL's radius; BSL's power of the negatives",
    "loss.weight_temperature": "τ_w, of the weight at K",
    "model.contrast_layer": "the layer that XSimGCL contrasts with the mean",
    "model.contrast_repeats": "whether repeated rows of a batch are contrasted too",
    "model.contrast_temperature": "of the contrast",
    "model.contrast_weight": "of the contrast",
    "model.dim": "width of the embeddings",
    "model.dropout": "share of embedding entries set to zero in a step",
    "model.hidden": "widths of the MLP",
    "model.init_scale": "spread of `normal` and `uniform` starts",
    "model.initialiser": "`xavier`, `xavier_normal`, `normal`, `uniform` or `auto`",
    "model.layer0_averaged": "whether the tables themselves are in the mean of layers",
    "model.layers": "propagations over the graph",
    "model.name": "of `drrl_jax.models.MODELS`",
    "model.noise": "`uniform` or `normal`, of XSimGCL",
    "model.noise_scale": "its length",
    "model.scoring": "`towers`, or `neumf`, which scores pairs",
    "model.similarity": "`cosine`, `dot`, or `auto`: dot for BPR, BCE and MSE",
    "model.user_weight": "SimpleX's share of the user's own row",
    "training.batch_size": "positives a step",
    "training.clip_norm": "gradients are scaled down to it; 0: not",
    "training.dtype": "`float32` or `bfloat16`, of the score product",
    "training.epochs": "at most",
    "training.eval_every": "epochs between two looks at the validation split",
    "training.false_negative_rate": "share of negatives that are the user's positives, on purpose",
    "training.learning_rate": "of the model",
    "training.log_q_correction": "whether draws by popularity are corrected in the loss",
    "training.marked_rate": "probability that a negative is a marked positive, on purpose",
    "training.marked_share": "of training positives that are marked",
    "training.min_delta": "gain that patience counts as one",
    "training.negative_alpha": "negatives are drawn by popularity to this power; 0: uniformly",
    "training.negative_pool": "negatives for each `row`, one set `shared` by a batch, or the positives of the `batch`",
    "training.negatives": "a row, or `all` of the catalogue",
    "training.optimiser": "`adam`, `adagrad`, and `sparse_` of both, which move the rows of a batch alone",
    "training.patience": "looks without a gain before the run ends; 0: never",
    "training.route": "scores by `gather`, by one `dense` product, or the cheaper (`auto`)",
    "training.schedule": "`constant` or `cosine` decay",
    "training.warmup_steps": "in which the rate rises from 0",
    "training.weight_decay": "strength",
    "training.weight_decay_mode": "`coupled` to Adam, `decoupled` (AdamW), or of the rows of a `batch`",
}


def takers(name: str) -> str:
    """The losses or backbones that take a field, with their defaults."""
    section, _, field = name.partition(".")
    if section == "loss":
        found = {loss: hyperparameters(loss) for loss in losses.LOSSES}
        given = {k: v[field].default for k, v in found.items() if field in v}
    elif section == "model":
        options = {model: model_options(model) for model in models.MODELS}
        given = {k: v[field] for k, v in options.items() if field in v}
    else:
        given = {}
    return ", ".join(f"`{taker}` {value}" for taker, value in given.items())


def page() -> str:
    rows = flatten(training.default_config().to_dict())
    lines, section = [HEAD], None
    for name in sorted(rows, key=lambda name: ("." in name, name)):
        if (here := name.rpartition(".")[0]) != section:
            section = here
            title = f"`{section}`" if section else "The run"
            lines += [
                "",
                f"## {title}",
                "",
                "| field | default | meaning |",
                "|---|---|---|",
            ]
        if name not in MEANINGS:
            raise KeyError(f"MEANINGS must say what {name} means; it has no row.")
        by = takers(name)
        meaning = MEANINGS[name] + (f" ({by})" if by else "")
        lines.append(f"| `{name}` | `{rows[name]!r}` | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    pathlib.Path(__file__).with_name("configuration.md").write_text(page())
