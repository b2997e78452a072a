"""Every example runs, at a small size, writes its pictures and keeps the promises that it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


class Example(NamedTuple):
    arguments: list[str]
    pictures: list[str]
    slow: bool = False
    needs: str = "numpy"


EXAMPLES = {
    "coefficient_recovery": Example(["24", "20"], ["coefficient_recovery.png"], slow=True),
    "electrostatics": Example(["32"], ["electrostatics.png"]),
    "evonorm_digits": Example(
        ["2", "128"], ["evonorm_small_batch.png", "evonorm_large_batch.png"], slow=True, needs="sklearn"
    ),
    "heated_plate": Example(["64"], ["heated_plate.png"]),
    "image_cloning": Example(["150"], ["image_cloning.png"], needs="sklearn"),
    "in_context_learner": Example(["700"], ["in_context_learner.png"], slow=True),
    "learned_directions": Example(["16"], ["learned_directions.png"]),
    "mgno_darcy": Example(["1"], ["mgno_darcy.png"], slow=True),
    "resolution_transfer": Example(["smooth", "1"], ["resolution_transfer.png"], slow=True),
    "smoke_animation": Example(["32"], ["smoke_animation.gif", "smoke_animation.png"], slow=True),
    "smoke_plume": Example(["32"], ["smoke_plume.png"]),
    "streaming_attention": Example(["20"], ["streaming_attention.png"], slow=True),
}


def run(name: str, folder: Path) -> str:
    """What the example prints."""
    example = EXAMPLES[name]
    pytest.importorskip(example.needs)
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *example.arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(pattern: str, text: str) -> float:
    """The number at the pattern's group."""
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


def check_coefficient_recovery(printed: str) -> None:
    at_first, at_the_end = re.search(r"error of k: (\S+) at first \(k = 1\), (\S+) at the end", printed).groups()
    assert float(at_the_end) < 0.8 * float(at_first)
    assert number(r"misfit: .* at first, (\S+) times", printed) < 100


def check_electrostatics(printed: str) -> None:
    errors = [float(percent) for percent in re.findall(r"error (\S+)%", printed)]
    assert len(errors) == 5
    assert errors[0] < 1
    assert max(errors) < 10


def check_image_cloning(printed: str) -> None:
    pasted, cloned = (number(rf"by (\S+) % on average, {name}", printed) for name in ("pasted", "cloned"))
    assert cloned < pasted / 2


def check_in_context_learner(printed: str) -> None:
    found = re.search(r"one layer: loss (\S+), that of tuned GD, one step, (\S+?); cosine (\S+)", printed)
    assert found, printed
    loss, of_descent, cosine = map(float, found.groups())
    assert loss < 1.05 * of_descent
    assert cosine > 0.99


def check_mgno_darcy(printed: str) -> None:
    assert number(r"relative L2 error of 60 unseen samples: mean (\S+)%", printed) < 50


def check_smoke_animation(printed: str) -> None:
    assert number(r"divergence left: (\S+) 1/s", printed) < 1e-3


def check_smoke_plume(printed: str) -> None:
    assert number(r"1/s, then (\S+) 1/s", printed) < 1e-4


def check_streaming_attention(printed: str) -> None:
    assert number(r"all at once: relative difference (\S+)", printed) < 1e-5
    assert "65,536 bytes at token 65,536" in printed
    assert "134,217,728 bytes at token 65,536" in printed


CHECKS = {
    "coefficient_recovery": check_coefficient_recovery,
    "electrostatics": check_electrostatics,
    "image_cloning": check_image_cloning,
    "in_context_learner": check_in_context_learner,
    "mgno_darcy": check_mgno_darcy,
    "smoke_animation": check_smoke_animation,
    "smoke_plume": check_smoke_plume,
    "streaming_attention": check_streaming_attention,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if e.slow else ()) for name, e in EXAMPLES.items()]
)
def test_example_runs_and_draws(name, tmp_path):
    printed = run(name, tmp_path)
    for picture in EXAMPLES[name].pictures:
        with Image.open(tmp_path / picture) as image:
            image.verify()
    assert {path.name for path in tmp_path.iterdir()} == set(EXAMPLES[name].pictures)
    if name in CHECKS:
        CHECKS[name](printed)


def test_no_example_is_forgotten():
    names = {path.stem for path in ROOT.glob("examples/*.py")}
    assert names == set(EXAMPLES)
    gallery = (ROOT / "docs" / "examples.md").read_text()
    assert {name for name in names if f"python examples/{name}.py" not in gallery} == set()
