"""What one optimizer step costs: time, temporary memory, state and compilation.

    python benchmarks/optimizer_step.py --optimizers adamw celo2-base celo2 muon --tree nature

Steps of all optimizers take turns, so that a busy moment of the machine hits all alike. Learned
rules without shipped weights run with untrained ones: the cost is the same.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))  # else `optimizers` is this very file

from optimizers import registry, weights

Shapes = dict[str, tuple[int, ...]]


def _with_biases(kernels: Shapes) -> Shapes:
    return kernels | {f"{name}_bias": shape[-1:] for name, shape in kernels.items()}


TREES: dict[str, Shapes] = {
    # Actor-critic networks of PPO on Atari (Nature CNN) and on MinAtar (two MLPs).
    "nature": _with_biases(
        {
            "conv0": (8, 8, 4, 32),
            "conv1": (4, 4, 32, 64),
            "conv2": (3, 3, 64, 64),
            "dense": (3136, 512),
            "policy": (512, 6),
            "value": (512, 1),
        }
    ),
    "minatar": _with_biases(
        {
            f"{net}{i}": shape
            for net, outputs in (("actor", 6), ("critic", 1))
            for i, shape in enumerate([(600, 64), (64, 64), (64, outputs)])
        }
    ),
}


@dataclasses.dataclass
class Args:
    """Cost of one optimizer step, for each optimizer and each tree of parameters."""

    optimizers: tuple[str, ...] = ("adamw", "muon", "celo2-base", "celo2")
    """Registered names or module:attribute; times are relative to the first."""
    tree: Literal["nature", "minatar", "both"] = "both"
    """Parameters: 1,687,719 (Nature CNN), 85,703 (MinAtar) or one after the other."""
    repeats: int = 30
    """Timed steps of each optimizer; the median is printed."""


@dataclasses.dataclass
class Case:
    """A compiled step, and what it needs to be called again."""

    name: str
    step: Any
    grads: Any
    state: Any
    params: Any
    compile_s: float
    times: list[float] = dataclasses.field(default_factory=list)

    def run(self) -> None:
        start = time.perf_counter()
        updates, self.state = self.step(self.grads, self.state, self.params)
        jax.block_until_ready((updates, self.state))
        self.times.append(time.perf_counter() - start)


def build(name: str) -> optax.GradientTransformationExtraArgs:
    spec = registry.get(name)
    if name not in weights.TEMPLATES or name in weights.manifest():
        return spec.build(num_steps=1000)
    sizes = {"H": 512, "P": 256} if name == "velo" else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "theta.msgpack")
        weights.save(path, weights.initial(name, jax.random.key(0), **sizes))
        return spec.build(num_steps=1000, weights=str(path))


def prepare(name: str, shapes: Shapes) -> Case:
    """Compile the step of an optimizer; its state is donated, as a learner does."""
    opt = build(name)
    normal = np.random.default_rng(0).standard_normal
    params = {key: jnp.asarray(0.1 * normal(shape), jnp.float32) for key, shape in shapes.items()}
    grads = {key: jnp.asarray(1e-3 * normal(shape), jnp.float32) for key, shape in shapes.items()}
    state = jax.jit(opt.init)(params)

    def update(grads: Any, state: Any, params: Any) -> Any:
        return opt.update(grads, state, params, value=jnp.float32(1.0))

    start = time.perf_counter()
    step = jax.jit(update, donate_argnums=1).lower(grads, state, params).compile()
    return Case(name, step, grads, state, params, time.perf_counter() - start)


def measure(names: tuple[str, ...], shapes: Shapes, repeats: int) -> list[Case]:
    cases = [prepare(name, shapes) for name in names]
    warm_up = 3
    for _, case in itertools.product(range(warm_up + repeats), cases):
        case.run()
    for case in cases:
        del case.times[:warm_up]
    return cases


def show(tree: str, cases: list[Case]) -> None:
    size = _nbytes(cases[0].params)
    print(f"\n{tree}: {size // 4:,} parameters")
    print(f"{'optimizer':24}{'step ms':>9}{'ratio':>7}{'temp/params':>13}", end="")
    print(f"{'state/params':>14}{'compile s':>11}")
    first = statistics.median(cases[0].times)
    for case in cases:
        median = statistics.median(case.times)
        memory = case.step.memory_analysis()
        temporary = f"{memory.temp_size_in_bytes / size:.2f}" if memory else "?"
        print(f"{case.name:24}{1e3 * median:9.2f}{median / first:7.1f}{temporary:>13}", end="")
        print(f"{_nbytes(case.state) / size:14.3f}{case.compile_s:11.2f}")


def _nbytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def main(args: Args) -> None:
    print(f"{jax.devices()[0].device_kind}, {os.cpu_count()} CPU cores, jax {jax.__version__}")
    print(f"load before: {os.getloadavg()[0]:.1f}")
    for tree, shapes in TREES.items():
        if args.tree in (tree, "both"):
            show(tree, measure(args.optimizers, shapes, args.repeats))
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(tyro.cli(Args))
