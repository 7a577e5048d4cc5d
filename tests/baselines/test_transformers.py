"""Compiled Transformers against timm's ViT and GPT-2 of `transformers`, with random weights."""

import pytest
import torch
from torch import nn

from nas import Genome, compile_network, plan
from nas.architecture.skeletons.transformer import Transformer

OURS = {
    "cls_token": "stem.token.weight", "pos_embed": "stem.positions.weight",
    "patch_embed.proj": "stem.patches", "norm": "head.norm", "fc_norm": "head.norm", "head": "head.fc",
    "wte": "stem.embedding", "wpe": "stem.positions", "ln_f": "head.norm", "lm_head": "head.fc",
}  # fmt: skip
"""What is outside the blocks, by timm's or the other's name."""
LAYERS = {
    "norm1": (1, "norm"), "attn.qkv": (1, "qkv"), "attn.proj": (1, "project"),
    "norm2": (2, "norm"), "mlp.fc1": (2, "expand"), "mlp.fc2": (2, "project"),
    "ln_1": (1, "norm"), "attn.c_attn": (1, "qkv"), "attn.c_proj": (1, "project"),
    "ln_2": (2, "norm"), "mlp.c_fc": (2, "expand"), "mlp.c_proj": (2, "project"),
}  # fmt: skip


def renamed(name):
    """The name of their parameter in ours."""
    name = name.removeprefix("transformer.")
    module, _, kind = name.rpartition(".")
    if name in OURS:
        return OURS[name]
    if module in OURS:
        return f"{OURS[module]}.{kind}"
    _, block, part = module.split(".", 2)
    layer, own = LAYERS[part]
    return f"layers.{2 * int(block) + layer}.branch.{own}.{kind}"


def check_same(theirs, skeleton, inputs, transposed=()):
    """Equal counts, and logits equal to 1e-5 with weights that no default hides."""
    genome = Genome.residual(skeleton.layers)
    ours, generator = compile_network(genome, skeleton), torch.Generator().manual_seed(0)
    moved = {}
    for name, value in theirs.named_parameters():
        nn.init.normal_(value, std=0.1, generator=generator)
        turned = name.endswith("weight") and any(part in name for part in transposed)
        own = value.detach().T if turned else value.detach()
        moved[renamed(name)] = own[0] if own.ndim == 3 else own  # tokens are (1, T, D) there
    ours.load_state_dict(moved)
    count = sum(value.numel() for value in theirs.parameters())
    assert plan(genome, skeleton).params == count
    with torch.no_grad():
        expected = theirs.eval()(inputs)
        found = ours.eval()(inputs)
    torch.testing.assert_close(found, getattr(expected, "logits", expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["token", "mean"])
@pytest.mark.parametrize("more", [{}, {"depth": 3, "img_size": 48}])
def test_timms_vit(pooling, more):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    values = {"img_size": 32, "depth": 2, "num_classes": 7, **more}
    pools = {"global_pool": "avg", "class_token": False} if pooling == "mean" else {}
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False, **values, **pools)
    side = values["img_size"]
    skeleton = Transformer(
        (3, side, side), 7, values["depth"], 192, 3, patch=16, pooling=pooling, epsilon=1e-6
    )
    pictures = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    check_same(theirs, skeleton, pictures)


def test_the_size_of_vit_tiny():
    """5,717,416 parameters (timm's vit_tiny_patch16_224), 1.3 GMACs (DeiT-Ti's in the literature)."""
    skeleton = Transformer((3, 224, 224), 1000, 12, 192, 3, patch=16, epsilon=1e-6)
    planned = plan(Genome.residual(24), skeleton)
    assert planned.params == 5_717_416
    assert round(planned.macs / 1e9, 1) == 1.3


def test_gpt2():
    """Its last layer shares its weights with the embedding unless it is told not to."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=24, n_embd=48, n_layer=3, n_head=4, tie_word_embeddings=False
    )
    theirs = transformers.GPT2LMHeadModel(config)
    skeleton = Transformer((24,), 50, 3, 48, 4, activation="gelu-tanh")
    symbols = torch.randint(0, 50, (2, 24), generator=torch.Generator().manual_seed(1))
    check_same(theirs, skeleton, symbols, ("c_attn", "c_proj", "c_fc"))


def test_the_size_of_gpt2():
    """124,439,808 parameters (transformers' gpt2), and those of the logits, which it shares."""
    skeleton = Transformer((1024,), 50_257, 12, 768, 12, activation="gelu-tanh")
    params = plan(Genome.residual(24), skeleton).params
    assert params == 124_439_808 + 50_257 * 768
