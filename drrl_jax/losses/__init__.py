r"""Losses for implicit feedback: one signature, no state, masks and all.

``loss(pos_scores, neg_scores, *, hyperparameters, where, log_q, reduce_fn)``

* ``pos_scores`` is ``[...]`` and ``neg_scores`` is ``[..., negatives]``: a row a
  (user, positive item) pair. A loss sees no model and no key, and no id but the labels
  ``users`` of the losses over a user's positives, of which only equality counts.
* ``where``, ``[..., negatives]``, True = use. A masked entry behaves as if deleted,
  whatever it holds. **A row whose negatives are all masked has the value 0 and the
  gradient 0, in its positive score too, and is in no mean.** What is not masked is
  finite: delete a negative by ``where``, not by minus infinity or a huge negative score.
* ``reduce_fn(values, where=...)`` gets a mask of the rows that have a negative, or
  ``None``; :func:`masked_mean` is the default, ``jnp.sum`` and ``jnp.mean`` fit;
  ``reduce_fn=None`` returns the rows. No rows at all reduce to 0.
* Hyperparameters are numbers, or arrays that broadcast to ``pos_scores`` (one a user),
  and may be traced. Numbers outside of their range are refused before tracing.
* float16 and bfloat16 are computed in float32 and come back in their own type.

``log_q`` corrects non-uniform sampling. With :math:`q_j` the probability by which
negative j was drawn (up to a constant a row), the row's negatives get the weights

.. math:: w_j = \frac{1/q_j}{\tfrac1N \sum_i 1/q_i}

(self-normalised, N and the sums over unmasked entries, mean one). Where a loss has a
mean over negatives it becomes :math:`\frac1N \sum_j w_j f_j`; where it has a sum of
exponentials, :math:`\sum_j w_j e^{x_j}`, the score less its centred log-probability;
where it has a worst case, :math:`w_j / N` is the centre of the ball. So a constant
``log_q`` is the same as none, and as N grows a sampled loss tends to what N uniform
negatives would tend to: for means and worst cases the full-catalogue loss, for a sum
over a catalogue of M items the full loss less log(M/N) inside the logarithm.
"""

from collections.abc import Callable

import jax

from drrl_jax.losses.adv_infonce import adv_infonce
from drrl_jax.losses.bilateral import bilateral, bilateral_tempered
from drrl_jax.losses.bsl import bsl, bsl_grouped
from drrl_jax.losses.catalogue import ROW_LOSSES, catalogue
from drrl_jax.losses.ccl import ccl
from drrl_jax.losses.drrl import drrl, drrl_dual, drrl_matched, drrl_tempered
from drrl_jax.losses.lists import from_lists
from drrl_jax.losses.llpauc import llpauc, llpauc_variables, project_llpauc
from drrl_jax.losses.pairwise import bpr
from drrl_jax.losses.pointwise import bce, mse
from drrl_jax.losses.psl import psl
from drrl_jax.losses.reduce import masked_mean
from drrl_jax.losses.sl_at_k import drrl_at_k, sl_at_k
from drrl_jax.losses.softmax import softmax

LOSSES: dict[str, Callable[..., jax.Array]] = {
    "softmax": softmax,
    "ccl": ccl,
    "drrl": drrl,
    "drrl_dual": drrl_dual,
    "drrl_tempered": drrl_tempered,
    "drrl_matched": drrl_matched,
    "bpr": bpr,
    "bce": bce,
    "mse": mse,
    "bsl": bsl,
    "bsl_grouped": bsl_grouped,
    "bilateral": bilateral,
    "bilateral_tempered": bilateral_tempered,
    "psl": psl,
    "sl_at_k": sl_at_k,
    "drrl_at_k": drrl_at_k,
    "adv_infonce": adv_infonce,
    "llpauc": llpauc,
}
"""Every loss by its name in configs and on the command line."""

__all__ = [
    "LOSSES",
    "ROW_LOSSES",
    "adv_infonce",
    "bce",
    "bilateral",
    "bilateral_tempered",
    "bpr",
    "bsl",
    "bsl_grouped",
    "catalogue",
    "ccl",
    "drrl",
    "drrl_at_k",
    "drrl_dual",
    "drrl_matched",
    "drrl_tempered",
    "from_lists",
    "llpauc",
    "llpauc_variables",
    "masked_mean",
    "mse",
    "project_llpauc",
    "psl",
    "sl_at_k",
    "softmax",
]
