"""Commands that README and docs give are taken as they stand: they exist, with these options."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from bench.__main__ import CORES
from bench.__main__ import app as bench
from fastsciml.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def commands(beginning):
    """Lines of code that begin so, and code within sentences; lines that go on are joined."""
    found = {}
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        lines = re.findall(rf"^(?: {{4}})?({beginning} [^`\n]*)$", text, re.MULTILINE)
        within = re.findall(rf"`({beginning} [^`]*)`", text)
        for line in [*lines, *within]:
            command = " ".join(line.partition(" #")[0].split())
            found[command] = pytest.param(command, id=f"{document.name}: {command[:60]}")
    return list(found.values())


def parse(command, words):
    """Up to where work would begin. Within a sentence a command may stand without what it needs, or with "..."."""
    while words and words[0].startswith("-v"):
        words = words[1:]
    while words and hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    if words and not {"...", "--help"} & set(words):
        command.make_context(command.name, words)


@pytest.mark.parametrize("command", commands("fastsciml"))
def test_fastsciml_takes_it(command):
    parse(typer.main.get_command(app), shlex.split(command)[1:])


@pytest.mark.parametrize("command", commands(r"(?:\.venv/bin/)?python -m bench"))
def test_the_benchmark_takes_it(command):
    words = shlex.split(command.partition(" -m ")[2])[1:]
    context = typer.main.get_command(bench).make_context("bench", words)
    assert set(context.params["cores"] or []) <= set(CORES)


@pytest.mark.parametrize("command", commands("make"))
def test_make_has_the_target(command):
    targets = re.findall(r"^([^\s:=#][^:=\n]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = [word for word in command.split()[1:] if "=" not in word]
    assert set(wanted) <= {target for line in targets for target in line.split()}
