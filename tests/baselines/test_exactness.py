"""Compiled genomes against torchvision, timm and the sheet's own classes."""

import re
import runpy

import pytest
import torch
import torchvision

from baselines import BASELINES, find_baseline, load_torchvision, networks
from nas import InputError
from nas.architecture.merges import MERGES
from nas.extend import Merge
from tests.baselines import sheet


def randomised(network, seed=0):
    """Weights, statistics and affine parameters that no default hides."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.rand(value.shape, generator=generator)
        if "running_var" in name or (value.ndim == 1 and name.endswith("weight")):
            value.copy_(0.5 + noise)
        elif value.ndim == 1:
            value.copy_(0.2 * noise - 0.1)
        else:
            fan = value[0].numel()
            value.copy_((2 * noise - 1) * (3 / fan) ** 0.5)
    return network


def assert_same(ours, theirs, images):
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)
    for a, b in zip(_statistics(ours), _statistics(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def _statistics(network):
    means = [v for k, v in network.state_dict().items() if k.endswith("running_mean")]
    return sorted(means, key=lambda v: (len(v), v.sum().item()))


@pytest.mark.parametrize(
    "depth", [50, *(pytest.param(deep, marks=pytest.mark.slow) for deep in (101, 152))]
)
def test_torchvisions_weights_give_torchvisions_logits(depth):
    theirs = randomised(getattr(torchvision.models, f"resnet{depth}")(weights=None))
    ours = BASELINES[f"torchvision/resnet-{depth}"].network()
    load_torchvision(ours, theirs.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert_same(ours, theirs, images)


def test_other_weights_are_refused():
    ours = BASELINES["torchvision/resnet-50"].network()
    with pytest.raises(InputError, match="missing"):
        load_torchvision(ours, torchvision.models.resnet101(weights=None).state_dict())
    with pytest.raises(InputError, match="has shape"):
        load_torchvision(ours, torchvision.models.resnet50(num_classes=7).state_dict())


def rename(name):
    """The sheet's names in ours."""
    match = re.fullmatch(r"(?:layers|layer1|blocks)\.(\d+)\.(.+)", name)
    if not match:
        name = re.sub(r"^conv1\.", "stem.conv.", name)
        name = re.sub(r"^bn1\.", "stem.norm.", name)
        return re.sub(r"^fc\.", "head.fc.", name)
    rest = match[2]
    plain = {"0": "branch.conv1", "1": "branch.norm1", "3": "branch.conv2", "4": "branch.norm2"}
    rest = re.sub(r"^(\d)\.", lambda m: plain[m[1]] + ".", rest)
    rest = rest.replace("shortcut.0", "adapters.1.conv").replace("shortcut.1", "adapters.1.norm")
    rest = re.sub(r"^(skip\.branch\.)bn", r"\1norm", rest).replace("skip.branch.", "merge.branch.")
    rest = re.sub(r"^conv", "branch.conv", re.sub(r"^bn", "branch.norm", rest))
    rest = rest.replace("skip.fc1", "merge.excitation.reduce")
    rest = rest.replace("skip.fc2", "merge.excitation.expand").replace("skip.", "merge.")
    return f"layers.{int(match[1]) + 1}.{rest}"


def load_sheet(ours, theirs):
    own = ours.state_dict()
    given = {rename(name): value for name, value in theirs.state_dict().items()}
    assert set(given) == set(own)
    ours.load_state_dict({name: value.reshape(own[name].shape) for name, value in given.items()})


SHEET = {
    "plain-20": lambda: sheet.PlainConvNet(20),
    "plain-56": lambda: sheet.PlainConvNet(56),
    "resnet-56": lambda: sheet.ResNet(56),
    "resnet-110": lambda: sheet.ResNet(110),
    "resnet-50": lambda: sheet.DeepResNet((3, 4, 6, 3)),
    "resnet-101": lambda: sheet.DeepResNet((3, 4, 23, 3)),
    "resnet-152": lambda: sheet.DeepResNet((3, 8, 36, 3)),
    "resnet-50/identity": lambda: sheet.DeepResNet(skip=sheet.IdentitySkip),
    "resnet-50/channel": lambda: sheet.DeepResNet(skip=sheet.ChannelWiseWeighting),
    "resnet-50/attention": lambda: sheet.DeepResNet(skip=sheet.AttentionSkip),
    "resnet-50/dense": lambda: sheet.DeepResNet(skip=sheet.DenseSkip),
}


LARGE = (
    "plain-56", "resnet-101", "resnet-152", "resnet-110",
    "resnet-50/attention", "resnet-50/channel", "resnet-50/dense",
)  # fmt: skip
"""Of the sheet's networks, those that take long."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in sorted(SHEET)],
)
def test_the_sheets_classes_give_the_same_outputs(name):
    theirs = randomised(SHEET[name]())
    baseline = BASELINES[name]
    ours = baseline.network()
    load_sheet(ours, theirs)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    # float64: batch norm over four values magnifies the rounding of sums in another order
    assert_same(ours.double(), theirs.double(), images.double())


def test_timms_se_resnet50():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    theirs = randomised(timm.create_model("seresnet50", pretrained=False))
    ours = BASELINES["torchvision/se-resnet-50"].network()
    translated = {}
    for name, value in theirs.state_dict().items():
        new = name.replace(".se.fc1", ".SE.reduce").replace(".se.fc2", ".SE.expand")
        translated[new] = value
    stages = [3, 4, 6, 3]
    from baselines.torchvision import _rename

    renamed = {
        _rename(name, stages).replace(".SE.", ".merge.excitation."): value
        for name, value in translated.items()
    }
    ours.load_state_dict(renamed)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert_same(ours, theirs, images)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("plain-20", 1_492_490),
        ("plain-56", 4_160_522),
        ("plain-28", 2_085_386),
        ("resnet-56", 2_085_386),
        ("resnet-56/plain", 2_085_386),
        ("resnet-50", 23_555_082),
        ("resnet-101", 42_573_322),
        ("resnet-152", 58_240_010),
        ("torchvision/resnet-50", 25_557_032),
        ("torchvision/resnet-101", 44_549_160),
        ("torchvision/resnet-152", 60_192_808),
        ("cifar/resnet-20", 269_722),
        ("cifar/resnet-56", 853_018),
        ("cifar/plain-110", 1_727_962),
        ("cifar/resnet-1202", 19_421_274),
    ],
)
def test_parameter_counts(name, params):
    from nas import plan

    baseline = BASELINES[name]
    assert plan(baseline.genome, baseline.skeleton).params == params


@pytest.mark.parametrize("name", ["resnet-1202", "resnet-2002"])
def test_a_thousand_layers_and_more_are_there(name):
    baseline = BASELINES[name]
    network = baseline.narrowed(16).network()
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in network.layers.modules())
    assert convolutions == int(name.split("-")[1])


def test_what_plugins_add_is_no_baseline(monkeypatch):
    class Undocumented(Merge):
        pass

    monkeypatch.setitem(MERGES, "mine", Undocumented())
    again = runpy.run_path(networks.__file__, run_name="networks_again")["BASELINES"]
    assert list(again) == list(BASELINES)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match=r"did you mean .*resnet-56"):
        find_baseline("resnet-57")
