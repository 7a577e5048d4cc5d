"""The smallest spaces of every task and family, as files: seconds a search."""

from pathlib import Path

SKELETONS = {
    "transformer": 'family = "transformer"\ninput_shape = [16]\nclasses = 76\nblocks = 2\nwidth = 8\nheads = 2',
    "vit": 'family = "transformer"\ninput_shape = [1, 8, 8]\nclasses = 10\nblocks = 2\nwidth = 8\nheads = 2',
    "unet": 'family = "unet"\ninput_shape = [1, 8, 8]\nclasses = 1\nlevels = [2, 4]',
    "convolutional": (
        "input_shape = [1, 8, 8]\nclasses = 10\nstages = [{layers = 3, width = 4}, "
        "{layers = 1, width = 8, stride = 2}]"
    ),
    "convnext": (
        'block = "convnext"\nnorm = "layer"\nstem = "patch"\nbias = true\ninput_shape = [1, 8, 8]\n'
        "classes = 10\nstages = [{layers = 2, width = 4}, {layers = 2, width = 8, stride = 2}]"
    ),
}
ADAMW = 'optimizer = "adamw"\nschedule = "cosine"\nclip = 1.0\nlearning_rate = 0.003\n'
SPACES = {
    "classification": ("classification", "convolutional", "digits", ""),
    "vit": ("classification", "vit", "digits", ADAMW),
    "convnext": ("classification", "convnext", "digits", ADAMW),
    "language": ("language", "transformer", "shakespeare", ADAMW),
    "denoising": ("denoising", "unet", "digits", ""),
    "inpainting": ("inpainting", "unet", "digits", ADAMW),
    "segmentation": ("segmentation", "unet", "digits-canvas", ""),
}
"""A task, a skeleton, data, and more of the training; of each task there is one that has its name."""


def write_task_space(name: str, folder: Path) -> Path:
    """A space, with a proxy of one epoch, as a file."""
    task, skeleton, data, more = SPACES[name]
    training = (
        f'task = "{task}"\nepochs = 1\nimages = 64\nvalidation_images = 32\nbatch = 32\n'
        f'calibration_images = 32\nprecision = "fp32"\n{more}'
    )
    path = folder / f"{name}.toml"
    path.write_text(
        f'data = "{data}"\n[skeleton]\n{SKELETONS[skeleton]}\n'
        '[space]\ndistances = [1, 2]\nmerges = ["add", "scale"]\nstrengths = [0.5, 1.0]\n'
        f"[proxy]\n{training}[final]\n{training}"
    )
    return path
