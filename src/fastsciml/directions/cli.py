"""`fastsciml dcdm`: make right-hand sides, train a network of search directions."""

import typer

from fastsciml.directions.generate_command import generate
from fastsciml.directions.train_command import train

app = typer.Typer(help="DCDM, deep conjugate directions.", no_args_is_help=True)
for command in (generate, train):
    app.command()(command)
