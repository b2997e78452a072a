"""What README and docs say, held against the code: Python blocks run, links lead somewhere, the site builds."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

PACKAGES = {page.stem for page in ROOT.glob("docs/api/*.md")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL):
        exec(block, names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_there_are_documents():
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "operators.md", "poisson.md"} <= {d.name for d in DOCUMENTS}


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_site_builds(tmp_path):
    """Without a warning: pages, anchors and public names that are missing, docstrings that do not fit their functions.

    Links to other sites are not followed: tests use no network.
    """
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_the_reference_has_every_public_name():
    for page in ROOT.glob("docs/api/*.md"):
        package = "fastsciml" if page.stem == "fastsciml" else f"fastsciml.{page.stem}"
        module = importlib.import_module(package)
        # The packages that `import fastsciml` gives have pages of their own.
        names = [name for name in module.__all__ if package != "fastsciml" or name not in PACKAGES]
        # A function in a module of its own name is told apart by its full path.
        own = {name for name in names if getattr(getattr(module, name), "__module__", "") == f"{package}.{name}"}
        expected = {f"{package}.{name}.{name}" if name in own else f"{package}.{name}" for name in names}
        assert set(re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)) == expected
