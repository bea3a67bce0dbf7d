"""The table of rooms in docs/architecture.md is what the code does, and nothing goes in circles."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("optimizers", "rl_eval", "sweeps")
TABLE = ROOT / "docs" / "architecture.md"


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(f): f for name in PACKAGES for f in (ROOT / name).rglob("*.py")}


def imported(tree: ast.AST) -> set[str]:
    """Dotted names that code imports anywhere in it, but for type checkers alone."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        found |= imported(node)
    return found


def uses(module: str) -> set[str]:
    """Modules of ours that a module imports; a package stands for names of its own __init__."""
    names = imported(ast.parse(MODULES[module].read_text()))
    ours = {name for name in names if name in MODULES}
    inner = {name.rpartition(".")[0] for name in ours if "." in name}
    return ours - inner - {module} if ours else set()


def room_of(module: str) -> str:
    is_package = MODULES[module].name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def rooms_used() -> dict[str, set[str]]:
    """By room: the other rooms that its files import from."""
    found: dict[str, set[str]] = {room_of(module): set() for module in MODULES}
    for module in MODULES:
        found[room_of(module)] |= {room_of(used) for used in uses(module)} - {room_of(module)}
    return found


def rooms_told() -> dict[str, set[str]]:
    """The same, as the table of the documentation says it: | `room` | holds | imports |."""
    rows = re.findall(r"^\| `([\w.]+)` \|[^|]*\|([^|]*)\|$", TABLE.read_text(), re.MULTILINE)
    return {room: set(re.findall(r"`([\w.]+)`", cells)) for room, cells in rows}


def test_every_room_imports_what_the_table_says_and_the_table_has_every_room():
    told, used = rooms_told(), rooms_used()
    assert set(told) == set(used)
    wrong = {room: (used[room] - told[room], told[room] - used[room]) for room in used}
    assert {room: both for room, both in wrong.items() if any(both)} == {}


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: uses(module) for module in MODULES}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises where there is a circle
    assert len(order) == len(MODULES)


def test_optimizers_know_nothing_of_us_and_only_the_setup_and_commands_know_them():
    for room, used in rooms_used().items():
        top = {name.partition(".")[0] for name in used}
        if room.startswith("optimizers"):
            assert top <= {"optimizers"}, room
        if room.startswith("sweeps"):
            assert "rl_eval.cli" not in used, room
        if room.startswith("rl_eval") and room not in ("rl_eval.cli", "rl_eval.setup"):
            assert not top & {"optimizers", "sweeps"}, room
    assert "sweeps" not in {name.partition(".")[0] for name in rooms_used()["rl_eval.setup"]}


def test_the_reader_of_imports_sees_them_all_but_those_for_type_checkers():
    code = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n"
    code += "if TYPE_CHECKING:\n    import j\n"
    assert imported(ast.parse(code)) == {"a.b", "c", "d.e", "d.e.f", "i"}


def test_no_folder_is_crowded_and_no_file_is_long():
    for name in PACKAGES:
        for folder in (ROOT / name, *(p for p in (ROOT / name).rglob("*") if p.is_dir())):
            assert len(list(folder.glob("*.py"))) <= 20, folder
    lengths = {f: len(f.read_text().splitlines()) for f in MODULES.values()}
    assert {f for f, length in lengths.items() if length > 400} == set()


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("optimizers", {"rl_eval", "sweeps", "gymnax", "envpool", "gymnasium", "huggingface_hub"}),
        ("rl_eval", {"optimizers", "sweeps", "jax", "gymnax", "envpool", "matplotlib", "polars"}),
        ("sweeps", {"optimizers", "jax", "gymnax", "envpool", "matplotlib", "ray", "optuna"}),
    ],
)
def test_importing_a_package_brings_in_nothing_heavy(package, unwanted):
    code = f"import {package}, sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not unwanted & set(ran.stdout.split())
