"""What public names say about themselves: each has a docstring with arguments, exceptions, shapes, dtypes, source."""

import ast
import enum
import importlib
import inspect
import re
import textwrap
from functools import cached_property

import pytest

PACKAGES = ["", ".nn", ".ops", ".solvers", ".operators", ".directions", ".data", ".incontext"]

# Packages of published methods, and what in them is no method: training loops, records, files, names for rows.
PUBLISHED = ("fastsciml.nn.", "fastsciml.operators.", "fastsciml.directions.", "fastsciml.incontext.")
UNPUBLISHED = {
    "fastsciml.operators.AtTrainingResolution",
    "fastsciml.operators.NormalisedOperator",
    "fastsciml.operators.Record",
    "fastsciml.operators.Run",
    "fastsciml.operators.RunSettings",
    "fastsciml.operators.Trainer",
    "fastsciml.operators.load_model",
    "fastsciml.directions.Record",
    "fastsciml.directions.direction_problem",
    "fastsciml.directions.load_direction",
    "fastsciml.directions.save_direction",
    "fastsciml.incontext.Experiment",
    "fastsciml.incontext.Layout",
    "fastsciml.incontext.Tasks",
    "fastsciml.incontext.Trainer",
    "fastsciml.incontext.algorithms.mean_squared_error",
    "fastsciml.incontext.algorithms.tuned",
    "fastsciml.incontext.algorithms.tuned_rate",
    "fastsciml.incontext.load_learner",
}

# Modules whose functions are alike: they tell the arguments of all, functions have a line or two.
MODULES_THAT_TELL = {"fastsciml.incontext.algorithms", "fastsciml.incontext.comparison"}

ARRAY = re.compile(r"\b(Tensor|ndarray|NDArray|ArrayLike|ArrayT|Value)\b")
SHAPE = re.compile(r"\[[^\]\d][^\]]*\]|\[\d[^\]]*, [^\]]*\]")  # [B, N], [*shape], [2 (nx + ny)], not a citation's [1]
DTYPE = re.compile(r"\bfloat(16|32|64)\b|\bfloating\b|\bdtypes?\b|\bbool\b")
YEAR = re.compile(r"\b(19|20)\d\d\b|\barXiv\b")


def public_names():
    """Every public class and function by its name: of the packages, and of the modules among their names."""
    for package in PACKAGES:
        module = importlib.import_module(f"fastsciml{package}")
        for name in module.__all__:
            of_name = getattr(module, name)
            if inspect.isclass(of_name) or inspect.isfunction(of_name):
                yield f"{module.__name__}.{name}", of_name
            elif inspect.ismodule(of_name) and f".{name}" not in PACKAGES:
                for inner, function in vars(of_name).items():
                    if inspect.isfunction(function) and made_in(function, of_name) and not inner.startswith("_"):
                        yield f"{module.__name__}.{name}.{inner}", function


def made_in(function, module):
    return function.__module__ == module.__name__


def public_methods():
    """Every public method and property by its name, with its class; but for those of a base outside the package."""
    for path, cls in dict(public_names()).items():
        if not inspect.isclass(cls):
            continue
        ours = [base for base in cls.__mro__ if base.__module__.startswith("fastsciml.")]
        for name in dict.fromkeys(name for base in ours for name in vars(base)):
            function = plain(inspect.getattr_static(cls, name))
            if inspect.isfunction(function) and not name.startswith("_") and name != "extra_repr":
                yield f"{path}.{name}", cls, function


def plain(member):
    """The function behind a method, a property or what a decorator made of one."""
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    if isinstance(member, cached_property):
        return member.func
    return member.fget if isinstance(member, property) else member


def by_name(named):
    return [pytest.param(*of_name, id=name) for name, *of_name in named]


@pytest.mark.parametrize("public", by_name(public_names()))
def test_docstrings_tell_arguments_and_exceptions(public):
    doc = inspect.getdoc(public)
    assert doc
    if public.__module__ not in MODULES_THAT_TELL:
        arguments = set(own_parameters(public))
        told = set(entries(doc, "Args") + entries(doc, "Attributes"))
        assert arguments <= told, f"not told: {sorted(arguments - told)}"
    if raises(public):
        assert entries(doc, "Raises"), "raises an exception that is not told"


@pytest.mark.parametrize(("cls", "method"), by_name(public_methods()))
def test_docstrings_of_methods(cls, method):
    doc = method.__doc__ and inspect.cleandoc(method.__doc__)
    assert doc
    told = entries(doc, "Args")
    if told:
        arguments = list(inspect.signature(method).parameters)[1:]
        assert set(arguments) <= set(told), f"not told: {sorted(set(arguments) - set(told))}"
    if raises(method):
        assert "Raise" in doc, "raises an exception that is not told"


@pytest.mark.parametrize("public", by_name(public_names()))
def test_docstrings_tell_shapes_and_dtypes(public):
    if takes_arrays(public):
        assert_shape_and_dtype(inspect.getdoc(public) + of_its_module(public))


@pytest.mark.parametrize(("cls", "method"), by_name(public_methods()))
def test_docstrings_of_methods_tell_shapes_and_dtypes(cls, method):
    """A method or its class."""
    if takes_arrays(method):
        assert_shape_and_dtype(f"{method.__doc__}\n{inspect.getdoc(cls)}")


@pytest.mark.parametrize(
    "public",
    by_name((name, of) for name, of in public_names() if name.startswith(PUBLISHED) and name not in UNPUBLISHED),
)
def test_docstrings_of_published_methods_tell_the_source(public):
    assert YEAR.search(inspect.getdoc(public)), "no year of a paper"


def test_what_is_left_without_a_source_is_there():
    assert set(dict(public_names())) >= UNPUBLISHED


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_tell_what_they_are(package):
    module = importlib.import_module(f"fastsciml{package}")
    modules = [of_name for of_name in (getattr(module, name) for name in module.__all__) if inspect.ismodule(of_name)]
    assert all(inspect.getdoc(of_name) for of_name in [module, *modules])


def assert_shape_and_dtype(doc):
    assert SHAPE.search(doc), "no shape in brackets"
    assert DTYPE.search(doc), "no dtype"


def takes_arrays(public):
    """Whether a parameter is a tensor or an array, by its annotation."""
    if inspect.isclass(public) and not made_here(public):
        return False
    return any(ARRAY.search(str(p.annotation)) for p in inspect.signature(public).parameters.values())


def of_its_module(public):
    """What a module tells of all its functions."""
    module = public.__module__
    return inspect.getdoc(importlib.import_module(module)) if module in MODULES_THAT_TELL else ""


def own_parameters(public):
    """But for those of a base outside the package."""
    if inspect.isclass(public) and not made_here(public):
        return []
    return list(inspect.signature(public).parameters)


def made_here(cls):
    by_base = not getattr(cls.__init__, "__module__", "builtins").startswith("fastsciml")
    return not (by_base or issubclass(cls, enum.Enum) or getattr(cls, "_is_protocol", False))


def entries(doc, section):
    """The names that begin the entries of a section; exceptions may be several before one colon."""
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
    heads = re.findall(r"^    (\S.*?):", found.group(1), re.MULTILINE) if found else []
    return [name.strip() for head in heads for name in (head.split(",") if section == "Raises" else [head])]


def raises(public):
    """Whether its own lines raise: a function's, or those of a class that run when it is made."""
    if inspect.isclass(public) and not made_here(public):
        return False
    if inspect.isclass(public):
        makers = [public.__dict__[name] for name in ("__init__", "__post_init__") if name in public.__dict__]
    else:
        makers = [public]
    for maker in makers:
        try:
            source = textwrap.dedent(inspect.getsource(maker))
        except OSError:  # a dataclass wrote it
            continue
        if any(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(source))):
            return True
    return False
