"""What is loaded where libraries, processors and builds of torch differ, and what is said where nothing fits."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from fastsciml import _library
from fastsciml._library import LOADED, load

RECORD = json.loads((LOADED.folder / "build.json").read_text())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty library folder, and the one that load() looks into."""
    monkeypatch.setenv("FASTSCIML_LIBRARY_DIR", str(tmp_path))
    monkeypatch.delenv("FASTSCIML_SIMD", raising=False)
    return tmp_path


def fill(folder, **changes):
    """The libraries of this build, beside a record that differs from theirs."""
    for library in LOADED.folder.glob("*.so"):
        (folder / library.name).symlink_to(library)
    (folder / "build.json").write_text(json.dumps(RECORD | changes))


def show_config_elsewhere():
    """What a fresh process, with its own libraries, says."""
    command = [sys.executable, "-c", "import fastsciml; print(fastsciml.show_config())"]
    return subprocess.run(command, env=os.environ, text=True, capture_output=True)


def test_a_folder_without_libraries_names_itself_and_the_remedy(folder):
    with pytest.raises(ImportError, match=rf"no compiled libraries in {folder}; install it with pip, or build"):
        load()


def test_a_build_that_failed_halfway_names_the_remedy(folder):
    (folder / "build.json").write_text(json.dumps(RECORD))
    with pytest.raises(ImportError, match=r"no compiled libraries in .* build them with cmake"):
        load()


@pytest.mark.parametrize("level", ["sse9", "cuda", "../generic"])
def test_an_unknown_simd_level_names_those_that_run(level, folder, monkeypatch):
    fill(folder)
    monkeypatch.setenv("FASTSCIML_SIMD", level)
    with pytest.raises(
        ImportError, match=f"FASTSCIML_SIMD={level} must be one of {', '.join(LOADED.available_levels)}"
    ):
        load()


def test_a_level_the_processor_lacks_is_not_offered(folder, monkeypatch):
    fill(folder)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setenv("FASTSCIML_SIMD", "avx2")
    with pytest.raises(ImportError, match="FASTSCIML_SIMD=avx2 must be one of generic here"):
        load()


def test_the_import_ends_with_that_sentence(folder):
    done = show_config_elsewhere()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: fastsciml has no compiled libraries in {folder}")


def test_the_level_asked_for_is_loaded(folder, monkeypatch):
    fill(folder)
    monkeypatch.setenv("FASTSCIML_SIMD", "generic")
    done = show_config_elsewhere()
    assert done.returncode == 0, done.stderr
    assert "cpu        generic (can run: generic" in done.stdout
    assert f"libraries  {folder}" in done.stdout


def test_a_build_without_nvcc_says_so(folder):
    fill(folder, nvcc="", cuda_absent_because="no nvcc was found when fastsciml was built")
    done = show_config_elsewhere()
    assert "cuda       absent: no nvcc was found when fastsciml was built\n" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("cuda_of_torch", "contents", "reason"),
    [
        ("13.0", None, "libfastsciml_cuda.so is missing"),
        (None, b"", "this torch is a CPU build"),
        ("13.0", b"no library", "libfastsciml_cuda.so does not load: .*"),
    ],
)
def test_an_absent_cuda_library_has_a_reason_and_does_no_harm(cuda_of_torch, contents, reason, folder, monkeypatch):
    if contents is not None:
        (folder / "libfastsciml_cuda.so").write_bytes(contents)
    monkeypatch.setattr(torch.version, "cuda", cuda_of_torch)
    loaded, because = _library._load_cuda(folder, absent_because="")
    assert not loaded
    assert re.fullmatch(reason, because)
