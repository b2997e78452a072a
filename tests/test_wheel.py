"""The way to a release: a source distribution, and from it alone a wheel that runs in another environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_SOURCES = shutil.ignore_patterns(".*_cache", ".git", ".venv", "build", "dist", "lib", "*.egg-info", "__pycache__")


def run(*command, cwd, **environment):
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": tools, **environment}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Made from a copy, so that no list of files from an earlier build helps."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "tree", ignore=NOT_SOURCES)
    make = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", make, cwd=folder / "tree")
    (archive,) = folder.glob("fastsciml-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The generic level alone, little optimised: the others are as many compilations of the same sources."""
    folder = tmp_path_factory.mktemp("wheel")
    options = "-DFASTSCIML_SIMD_LEVELS=generic -DFASTSCIML_OPTIMIZATION=-O1 -DFASTSCIML_CUDA=OFF"
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", folder, sdist]
    run(*pip, cwd=folder, FASTSCIML_CMAKE_ARGS=options)
    (archive,) = folder.glob("*.whl")
    return archive


def test_sdist_holds_all_that_a_build_needs(sdist):
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    needed = [path for path in (ROOT / "csrc").rglob("*") if path.is_file()]
    assert {str(path.relative_to(ROOT)) for path in needed} | {"CMakeLists.txt", "setup.py"} <= inside


@pytest.mark.slow
def test_wheel_serves_every_python_and_holds_the_libraries(wheel):
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    assert "linux" in wheel.name
    inside = zipfile.ZipFile(wheel).namelist()
    assert {"fastsciml/lib/build.json", "fastsciml/lib/libfastsciml_generic.so", "fastsciml/py.typed"} <= set(inside)
    assert "fastsciml/weights/multigrid-3d.safetensors" in inside
    assert not [name for name in inside if name.startswith(("csrc", "tests"))]


@pytest.mark.slow
def test_installed_wheel_solves_from_another_folder(wheel, tmp_path):
    """In a new environment, which borrows the dependencies of this one but not its fastsciml."""
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(str(Path(pytest.__file__).parents[1]))
    run(python, "-m", "pip", "install", "--no-deps", "--ignore-installed", wheel, cwd=tmp_path)

    solve = (
        "import fastsciml, numpy as n; print(fastsciml.__file__, fastsciml.solve_poisson(n.ones((9, 8, 7))).converged)"
    )
    assert run(python, "-c", solve, cwd=tmp_path).split() == [f"{packages}/fastsciml/__init__.py", "True"]
    assert "generic" in run(tmp_path / "venv" / "bin" / "fastsciml", "config", cwd=tmp_path)
