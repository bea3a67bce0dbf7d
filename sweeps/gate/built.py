"""What an optimizer is built from, seen in a process of its own.

    python -m sweeps.gate.built NAME SETTINGS OUT

There it is imported, built, and asked for one update of a small tree; OUT gets the list as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.errors import ExplainedError
from rl_eval.gate.dependencies.snapshot import Dependencies, snapshot
from rl_eval.gate.dependencies.watch import watch
from rl_eval.records.run import read_object, write_json
from rl_eval.settings import read

NUM_STEPS = 1000
PATIENCE_S = 300.0


class BuildFailedError(ExplainedError):
    """An optimizer that is there, but cannot be built or asked for an update."""


def dependencies(name: str, settings: Mapping[str, Any]) -> Dependencies:
    """Everything that the optimizer of that name, with these settings, is built from.

    Raises:
        BuildFailedError: it raises, or takes more than `PATIENCE_S`.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "built.json"
        command = [sys.executable, "-P", "-m", "sweeps.gate.built", name]
        command += [json.dumps(dict(settings)), str(out)]
        modules = os.pathsep.join(path or os.getcwd() for path in sys.path)
        env = {**os.environ, "PYTHONPATH": modules}
        try:
            done = subprocess.run(
                command,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailedError(f"{name}: not built within {PATIENCE_S:g} s") from None
        if not out.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise BuildFailedError(f"{name}: {last}")
        return read(Dependencies, read_object(out), name)


def _child(name: str, settings: Mapping[str, Any], out: Path) -> None:
    seen = watch()
    # What trains it counts as well; the watch must come first.
    import jax
    import jax.numpy as jnp

    from optimizers import registry
    from rl_eval.ppo.update import optimizer_step
    from sweeps.tasks import trial

    del trial
    seen.settle()
    spec = registry.get(name)
    optimizer = spec.build(NUM_STEPS, **settings)
    shapes = {"bias": (8,), "kernel": (8, 8), "image": (3, 3, 4, 8), "large": (256, 128)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    if not spec.needs:
        jax.eval_shape(
            lambda p: optimizer_step(optimizer, p, p, optimizer.init(p), value=jnp.float32(1)),
            params,
        )
    write_json(out, dataclasses.asdict(snapshot(seen, of_jax=True)))


if __name__ == "__main__":
    _child(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
