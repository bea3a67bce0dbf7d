"""Imports go one way: optimizers <- rl_eval <- sweeps, and only the command line sees all."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "optimizers": {"rl_eval", "sweeps", "gymnax", "envpool", "gymnasium"},
    "rl_eval": {"optimizers", "sweeps"},
}
MAY_IMPORT_ALL = {ROOT / "rl_eval" / "cli", ROOT / "rl_eval" / "setup"}
MAY_IMPORT_LAZILY = ROOT / "optimizers" / "metatrain"  # its PPO task


def imported(path: Path, lazily: bool) -> set[str]:
    """Top-level packages that a file imports; `lazily`, inside functions, or wherever."""
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in inside and not lazily:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_file_imports_against_the_direction(package):
    files = [f for f in (ROOT / package).rglob("*.py") if not MAY_IMPORT_ALL & set(f.parents)]
    assert files
    wrong = {
        str(f.relative_to(ROOT)): forbidden
        for f in files
        if (
            forbidden := imported(f, lazily=not f.is_relative_to(MAY_IMPORT_LAZILY))
            & FORBIDDEN[package]
        )
    }
    assert not wrong


def test_the_reader_of_imports_sees_them(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n")
    assert imported(file, lazily=False) == {"a", "c", "d"}
    assert imported(file, lazily=True) == {"a", "c", "d", "i"}


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("optimizers", {"rl_eval", "sweeps", "gymnax", "envpool", "gymnasium", "huggingface_hub"}),
        ("rl_eval", {"optimizers", "sweeps", "gymnax", "envpool", "matplotlib", "ray", "optuna"}),
        ("sweeps", {"gymnax", "envpool", "matplotlib", "ray", "optuna"}),
    ],
)
def test_importing_a_package_brings_in_nothing_heavy(package, unwanted):
    code = f"import {package}, sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not unwanted & set(ran.stdout.split())
