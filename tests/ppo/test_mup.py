"""muP: widths that train alike at one step size, and standard widths that do not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optimizers import weights
from optimizers.learned.mulo import mulo
from rl_eval.config import NetworkConfig
from rl_eval.ppo.mup import coordinate_check, parametrise
from rl_eval.ppo.networks import make_network

WIDTHS = (64, 256, 1024)
OBS = jax.random.normal(jax.random.key(1), (32, 6))
ACTION = jax.random.randint(jax.random.key(2), (32,), 0, 3)
TARGET = jax.random.normal(jax.random.key(3), (32,))


def network(width, shared=True):
    config = NetworkConfig(hidden_sizes=(width, width), activation="relu", shared=shared)
    return make_network(config, jax.ShapeDtypeStruct((6,), jnp.float32), 3)


def adam(multipliers):
    scale = optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, multipliers))
    return optax.with_extra_args_support(
        optax.chain(optax.scale_by_adam(), scale, optax.scale(-1e-2))
    )


def ones(net):
    return jax.tree.map(lambda _: 1.0, jax.eval_shape(net.init, jax.random.key(0)))


def slopes(make, widths=WIDTHS):
    """Exponent of width in each layer's RMS."""
    curves = coordinate_check(make, widths, OBS, ACTION, TARGET)
    return {name: np.polyfit(np.log(widths), np.log(rms), 1)[0] for name, rms in curves.items()}


def test_activations_do_not_depend_on_width_under_mup_and_do_without():
    def with_mup(width):
        made = parametrise(network(width), network(64))
        return made.network, adam(made.multipliers)

    found = slopes(with_mup)
    assert set(found) == {"torso/dense_0", "torso/dense_1", "logits", "value"}
    assert max(map(abs, found.values())) < 0.15, found
    standard = slopes(lambda width: (network(width), adam(ones(network(width)))))
    assert max(map(abs, standard.values())) > 0.4, standard


def test_mulo_is_flat_in_width_too(golden):
    theta = weights.load(golden / "theta" / "mulo_seed61.theta.state", "mulo")

    def make(width):
        made = parametrise(network(width), network(64))
        return made.network, mulo(theta, multipliers=made.multipliers, step_mult=1e-2)

    found = slopes(make, (64, 1024))
    # These weights are untrained and hardly move the outputs, which begin at 1/sqrt(width).
    torso = [abs(slope) for name, slope in found.items() if name.startswith("torso")]
    assert len(torso) == 2
    assert max(torso) < 0.1, found


@pytest.mark.parametrize("shared", [True, False])
def test_the_base_network_is_left_as_it_is(shared):
    base = network(64, shared)
    made = parametrise(network(64, shared), base)
    assert set(jax.tree.leaves(made.multipliers)) == {1.0}
    params = base.init(jax.random.key(5))
    for new, old in zip(
        jax.tree.leaves(made.network.init(jax.random.key(5))), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(made.network.apply(params, OBS)[0], base.apply(params, OBS)[0])


def test_step_sizes_fall_with_fan_in_in_hidden_layers_only():
    steps = parametrise(network(256), network(64)).multipliers
    assert steps["torso"]["Dense_1"]["kernel"] == 1 / 4
    others = [
        steps["torso"]["Dense_0"]["kernel"],
        steps["torso"]["Dense_1"]["bias"],
        steps["actor_head"]["Dense_0"]["kernel"],
        steps["critic_head"]["Dense_0"]["kernel"],
    ]
    assert set(others) == {1.0}


def test_networks_of_other_layers_are_refused():
    with pytest.raises(ValueError, match="more than width"):
        parametrise(network(64), network(64, shared=False))
