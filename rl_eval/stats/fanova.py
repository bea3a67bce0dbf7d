"""Functional ANOVA of a forest of regression trees, exactly and for all trees' leaves at once.

The share of the variance over the whole space that each hyperparameter explains by itself (Hutter,
Hoos and Leyton-Brown, ICML 2014). A tree is constant on boxes. Given a value of one hyperparameter
its mean over all others is a step function, to which each box adds its height times the share of
the other hyperparameters' room that it fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

MOST = 2048  # trials that a tree is fitted to, so that the cost does not grow without end


class Dimension(NamedTuple):
    """One hyperparameter: places in [0, 1], or with `choices` the number of each one's choice."""

    places: np.ndarray
    choices: int = 0


class _Leaves(NamedTuple):
    height: Float[np.ndarray, " leaf"]
    low: Float[np.ndarray, "leaf feature"]
    high: Float[np.ndarray, "leaf feature"]


def main_effects(
    dimensions: Sequence[Dimension],
    objective: Float[np.ndarray, " trial"],
    *,
    trees: int,
    seed: int,
) -> Float[np.ndarray, " dimension"]:
    """Variance that each hyperparameter explains by itself, summed over the trees.

    Raises:
        ImportError: scikit-learn is missing.
    """
    from sklearn.ensemble import RandomForestRegressor

    features = [_encoded(dimension) for dimension in dimensions]
    first = np.cumsum([0, *(part.shape[1] for part in features)])
    most = min(MOST, len(objective))
    forest = RandomForestRegressor(trees, random_state=seed, max_samples=most)
    forest.fit(np.concatenate(features, axis=1), objective)
    found = np.zeros(len(dimensions))
    for tree in forest.estimators_:
        leaves = _leaves(tree.tree_)
        boxes = [
            _Box(leaves.low[:, a:b], leaves.high[:, a:b], bool(dimension.choices))
            for dimension, a, b in zip(dimensions, first, first[1:], strict=False)
        ]
        sides = np.stack([box.share for box in boxes], axis=1)
        mean = leaves.height @ sides.prod(axis=1)
        for i, box in enumerate(boxes):
            others = np.delete(sides, i, axis=1).prod(axis=1)
            found[i] += box.variance(leaves.height * others, float(mean))
    return found


def _encoded(dimension: Dimension) -> Float[np.ndarray, "trial feature"]:
    """Places as they are; a choice as one column a value, 1 where it is chosen."""
    if not dimension.choices:
        return dimension.places[:, None].astype(np.float64)
    return (dimension.places[:, None] == np.arange(dimension.choices)).astype(np.float64)


def _leaves(tree: Any) -> _Leaves:
    """The boxes of a fitted tree of scikit-learn, level after level."""
    features = tree.n_features
    nodes, low, high = np.array([0]), np.zeros((1, features)), np.ones((1, features))
    found: list[_Leaves] = []
    while len(nodes):
        inner = tree.children_left[nodes] >= 0
        ends = nodes[~inner]
        found.append(_Leaves(tree.value[ends, 0, 0], low[~inner], high[~inner]))
        nodes, low, high = nodes[inner], low[inner], high[inner]
        at, feature = np.arange(len(nodes)), tree.feature[nodes]
        below, above = high.copy(), low.copy()
        below[at, feature] = above[at, feature] = tree.threshold[nodes]
        low, high = np.concatenate([low, above]), np.concatenate([below, high])
        nodes = np.concatenate([tree.children_left[nodes], tree.children_right[nodes]])
    return _Leaves(*map(np.concatenate, zip(*found, strict=True)))


class _Box:
    """The side of every leaf's box along one hyperparameter."""

    def __init__(self, low: np.ndarray, high: np.ndarray, is_choice: bool) -> None:
        self.allowed = _allowed(low, high) if is_choice else None
        self.low, self.high = low[:, 0], high[:, 0]
        self.share: Float[np.ndarray, " leaf"] = (
            self.high - self.low if self.allowed is None else self.allowed.mean(axis=1)
        )

    def variance(self, weight: Float[np.ndarray, " leaf"], mean: float) -> float:
        """Of the step function to which each leaf adds `weight` along its side."""
        if self.allowed is not None:
            return float(np.mean((weight @ self.allowed - mean) ** 2))
        edges = np.concatenate([self.low, self.high])
        order = np.argsort(edges, kind="stable")
        steps = np.cumsum(np.concatenate([weight, -weight])[order])[:-1]
        return float(np.diff(edges[order]) @ (steps - mean) ** 2)


def _allowed(
    low: Float[np.ndarray, "leaf choice"], high: Float[np.ndarray, "leaf choice"]
) -> Bool[np.ndarray, "leaf choice"]:
    """Which choices lie in each box: none that is excluded, and no other than one demanded."""
    demanded = low >= 0.5
    count: Int[np.ndarray, " leaf"] = demanded.sum(axis=1)
    return (high > 0.5) & (count[:, None] - demanded == 0)
