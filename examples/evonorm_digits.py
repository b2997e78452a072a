"""EvoNorm and BatchNorm-ReLU on scikit-learn's digits: `python examples/evonorm_digits.py [seeds] [training images]`.

Small residual networks with EvoNorm-S0 at batches of 2 images, where a batch's statistics are poor, and EvoNorm-B0 at
batches of 128, each against BatchNorm and ReLU with the same seeds. Prints the test accuracies, writes
evonorm_small_batch.png and evonorm_large_batch.png.
"""

import sys
from itertools import pairwise
from statistics import mean, stdev

import torch
from matplotlib import pyplot
from sklearn.datasets import load_digits
from torch import Tensor, nn

from fastsciml.nn import EvoNormB0, EvoNormS0

TEST_IMAGES = 397
training_images = int(sys.argv[2]) if len(sys.argv) > 2 else 1400


def norm_relu(channels):
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def evonorm_s0(channels):
    return EvoNormS0(channels, groups=8)


class Block(nn.Module):
    """A residual block with normalisation and activation first; halves the image where it doubles the channels."""

    def __init__(self, before, after, norm_activation):
        super().__init__()
        stride = after // before
        first = [norm_activation(before), nn.Conv2d(before, after, 3, stride, padding=1)]
        self.layers = nn.Sequential(*first, norm_activation(after), nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.layers(x)


def network(norm_activation, widths):
    """Images of 8 x 8, 4 x 4, 2 x 2 and so on, with these numbers of channels."""
    blocks = [Block(before, after, norm_activation) for before, after in pairwise(widths)]
    head = [norm_activation(widths[-1]), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)]
    return nn.Sequential(nn.Conv2d(1, widths[0], 3, padding=1), *blocks, *head)


def train(norm_activation, widths, batch, epochs, rate, seed):
    """Test accuracy after every epoch, in percent."""
    torch.manual_seed(seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images))
    training, test = order[:training_images], order[-TEST_IMAGES:]
    model = network(norm_activation, widths)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True)
    steps = epochs * (training_images // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    accuracies = []
    for _ in range(epochs):
        for chosen in training[torch.randperm(training_images)].split(batch):
            if len(chosen) < batch:
                continue
            optimiser.zero_grad()
            nn.functional.cross_entropy(model.train()(images[chosen]), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            right = model.eval()(images[test]).argmax(1) == labels[test]
        accuracies.append(100 * float(right.float().mean()))
    return accuracies


def compare(title, file, layers, widths, batch, epochs, rate, seeds):
    print(title)
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for name, layer in layers.items():
        runs = [train(layer, widths, batch, epochs, rate, seed) for seed in seeds]
        last = [run[-1] for run in runs]
        print(
            f"  {name}: {mean(last):.2f} ± {stdev(last):.2f} %, each {', '.join(f'{a:.2f}' for a in last)}", flush=True
        )
        epoch = range(1, epochs + 1)
        (line,) = axes.plot(epoch, [mean(of) for of in zip(*runs, strict=True)], label=name)
        least, most = ([pick(of) for of in zip(*runs, strict=True)] for pick in (min, max))
        axes.fill_between(epoch, least, most, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(title=f"{title}, {len(seeds)} seeds: mean and range", xlabel="epoch", ylabel="test accuracy, %")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)


torch.set_num_threads(1)
seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
small = {"EvoNorm-S0": evonorm_s0, "BatchNorm-ReLU": norm_relu}
large = {"EvoNorm-B0": EvoNormB0, "BatchNorm-ReLU": norm_relu}
# The small batches meet images that end as 1 x 1, where BatchNorm has two numbers for a channel's statistics.
compare("Digits, batches of 2", "evonorm_small_batch.png", small, (8, 16, 32, 64), 2, 4, 0.005, seeds)
compare("Digits, batches of 128", "evonorm_large_batch.png", large, (16, 32, 64), 128, 20, 0.1, seeds)
