"""Names, other people's modules and packages, and what is said when they do not work."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import textwrap

import jax
import jax.numpy as jnp
import optax
import pytest

import optimizers
from optimizers import references, registry
from optimizers.handcrafted import HANDCRAFTED
from optimizers.spec import Choice, LogUniform, OptimizerSpec


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of the user's into the working directory, which is not on sys.path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    written = []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        written.append(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def installed(monkeypatch):
    """Pretend that packages with these entry points are installed."""

    def install(**points: str) -> None:
        found = [
            importlib.metadata.EntryPoint(name, value, registry.ENTRY_POINTS)
            for name, value in points.items()
        ]
        monkeypatch.setattr(registry, "entry_points", lambda group: found)

    return install


def hyperparameters(spec: OptimizerSpec) -> dict:
    return {h.name: h for h in spec.hyperparameters}


def first_update(spec: OptimizerSpec, **settings) -> float:
    opt, params = spec.build(10, **settings), {"w": jnp.ones(1)}
    return float(opt.update(params, opt.init(params), params, value=1.0)[0]["w"][0])


def test_built_in_optimizers_are_there():
    assert " ".join(spec.name for spec in registry.BUILT_IN) == (
        "adamw adam sgd rmsprop lion muon schedule-free-adamw "
        "celo2 celo2-base velo velo-s celo celo-adam mlp-lopt mulo"
    )
    for spec in registry.BUILT_IN:
        assert optimizers.get(spec.name) is spec
        assert spec.name in optimizers.names()
        assert spec.citation


def test_the_top_of_the_package_has_functions_where_modules_have_the_same_name():
    for name in optimizers.__all__:
        assert callable(getattr(optimizers, name)) or name == "weights", name


@pytest.mark.parametrize(
    ("wrong", "near"), [("adamm", "adam"), ("AdamW", "adamw"), ("schedule_free_adamw", "schedule-")]
)
def test_unknown_names_list_the_near_ones(wrong, near):
    with pytest.raises(ValueError, match=f"unknown optimizer '{wrong}'; did you mean .*{near}"):
        optimizers.get(wrong)


def test_names_like_nothing_list_all():
    with pytest.raises(ValueError, match=r"'qqqq'; known are adamw, adam, .* module:attribute"):
        optimizers.get("qqqq")


def test_registering_adds_and_replaces_but_never_a_built_in(monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    first = OptimizerSpec("mine", make=lambda num_steps: optax.sgd(1.0))
    second = OptimizerSpec("mine", make=lambda num_steps: optax.sgd(2.0))
    optimizers.register(first)
    optimizers.register(second)
    assert "mine" in optimizers.names()
    assert optimizers.get("mine") is second
    for name in ("adamw", "a:b"):
        with pytest.raises(ValueError, match=f"'{name}' is taken or contains ':'"):
            optimizers.register(OptimizerSpec(name, make=first.make))


def test_function_parameters_become_hyperparameters(module):
    module(
        "user_function",
        """
        import optax
        from typing import Literal, Sequence

        def make(lr, num_steps, b1=0.9, decay: float = 0, kind: Literal["a", "b"] = "a",
                 nesterov=False, size: int = 3, mask=None, betas: Sequence = (1, 2), **rest):
            assert num_steps == 10 or num_steps == 1000, num_steps
            assert betas == (1, 2)
            return optax.sgd(lr * num_steps)
        """,
    )
    path = list(sys.path)
    spec = optimizers.get("user_function:make")
    assert sys.path[: len(path)] == path
    found = hyperparameters(spec)
    assert list(found) == ["lr", "b1", "decay", "kind", "nesterov", "size", "mask"]
    assert [h.name for h in spec.hyperparameters if h.traced] == ["lr", "b1", "decay"]
    assert (found["lr"].default, found["decay"].default) == (3e-4, 0.0)
    assert isinstance(found["lr"].domain, LogUniform)
    assert found["kind"].domain == Choice(("a", "b"))
    assert first_update(spec, lr=0.5) == -5.0


def test_positional_only_learning_rate(module):
    module("user_positional", "import optax\ndef make(lr, /): return optax.sgd(lr)\n")
    assert first_update(optimizers.get("user_positional:make"), lr=0.5) == -0.5


@pytest.mark.parametrize(
    ("attribute", "update"),
    [("transformation", -2.0), ("spec", -3.0), ("make_spec", -3.0), ("Nested.make", -0.25)],
)
def test_other_forms_of_an_optimizer(module, attribute, update):
    module(
        "user_forms",
        """
        import optax, optimizers
        transformation = optax.sgd(2.0)
        spec = optimizers.OptimizerSpec("theirs", make=lambda num_steps: optax.sgd(3.0))
        def make_spec(): return spec
        class Nested:
            @staticmethod
            def make(learning_rate=0.25): return optax.sgd(learning_rate)
        """,
    )
    assert first_update(optimizers.get(f"user_forms:{attribute}")) == update


def test_floats_that_decide_in_python_become_static(module):
    module(
        "user_branches",
        """
        import optax
        def make(lr=0.1, weight_decay=0.0, b1=0.9):
            if weight_decay > 0:
                return optax.adamw(lr, b1=b1, weight_decay=weight_decay)
            return optax.sgd(lr)

        def in_update(lr=0.1, clip=1.0):
            def update(updates, state, params=None):
                return (updates if clip > 0 else None), state
            return optax.chain(optax.GradientTransformation(lambda p: (), update), optax.sgd(lr))
        """,
    )
    traced = {
        attribute: [
            h.name for h in optimizers.get(f"user_branches:{attribute}").hyperparameters if h.traced
        ]
        for attribute in ("make", "in_update")
    }
    assert traced == {"make": ["lr", "b1"], "in_update": ["lr"]}
    spec = optimizers.get("user_branches:make")
    jitted = jax.jit(lambda lr: spec.build(10, lr=lr, weight_decay=1e-2).init({"w": jnp.ones(1)}))
    assert jitted(0.1)[0].mu["w"].shape == (1,)


def test_rules_for_one_network_only_are_probed_as_far_as_they_build(module):
    module(
        "user_picky",
        """
        import optax
        def make(lr=0.1, power=2.0):
            power = int(power)
            def label(params): return {"policy": params["policy"]}
            return optax.chain(optax.masked(optax.sgd(lr), label))
        """,
    )
    with pytest.warns(references.OptimizerWarning, match="KeyError: 'policy'.*on a small network"):
        found = hyperparameters(optimizers.get("user_picky:make"))
    assert (found["lr"].traced, found["power"].traced) == (True, False)


def test_optax_is_open_as_it_stands():
    found = hyperparameters(optimizers.get("optax:adabelief"))
    assert found["learning_rate"].traced
    assert found["eps"].traced
    assert "prodigy" in optimizers.get("optax.contrib:prodigy").name


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("user_broken:make", r"importing 'user_broken' failed: ZeroDivisionError: .*broken.py:2"),
        ("user_syntax:make", r"importing 'user_syntax' failed: SyntaxError: .*line 1"),
        ("user_imports:make", r"ModuleNotFoundError: No module named 'not_there'.*imports.py:1"),
        ("no_such_module:make", r"no module 'no_such_module' in .*, nor is one installed"),
        (":make", r"'' is no module: expected a name such as package.module"),
        ("user_fine:mkae", r"has no attribute 'mkae'; it has optax, number, fails, none, needy"),
        ("user_fine:", r"has no attribute ''"),
        ("user_fine:number", r"'user_fine:number' is 3; expected an OptimizerSpec, an optax"),
        ("user_fine:none", r"returns None; expected an OptimizerSpec"),
        ("user_fine:needy", r"parameter 'gamma' has no default; give it one"),
        (
            "user_fine:fails",
            r"fails with its defaults .*'lr': 0.1.*RuntimeError: no.*fine.py",
        ),
    ],
)
def test_what_goes_wrong_in_a_module_is_told(module, reference, message):
    module("user_broken", "import optax\n1 / 0\n")
    module("user_syntax", "def make(:\n")
    module("user_imports", "import not_there\n")
    module(
        "user_fine",
        """
        import optax
        number = 3
        def fails(lr=0.1): raise RuntimeError("no")
        def none(): return None
        def needy(lr, gamma): return optax.sgd(lr)
        """,
    )
    with pytest.raises(ValueError, match=f"optimizer '{reference}'") as raised:
        optimizers.get(reference)
    assert raised.match(message)


def test_entry_points_are_listed_unloaded_and_loaded_by_name(module, installed):
    module("their_package", "import optax\ndef make(lr=0.5): return optax.sgd(lr)\n")
    installed(theirs="their_package:make", broken="not_there:make", empty="their_package:nothing")
    assert optimizers.names()[-3:] == ("broken", "empty", "theirs")
    assert "their_package" not in sys.modules


def test_a_broken_entry_point_says_so_and_leaves_the_others_alone(module, installed, monkeypatch):
    module("their_package", "import optax\ndef make(lr=0.5): return optax.sgd(lr)\n")
    monkeypatch.syspath_prepend(".")
    installed(theirs="their_package:make", broken="not_there:make", adamw="not_there:make")
    assert first_update(optimizers.get("theirs")) == -0.5
    assert optimizers.get("adamw") is HANDCRAFTED[0]
    with pytest.raises(ValueError, match="'broken': loading not_there:make failed: ModuleNotFound"):
        optimizers.get("broken")


USERS = """
    import dataclasses, enum, functools
    import jax.numpy as jnp, numpy as np, optax

    class Mode(str, enum.Enum):
        FAST = "fast"
        SLOW = "slow"

    class Level(enum.Enum):
        LOW = object()
        HIGH = object()

    def enums(lr=0.5, mode=Mode.SLOW, level=Level.LOW):
        assert type(mode) is Mode and type(level) is Level
        return optax.sgd(lr * (10 if mode is Mode.FAST else 1) * (2 if level is Level.HIGH else 1))

    def unlimited(lr=0.5, most=float("inf"), unused=float("nan")):
        return optax.chain(optax.clip(most), optax.sgd(lr))

    def numpy_scalars(lr=np.float32(0.5), half=jnp.float32(0.5), n=np.int64(3)):
        return optax.sgd(lr)

    def optional(lr: float | None = None, momentum: float | None = None, kind: str | None = None):
        return optax.sgd(0.5 if lr is None else lr, momentum=momentum)

    def total(total_steps, lr=0.5):
        assert total_steps in (10, 1000)
        return optax.sgd(lr)

    def steps(lr=0.5): return optax.MultiSteps(optax.sgd(lr), every_k_schedule=1)

    partial = functools.partial(optax.sgd, 0.5)
    keyword = functools.partial(optax.sgd, learning_rate=0.5)

    @dataclasses.dataclass
    class Recipe:
        scale: float = 1.0
        def __call__(self, num_steps, lr=0.5): return optax.sgd(lr * self.scale)
        def make(self, lr=0.5): return optax.sgd(lr * self.scale)

    class Maker:
        @classmethod
        def made(cls, learning_rate=0.5): return optax.sgd(learning_rate)
        def build(self): return optax.sgd(0.5)

    recipe = Recipe()
    maker = Maker()
"""


@pytest.fixture
def users(module):
    module("user_shapes", USERS)
    return lambda attribute: optimizers.get(f"user_shapes:{attribute}")


@pytest.mark.parametrize(
    "attribute",
    [
        *("enums", "unlimited", "numpy_scalars", "optional", "total", "steps"),
        *("partial", "keyword", "recipe", "recipe.make", "Maker.made", "maker.build"),
    ],
)
def test_whatever_makes_an_optimizer_is_taken_as_it_is_written(users, attribute):
    spec = users(attribute)
    assert first_update(spec) == -0.5
    resolved = spec.resolve({})
    assert spec.resolve(json.loads(json.dumps(resolved, allow_nan=False))) == resolved


def test_members_of_an_enum_are_chosen_by_name_or_by_the_text_they_are(users):
    assert hyperparameters(users("enums"))["mode"].domain == Choice(("fast", "slow"))
    assert first_update(users("enums"), mode="fast", level="HIGH") == -10.0
    with pytest.raises(ValueError, match="level must be one of LOW, HIGH, got 'MID'"):
        users("enums").resolve({"level": "MID"})


@pytest.mark.parametrize("given", ["inf", ".inf", float("inf"), 0.25, 1])
def test_a_limit_that_is_infinite_by_default_can_be_set_and_unset(users, given):
    spec = users("unlimited")
    if given == ".inf":
        with pytest.raises(ValueError, match="most must be a number"):
            spec.resolve({"most": given})
        return
    resolved = spec.resolve({"most": given})
    assert resolved["most"] == ("inf" if given in ("inf", float("inf")) else given)
    assert spec.split(resolved)[1]["most"] == float(given)
    assert first_update(spec, most=given) == -0.5 * min(1.0, float(given))


def test_a_number_that_may_be_absent_is_traced_where_it_is_given(users):
    spec = users("optional")
    assert spec.split(spec.resolve({}))[1] == {}
    assert spec.split(spec.resolve({"lr": 1, "momentum": "None"}))[1] == {"lr": 1.0}
    assert first_update(spec, lr=0.25, momentum=0.9) == -0.25
    for name, value, allowed in (
        ("momentum", "fast", "a number or None"),
        ("kind", 3, "str or None"),
    ):
        with pytest.raises(ValueError, match=f"{name} must be {allowed}, got {value!r}"):
            spec.resolve({name: value})


def test_an_object_that_is_none_says_which_of_its_methods_may_be(users):
    with pytest.raises(ValueError, match=r"is <.*Maker object.*Of its methods \(build\) name the"):
        users("maker")


@pytest.mark.parametrize(
    ("attribute", "name", "domain"),
    [
        ("enums", "lr", LogUniform(0.005, 50.0)),
        ("keyword", "learning_rate", LogUniform(0.005, 50.0)),
        ("optional", "lr", LogUniform(3e-4 / 100, 3e-4 * 100)),
        ("partial", None, None),
    ],
)
def test_the_learning_rate_is_known_by_either_name_and_can_be_searched(
    users, attribute, name, domain
):
    spec = users(attribute)
    assert spec.learning_rate == name
    if name is not None:
        assert hyperparameters(spec)[name].domain == domain
        assert {spec.canonical(other) for other in ("lr", "learning_rate")} == {name}
    assert spec.canonical("momentum") == "momentum"


def test_a_learning_rate_of_another_name_can_be_told(module):
    module("user_peak", "import optax\ndef make(peak=0.5, kind='a'): return optax.sgd(peak)\n")
    spec = optimizers.get("user_peak:make")
    assert spec.learning_rate is None
    told = spec.with_learning_rate("peak")
    assert told.learning_rate == told.canonical("lr") == "peak"
    assert hyperparameters(told)["peak"].domain == LogUniform(0.005, 50.0)
    with pytest.raises(ValueError, match="no hyperparameter 'peek'; it has peak, kind"):
        spec.with_learning_rate("peek")
    with pytest.raises(ValueError, match="'kind' is no number"):
        spec.with_learning_rate("kind")


def test_a_function_that_takes_skipped_steps_is_told_how_many():
    def make(num_steps, skipped_steps=0, learning_rate=1.0):
        def schedule(count):
            return learning_rate * (1 - (count + skipped_steps) / num_steps)

        return optax.sgd(schedule)

    spec = references.as_spec("mine", make)
    assert [h.name for h in spec.hyperparameters] == ["learning_rate"]
    assert spec.follows_run
    params = {"w": jnp.ones(2)}
    opt = spec.build(10, 4)
    updates, _ = opt.update(params, opt.init(params), params)
    assert updates["w"].tolist() == pytest.approx([-0.6, -0.6])
