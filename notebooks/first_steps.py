# %% [markdown]
# # First steps
#
# A network with two hemispheres: load one, let it name pictures, look inside it, train a small one, compare. About
# five minutes on two cores. `python notebooks/first_steps.py` does the same as the notebook; run both in the
# environment in which `bilateral` is installed.

# %% [markdown]
# ## Load a trained network
#
# `shapes-small` comes with the package. Its left hemisphere learnt *fine* labels ("striped star", 40 of them), its
# right one *coarse* labels ("star", 8 of them). Both were frozen, and a fine and a coarse head were trained on their
# joined features.

# %%
import matplotlib.pyplot as plt
import torch

import bilateral
from bilateral.data.config import DataConfig
from bilateral.data.sources import load

network = bilateral.load("shapes-small")
print(f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters")
print({side: network.stages(side) for side in network.hemispheres})

# %% [markdown]
# ## Let it name pictures
#
# The data set `shapes` is drawn, not downloaded. Pictures are uint8, (N, 3, H, W) or (N, H, W, 3), of PyTorch or
# NumPy.

# %%
dataset = load(DataConfig(name="shapes"))
chosen = dataset.test.images[7::290]
said = network.predict(chosen)

figure, axes = plt.subplots(1, len(chosen), figsize=(2 * len(chosen), 2.4))
for axis, image, fine, coarse in zip(axes, chosen, said.fine.names, said.coarse.names):
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(f"{fine}\n({coarse})", fontsize=8)
    axis.axis("off")
print(said.fine.top(3)[0])

# %% [markdown]
# ## Look inside: what does each hemisphere give?
#
# Silence a hemisphere, and see what each head still knows. The fine head needs left. The coarse head gets by with
# either.

# %%
from bilateral.models.lesions.silence import Silence


def accuracy(network, images=dataset.test.images, labels=dataset.test):
    """Percent right of each head on the test images."""
    said = network.predict(images)
    names = {"fine": dataset.hierarchy.fine_names, "coarse": dataset.hierarchy.coarse_names}
    right = {
        level: [name == names[level][label] for name, label in zip(getattr(said, level).names, getattr(labels, level))]
        for level in names
    }
    return {level: round(100 * sum(each) / len(each), 1) for level, each in right.items()}


print("intact          ", accuracy(network))
for side in network.hemispheres:
    with network.lesioned({side: Silence()}):
        print(f"without {side:8}", accuracy(network))

# %% [markdown]
# The values after any stage of either side are at hand, too.

# %%
with torch.inference_mode():
    stages = network.activations(network.normalise(chosen))
for (side, stage), values in stages.items():
    print(side, stage, tuple(values.shape))

# %% [markdown]
# ## Train a small one
#
# Two narrow hemispheres, trained together on few pictures for a few epochs; the right one with noise after a stage. A
# run is kept in `runs/`: the same call again gives it at once.

# %%
few = {"name": "shapes", "shapes": {"train_per_class": 100, "test_per_class": 20}}
training = {"epochs": 8, "batch_size": 32}
narrow = {"arch": "resnet9", "width": 0.125}
noisy = {**narrow, "parts": {"noise": {"after": "res1", "std": 0.3}}}
(run,) = bilateral.train(
    {"name": "first", "data": few, "model": {"left": narrow, "right": noisy, "dropout": 0.0}, "training": training}
)
print(run.folder)
print({name: round(value, 3) for name, value in run.metrics.items() if name.startswith("test_acc_")})

# %% [markdown]
# ## Compare
#
# An experiment trains several networks and makes one table. Here: the two hemispheres alone, and joined. A result
# needs more than one seed: `seeds: [0, 1, 2]`.

# %%
table = bilateral.experiment(
    {
        "name": "first_comparison",
        "data": few,
        "model": {"left": narrow, "right": narrow, "dropout": 0.0},
        "training": training,
        "experiment": {"rows": ["left", "right", "specialised"]},
    }
)
for row in table.rows:
    measures = row.seeds[0].measures
    print(f"{row.title:25}", {name: measures[name] for name in ("fine_pct", "coarse_pct") if name in measures})

# %% [markdown]
# ## Where to go from here
#
# - `bilateral explore shapes-small`: your own picture, in the browser.
# - `docs/parts.md`: noise, gain, filters, a callosum, a gate, lesions, and a part of your own.
# - `docs/experiment.md`: the whole comparison, with statistics. `docs/studies/`: what was found so far.
