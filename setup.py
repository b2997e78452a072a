"""Drives CMake, which describes the build (CMakeLists.txt)."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
COMPILER_WANTED = "install g++ 12 or later, or name a C++20 compiler by CXX"


def environment() -> dict[str, str]:
    """The build's, which names the nvcc that pip has installed (the extra cuda-build) where there is no other."""
    found = find_spec("nvidia")
    if "CUDACXX" in os.environ or shutil.which("nvcc") or found is None:
        return dict(os.environ)
    compilers = [nvcc for folder in found.submodule_search_locations for nvcc in Path(folder).glob("cu*/bin/nvcc")]
    return {**os.environ, "CUDACXX": str(max(compilers))} if compilers else dict(os.environ)


def require_tools() -> None:
    """End in one sentence where what builds is missing, before CMake tells it in forty lines."""
    names = [os.environ["CXX"].split()[0]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        sys.exit(f"fastsciml is compiled when it is installed, but there is no {' or '.join(names)}: {COMPILER_WANTED}")
    program = ["-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
    understood = subprocess.run([compiler, *program], input="#include <span>\n", text=True, capture_output=True)
    if understood.returncode:
        sys.exit(f"fastsciml is written in C++20, which {compiler} does not compile: {COMPILER_WANTED}")
    for tool in ("cmake", "ninja"):
        if shutil.which(tool) is None:
            sys.exit(f"fastsciml is compiled when it is installed, but there is no {tool}: pip install {tool}")
    if find_spec("torch") is None:
        sys.exit("fastsciml is compiled with torch's headers, but there is no torch: pip install torch")


class BuildWithLibraries(build_py):
    """build_py that builds the compiled libraries first, into the package's lib folder."""

    def run(self) -> None:
        require_tools()
        super().run()
        editable = self.editable_mode
        package = ROOT / "src" / "fastsciml" if editable else Path(self.build_lib) / "fastsciml"
        build = ROOT / "build" / ("editable" if editable else "wheel")
        options = [
            f"-DFASTSCIML_LIBRARY_DIR={(package / 'lib').resolve()}",
            f"-DPython_EXECUTABLE={sys.executable}",
            *os.environ.get("FASTSCIML_CMAKE_ARGS", "").split(),
        ]
        # What was found last time is looked for anew; what was compiled stays.
        (build / "CMakeCache.txt").unlink(missing_ok=True)
        configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", *options]
        subprocess.run(configure, check=True, env=environment())
        subprocess.run(["cmake", "--build", str(build)], check=True, env=environment())


class AnyPythonWheel(bdist_wheel):
    """The libraries use torch's stable ABI and no Python's: one wheel serves every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class WithLibraries(Distribution):
    """A distribution of one platform, though no extension module is listed."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    packages=[*find_packages("src"), "fastsciml.kernels"],
    package_dir={"": "src", "fastsciml.kernels": "kernels"},
    distclass=WithLibraries,
    cmdclass={"build_py": BuildWithLibraries, "bdist_wheel": AnyPythonWheel},
)
