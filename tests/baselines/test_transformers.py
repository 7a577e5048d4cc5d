"""Compiled Transformers against timm's ViT and GPT-2 of `transformers`, with random weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines import BASELINES
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


def test_the_sizes_of_baselines():
    """timm's vit_tiny_patch16_224 and transformers' gpt2, and the logits' weights, which that shares."""
    vit, gpt2 = (plan(BASELINES[n].genome, BASELINES[n].skeleton) for n in ("vit-tiny", "gpt2"))
    assert vit.params == 5_717_416
    assert round(vit.macs / 1e9, 1) == 1.3  # DeiT-Ti's in the literature
    assert gpt2.params == 124_439_808 + 50_257 * 768


def test_denseformer_has_as_many_numbers_as_the_papers():
    """d(d + 3)/2 for the earlier blocks, the stem and the block itself, and one for each MLP's branch."""
    baseline = BASELINES["gpt2/denseformer"]
    planned = plan(baseline.genome, baseline.skeleton)
    assert planned.params == plan(Genome.residual(24), baseline.skeleton).params + 12 * 15 // 2 + 12
    read = {source for source, _ in planned.layers[-1].skips}
    assert read == {23, *range(0, 23, 2)}
    assert all(layer.merge == "add" for layer in planned.layers[::2])


def test_rezero_has_no_norms_and_begins_as_the_identity():
    baseline = BASELINES["gpt2/rezero"]
    skeleton = replace(baseline.skeleton, width=24).for_data((8,), 11)
    network = compile_network(baseline.genome, skeleton)
    assert not any(isinstance(module, nn.LayerNorm) for module in network.modules())
    symbols = torch.randint(0, 11, (2, 8))
    torch.testing.assert_close(network(symbols), network.head(network.stem(symbols)))


def test_u_skips_join_mirrored_blocks():
    """Block 8 of 12 reads block 5's output beside block 7's, …, block 12 reads block 1's."""
    planned = plan(BASELINES["gpt2/u-skips"].genome, BASELINES["gpt2/u-skips"].skeleton)
    far = {layer.index: layer.skips[1][0] for layer in planned.layers if len(layer.skips) > 1}
    assert far == {2 * (block - 1): 2 * (13 - block) for block in range(8, 13)}
