"""What public names say about themselves: each has a docstring, with arguments and exceptions where there are any."""

import ast
import enum
import importlib
import inspect
import re
import textwrap

import pytest

PACKAGES = ["", ".nn", ".ops", ".solvers", ".operators", ".directions", ".data", ".incontext"]

# What still falls short.
LEFT_OUT = {f"fastsciml{package}.{name}" for package in ("", ".solvers") for name in ("Dirichlet", "Neumann", "Robin")}


def public_names():
    for package in PACKAGES:
        module = importlib.import_module(f"fastsciml{package}")
        for name in module.__all__:
            of_name = getattr(module, name)
            if f"{module.__name__}.{name}" not in LEFT_OUT and (
                inspect.isclass(of_name) or inspect.isfunction(of_name)
            ):
                yield pytest.param(of_name, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("public", list(public_names()))
def test_docstrings_tell_arguments_and_exceptions(public):
    doc = inspect.getdoc(public)
    assert doc
    arguments = set(own_parameters(public))
    told = set(entries(doc, "Args") + entries(doc, "Attributes"))
    assert arguments <= told, f"not told: {sorted(arguments - told)}"
    if raises(public):
        assert entries(doc, "Raises"), "raises an exception that is not told"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_tell_what_they_are(package):
    module = importlib.import_module(f"fastsciml{package}")
    modules = [of_name for of_name in (getattr(module, name) for name in module.__all__) if inspect.ismodule(of_name)]
    assert all(inspect.getdoc(of_name) for of_name in [module, *modules])


def own_parameters(public):
    """But for those of a base outside the package."""
    if inspect.isclass(public) and not made_here(public):
        return []
    return list(inspect.signature(public).parameters)


def made_here(cls):
    by_base = not getattr(cls.__init__, "__module__", "builtins").startswith("fastsciml")
    return not (by_base or issubclass(cls, enum.Enum) or getattr(cls, "_is_protocol", False))


def entries(doc, section):
    """The names that begin the entries of a section: `name:`, or several before one colon."""
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
    heads = re.findall(r"^    (\S.*?):", found.group(1), re.MULTILINE) if found else []
    return [name.strip() for head in heads for name in head.split(",")]


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
