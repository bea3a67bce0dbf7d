"""Held-out tasks and the table made from them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metatrain import tiny

from optimizers.metatrain.judging import evaluation, heldout
from optimizers.metatrain.judging.evaluation import Row
from optimizers.metatrain.tasks import data


def test_every_held_out_task_starts_at_chance() -> None:
    chance = {"text-transformer": np.log(len(heldout.ALPHABET))}
    for task in heldout.tasks():
        batch = jax.tree.map(lambda x: jnp.asarray(x[:64]), task.examples)
        params = jax.jit(task.init)(jax.random.key(0))
        loss = float(jax.jit(task.loss)(params, batch))
        assert abs(loss - chance.get(task.name, np.log(10))) < 1, task.name


def test_held_out_letters_are_those_that_were_never_trained_on() -> None:
    tasks = {task.name: task for task in heldout.tasks()}
    unseen = data.load("glyphs-unseen", "train").images
    for name in ("glyph-mlp", "glyph-cnn"):
        np.testing.assert_array_equal(tasks[name].examples[0], unseen)


def test_the_convolution_by_products_is_a_convolution() -> None:
    x = jax.random.normal(jax.random.key(0), (5, 8, 8, 3))
    w = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
    got = heldout._conv(x, {"kernel": w, "bias": jnp.arange(4.0)})
    want = jax.lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(got, want + jnp.arange(4.0), atol=1e-4)


def test_the_transformer_does_not_see_the_character_it_predicts() -> None:
    params = heldout.init_transformer(jax.random.key(0))
    windows = jnp.asarray(heldout.text_windows()[:1])
    at = 10
    changed = windows.at[0, at:].set((windows[0, at:] + 1) % len(heldout.ALPHABET))
    seen = heldout.transformer_logits(params, windows)[0]
    other = heldout.transformer_logits(params, changed)[0]
    np.testing.assert_allclose(seen[:at], other[:at], atol=1e-5)  # logits of characters 1..at
    assert abs(seen[at:] - other[at:]).max() > 1e-3


def test_evaluation_tells_a_trained_rule_from_adamw_on_the_same_grid() -> None:
    reported: list[Row] = []
    rows = evaluation.evaluate(
        {"log_step": jnp.log(jnp.full(1, 1e-3))},
        tiny.sgd_rule(),
        tasks=[tiny.parabola()],
        num_steps=50,
        num_seeds=2,
        progress=reported.append,
    )
    assert [row.optimizer for row in rows] == ["sgd", "sgd untrained", *evaluation.ADAMW]
    assert rows == reported
    left = 1 - np.arange(50) / 50
    for rate, losses in zip(rows[0].rates, rows[0].losses, strict=True):
        path = np.cumprod(np.concatenate([[1.0], 1 - rate * left[:-1]]))
        np.testing.assert_allclose(losses, (0.5 * path**2).mean(), atol=2e-5)


def test_the_table_compares_best_with_best() -> None:
    rates = (1e-3, 1e-2)
    rows = [
        Row("task", "new", rates, ((3.0, 5.0), (1.0, 2.0))),
        Row("task", "adamw b2=0.95", rates, ((2.0, 2.0), (9.0, 9.0))),
        Row("task", "adamw b2=0.999", rates, ((4.0, 4.0), (9.0, 9.0))),
    ]
    assert rows[0].best == (1e-2, 1.5)
    lines = evaluation.to_markdown(rows).splitlines()
    assert lines[2] == "| task | new | 1.0e-02 | 1.5000 ± 0.5000 | 0.75 |"
    assert [line.split("|")[-2].strip() for line in lines[3:]] == ["1.00", "2.00"]


def test_rules_to_meta_train_are_known_by_name() -> None:
    from optimizers.metatrain import rules

    assert set(rules.RULES) == {"celo2-base", "celo2", "mlp-lopt", "velo-s"}
    with pytest.raises(ValueError, match=r"no rule 'adam'.*celo2-base"):
        rules.get("adam")
