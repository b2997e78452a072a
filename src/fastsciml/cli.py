"""The command line: `fastsciml solve`, `fastsciml dcdm`, `fastsciml icl`, `fastsciml mgno`, `fastsciml config`."""

import logging
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.logging import RichHandler

import fastsciml

from .directions.cli import app as dcdm
from .exits import NOT_CONVERGED, fail, failing_in_one_sentence, notes_afterwards, refusing_bad_input
from .files import replacing
from .incontext.cli import app as icl
from .operators.cli import app as mgno
from .problem import Problem, plume_problem, problem_from_files
from .progress import ResidualBar
from .report import archive, summary
from .solvers import PoissonResult

PLUME_SIZE = 128
PICTURE_KINDS = (".png", ".pdf", ".svg")

app = typer.Typer(
    help="Kernels and methods for scientific machine learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(dcdm, name="dcdm")
app.add_typer(icl, name="icl")
app.add_typer(mgno, name="mgno")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastsciml {metadata.version('fastsciml')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print and exit."),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, help="Log results and files to stderr; -vv: every iteration, too."),
    ] = 0,
) -> None:
    if verbose:
        logging.basicConfig(format="%(message)s", handlers=[RichHandler(console=Console(stderr=True), show_path=False)])
        logging.getLogger("fastsciml").setLevel(logging.INFO if verbose == 1 else logging.DEBUG)


@app.command()
def config() -> None:
    """Tell versions, backends, SIMD level, threads, and why a backend is absent."""
    typer.echo(fastsciml.show_config())


@app.command()
def solve(
    rhs: Annotated[
        Path | None,
        typer.Option(help="Right-hand side f: a .npy file of 1 to 3 axes, x, y, z in this order."),
    ] = None,
    solid: Annotated[
        Path | None,
        typer.Option(help="Mask: a .npy file of the same shape, true where there is no fluid."),
    ] = None,
    spacing: Annotated[str | None, typer.Option(metavar="H|HX,HY,HZ", help="Cell size. (default: 1)")] = None,
    boundary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[AXIS=]KIND[,KIND]",
            help="dirichlet, neumann or periodic, for all faces or, as in x=periodic and"
            " z=neumann,dirichlet, for one axis (lower, upper face). Repeatable."
            " (default: dirichlet)",
        ),
    ] = None,
    tol: Annotated[float, typer.Option(help="Relative residual to reach.")] = 1e-8,
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="Precision to solve in.")] = "float64",
    max_iterations: Annotated[int, typer.Option(min=1, help="Iterations to give up after.")] = 200,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Result. (default: solution.npz, for the plume smoke_plume.npz)"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Picture, .png, .pdf or .svg. (default: none, for the plume smoke_plume.png)"),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=4, help=f"Cells per axis of the smoke plume. (default: {PLUME_SIZE})"),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads. (default: as many as PyTorch takes)")] = None,
) -> None:
    """Solve -div(grad u) = f on a box of cells.

    Without --rhs, solve a built-in problem: the pressure projection of a smoke plume past a ball.
    The exit code is 0 when converged, 1 when not, 2 for bad input.
    """
    with failing_in_one_sentence():
        with refusing_bad_input():
            of_files = {"--solid": solid, "--spacing": spacing, "--boundary": boundary}
            _check_options(tol, rhs, size, of_files)
            result_path, picture_path = _destinations(rhs, output, plot)
        if threads is not None:
            torch.set_num_threads(threads)
        with notes_afterwards(), ResidualBar(tol, Console(stderr=True)) as bar:
            with refusing_bad_input():
                if rhs is None:
                    bar.stage("Making a smoke plume")
                    problem = plume_problem(size or PLUME_SIZE, dtype)
                else:
                    bar.stage("Reading")
                    problem = problem_from_files(rhs, solid, spacing, boundary or (), dtype)
                result = _solve(problem, tol, max_iterations, bar)
            bar.stage("Writing")
            _write(problem, result, tol, result_path, picture_path)
        console = Console()
        console.print(summary(problem, result, tol))
        for path in filter(None, (result_path, picture_path)):
            console.print(f"Wrote {path}", highlight=False, soft_wrap=True)
        if not result.converged:
            fail(str(result.reason), NOT_CONVERGED)


def _solve(problem: Problem, tol: float, max_iterations: int, bar: ResidualBar) -> PoissonResult[NDArray[Any]]:
    bar.stage("Solving")
    return fastsciml.solve_poisson(
        problem.rhs,
        spacing=problem.spacing,
        boundary=problem.boundary,
        solid=problem.solid,
        tol=tol,
        max_iterations=max_iterations,
        progress=bar,
    )


def _check_options(tol: float, rhs: Path | None, size: int | None, of_files: Mapping[str, object]) -> None:
    if not 0 < tol < 1:
        raise ValueError(f"--tol must lie between 0 and 1, not {tol}")
    if rhs is not None and size is not None:
        raise ValueError("--size is for the built-in smoke plume and does not go with --rhs")
    for option, value in of_files.items():
        if rhs is None and value:
            raise ValueError(f"{option} needs a right-hand side: give --rhs as well")


def _destinations(rhs: Path | None, output: Path | None, plot: Path | None) -> tuple[Path, Path | None]:
    """Where to write, checked before work starts."""
    if rhs is None:
        plot = plot or Path("smoke_plume.png")
    output = output or Path("smoke_plume.npz" if rhs is None else "solution.npz")
    for option, path, kinds in (("--output", output, (".npz",)), ("--plot", plot, PICTURE_KINDS)):
        if path is None:
            continue
        if path.suffix not in kinds:
            raise ValueError(f"{option} must end in {' or '.join(kinds)}, not {path}")
        if not path.parent.is_dir():
            raise ValueError(f"{option} names the folder {path.parent}, which does not exist")
    return output, plot


def _write(problem: Problem, result: PoissonResult[NDArray[Any]], tol: float, output: Path, plot: Path | None) -> None:
    with replacing(output) as file:
        np.savez(file, allow_pickle=False, **archive(problem, result, tol))
    if plot is None:
        return
    # Imported here because matplotlib is slow to import and not needed without a picture.
    from .picture import draw_plume, draw_solution

    p = problem
    if p.plume is not None:
        figure = draw_plume(p.plume, result.solution, result.residuals, tol)
    else:
        figure = draw_solution(result.solution, p.rhs, p.spacing, result.residuals, tol, p.solid)
    with replacing(plot) as file:
        figure.savefig(file, format=plot.suffix[1:], dpi=130)
