"""The front door in a Jupyter kernel: numbers, a bar, and a figure that shows itself."""

from __future__ import annotations

import os
import sys

import pytest

SMALL = '{"num_envs": 4, "num_steps": 16, "hidden_sizes": [8], "num_minibatches": 2}'
CELLS = (
    "import optax, rl_eval, sweeps",
    "run = rl_eval.train('CartPole-v1', optimizer=lambda num_steps: optax.adamw(3e-4), "
    f"settings={SMALL}, total_timesteps=256, cost=False, out='run')\nrun",
    "study = sweeps.sweep('probe/landscape', optimizers=['adamw', lambda num_steps, "
    "learning_rate=1e-3: optax.sgd(learning_rate)], space={'ppo': {'gamma': {'uniform': [0.9, 1.0]"
    "}}}, trials=4, out='study')\nstudy.parallel_coordinates()",
)


@pytest.mark.slow  # a kernel starts and compiles PPO
def test_a_notebook_trains_shows_a_bar_and_draws_its_study(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    import nbformat
    from jupyter_client.kernelspec import KernelSpec

    monkeypatch.setattr(
        "jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec",
        lambda self, name: KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="here",
            language="python",
            env=dict(os.environ),
        ),
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    trained, drawn = book.cells[1].outputs, book.cells[2].outputs
    assert any("<progress" in str(out.get("data", {}).get("text/html")) for out in trained)
    assert "completed" in trained[-1]["data"]["text/plain"]
    assert "image/png" in drawn[-1]["data"]
    assert (tmp_path / "run" / "config.json").is_file()
