"""Full-ranking evaluation, ranking metrics and significance tests."""

from drrl_jax.evaluation.metrics import (
    METRICS,
    hit_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    ranking_metrics,
    recall_at_k,
)
from drrl_jax.evaluation.plan import EvaluationPlan
from drrl_jax.evaluation.ranking import (
    Ranking,
    evaluate,
    evaluate_item_scores,
    evaluate_scorer,
    inner_products,
    popularity_scores,
    rank,
)
from drrl_jax.evaluation.selection import top_k
from drrl_jax.evaluation.significance import (
    Comparison,
    PairedTests,
    compare,
    holm,
    paired_tests,
)

__all__ = [
    "METRICS",
    "Comparison",
    "EvaluationPlan",
    "PairedTests",
    "Ranking",
    "compare",
    "evaluate",
    "evaluate_item_scores",
    "evaluate_scorer",
    "hit_at_k",
    "holm",
    "inner_products",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "paired_tests",
    "popularity_scores",
    "precision_at_k",
    "rank",
    "ranking_metrics",
    "recall_at_k",
    "top_k",
]
