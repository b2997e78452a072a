"""`python -m fastsciml` is the command `fastsciml`."""

from .cli import app

app(prog_name="fastsciml")
