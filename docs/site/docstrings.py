"""Griffe extensions: what its reading of docstrings lacks here."""

import re
from inspect import cleandoc
from types import SimpleNamespace
from typing import Any

import griffe


class DerivedDocstrings(griffe.Extension):
    """Docstrings that a class makes of its base's, `__doc__ = "..." + cleandoc(_Base.__doc__)`.

    Griffe reads sources without importing them and sees an assignment there. It is evaluated with the module's classes,
    each with nothing but its docstring.
    """

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:
        classes = {name: c for name, c in mod.members.items() if isinstance(c, griffe.Class)}
        docs = {
            name: SimpleNamespace(__doc__=c.docstring.value if c.docstring else None) for name, c in classes.items()
        }
        for name, of_class in classes.items():
            assigned = of_class.members.get("__doc__")
            if isinstance(assigned, griffe.Attribute) and assigned.value is not None:
                text = eval(str(assigned.value), {"__builtins__": {}, "cleandoc": cleandoc}, docs)
                docs[name].__doc__ = text
                of_class.docstring = griffe.Docstring(text, lineno=assigned.lineno, parent=of_class)
                del of_class.members["__doc__"]


class Examples(griffe.Extension):
    """`Example:`, as here, is the section that griffe knows as `Examples:`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub("^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
