"""The way to a release: a source distribution, and from it alone a wheel that runs in new environments."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
# The oldest that is promised, and one that is newer than what the wheel was built with.
TORCHES = os.environ.get("FASTSCIML_TEST_TORCH", "2.10.0 2.14.1").split()
NOT_SOURCES = shutil.ignore_patterns(".*_cache", ".git", ".venv", "build", "dist", "lib", "*.egg-info", "__pycache__")


def ended(*command, cwd, **environment):
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": tools, **environment}
    for name in ("PYTHONPATH", "FASTSCIML_LIBRARY_DIR"):
        environment.pop(name, None)
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment, text=True, capture_output=True)


def run(*command, cwd, **environment):
    done = ended(*command, cwd=cwd, **environment)
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
    excluded = [word for library in ("libtorch*", "libc10*") for word in ("--exclude", library)]
    run("auditwheel", "repair", *excluded, "-w", folder / "repaired", archive, cwd=folder)
    (repaired,) = (folder / "repaired").glob("*.whl")
    return repaired


@pytest.fixture(params=TORCHES)
def python(request):
    """That of a new environment with this torch, which is deleted at once: it may have gigabytes.

    No fault of the wheel's where there is no such torch, or no way to it.
    """
    with TemporaryDirectory() as folder:
        run(sys.executable, "-m", "venv", "venv", cwd=folder)
        python = Path(folder, "venv", "bin", "python")
        done = ended(python, "-m", "pip", "install", "-q", "--no-cache-dir", f"torch=={request.param}", cwd=folder)
        if done.returncode:
            pytest.skip(f"no torch {request.param} to install: {done.stderr.strip().splitlines()[-1]}")
        yield python


def test_sdist_holds_all_that_a_build_needs(sdist):
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    needed = [path for path in (ROOT / "csrc").rglob("*") if path.is_file()]
    assert {str(path.relative_to(ROOT)) for path in needed} | {"CMakeLists.txt", "setup.py"} <= inside


@pytest.mark.slow
def test_wheel_serves_every_python_and_holds_the_libraries(wheel):
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    assert "manylinux" in wheel.name
    inside = zipfile.ZipFile(wheel).namelist()
    assert {"fastsciml/lib/build.json", "fastsciml/lib/libfastsciml_generic.so", "fastsciml/py.typed"} <= set(inside)
    assert "fastsciml/weights/multigrid-3d.safetensors" in inside
    assert not [name for name in inside if name.startswith(("csrc", "tests", "fastsciml.libs"))]


@pytest.mark.slow
def test_installed_wheel_runs_with_other_torches(wheel, python, tmp_path):
    run(python, "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    where = run(python, "-c", "import fastsciml; print(fastsciml.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    told = run(python, ROOT / "tests" / "smoke.py", cwd=tmp_path)
    assert "generic" in told
    assert run(python.with_name("fastsciml"), "config", cwd=tmp_path) == told


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PATH": ""}, "there is no c++ or g++ or clang++: install g++ 12 or later"),
        ({"CXX": "no-such-compiler -O2"}, "there is no no-such-compiler: install g++ 12 or later"),
        ({"CXX": "false"}, "does not compile: install g++ 12 or later"),
        ({"CXX": shutil.which("c++"), "PATH": ""}, "there is no cmake: pip install cmake"),
    ],
)
def test_a_build_without_its_tools_ends_in_one_sentence(environment, sentence):
    """Before anything is built or written."""
    build = [sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('/no-such-folder')"]
    environment = {**{name: value for name, value in os.environ.items() if name != "CXX"}, **environment}
    done = subprocess.run(build, cwd=ROOT, env=environment, text=True, capture_output=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("fastsciml is ")
    assert last.endswith(sentence) or f"{sentence}, or name a C++20 compiler by CXX" in last
    assert "Traceback" not in done.stderr
