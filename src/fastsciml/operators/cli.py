"""`fastsciml mgno`: generate data, train a multigrid neural operator, predict with it."""

import typer

from fastsciml.operators.generate_command import generate
from fastsciml.operators.predict_command import predict
from fastsciml.operators.train_command import train

app = typer.Typer(help="MgNO, the multigrid neural operator.", no_args_is_help=True)
for command in (generate, train, predict):
    app.command()(command)
