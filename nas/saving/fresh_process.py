"""Reads an exported network in a process of its own: `python -m nas.saving.fresh_process FORMAT FILE IN OUT`.

IN is an .npz with batches of inputs, OUT one with their logits or maps. Each reader imports only what
someone who deploys the file would.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence

import numpy as np

from nas.errors import OURS

Answer = Callable[[np.ndarray], np.ndarray]


def _safetensors(path: str, plugins: Sequence[str]) -> Answer:
    from nas.saving.network_file import load_network

    return _torch(load_network(path, plugins))


def _python(path: str, plugins: Sequence[str]) -> Answer:
    for name in OURS:  # the module does without
        sys.modules[name] = None  # type: ignore[assignment]
    return _torch(runpy.run_path(path)["load"]())


def _torch_export(path: str, plugins: Sequence[str]) -> Answer:
    import torch

    return _torch(torch.export.load(path).module())


def _torch(network: Callable) -> Answer:
    import torch

    torch.set_num_threads(1)

    def answer(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(pictures)).numpy()

    return answer


def _onnx(path: str, plugins: Sequence[str]) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {given: inputs})[0]


READERS: dict[str, Callable[[str, Sequence[str]], Answer]] = {
    "safetensors": _safetensors,
    "python": _python,
    "onnx": _onnx,
    "torch-export": _torch_export,
}


def main(name: str, path: str, given: str, out: str, *plugins: str) -> None:
    answer = READERS[name](path, plugins)
    with np.load(given) as file:
        np.savez(out, *[answer(file[key]) for key in file.files])


if __name__ == "__main__":
    main(*sys.argv[1:])
