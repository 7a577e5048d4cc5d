"""Parameters, MACs and shapes against published values and closed forms."""

import pytest

from nas import Genome, InputError, Skeleton, Stage, plan


def cifar(depth, shape=(3, 32, 32)):
    """He et al. 2015, section 4.2: 6n+2 layers with option A."""
    n = (depth - 2) // 6
    stages = (Stage(n, 16), Stage(n, 32, 2), Stage(n, 64, 2))
    return Skeleton(shape, 10, stages, adapter="A")


def imagenet(layers, **more):
    stages = tuple(
        Stage(n, w, s) for n, w, s in zip(layers, (64, 128, 256, 512), (1, 2, 2, 2), strict=True)
    )
    values = {"input_shape": (3, 224, 224), "classes": 1000, "stem": "7x7", "block": "bottleneck"}
    return Skeleton(**{**values, "stages": stages, **more})


def sheet(layers, **more):
    return Skeleton((3, 32, 32), 10, (Stage(layers, 64),), stem="7x7", bias=True, **more)


@pytest.mark.parametrize(
    ("depth", "params"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962), (1202, 19_421_274)],
)  # fmt: skip
def test_cifar_resnets(depth, params):
    skeleton = cifar(depth)
    for pattern in (Genome.residual, Genome.plain):
        assert plan(pattern(skeleton.layers), skeleton).params == params


@pytest.mark.parametrize(
    ("layers", "params", "gmacs"),
    [((3, 4, 6, 3), 25_557_032, 4.089), ((3, 4, 23, 3), 44_549_160, 7.801), ((3, 8, 36, 3), 60_192_808, 11.514)],
)  # fmt: skip
def test_imagenet_resnets(layers, params, gmacs):
    planned = plan(Genome.residual(sum(layers)), imagenet(layers))
    assert planned.params == params
    assert round(planned.macs / 1e9, 3) == gmacs


@pytest.mark.parametrize(
    ("layers", "params"),
    [((3, 4, 6, 3), 23_555_082), ((3, 4, 23, 3), 42_573_322), ((3, 8, 36, 3), 58_240_010)],
)
def test_the_sheets_deep_networks(layers, params):
    skeleton = imagenet(layers, classes=10, bias=True)
    assert plan(Genome.residual(sum(layers)), skeleton).params == params


def test_the_sheets_plain_and_residual_networks():
    assert plan(Genome.plain(20), sheet(20, activation=False)).params == 1_492_490
    assert plan(Genome.plain(56), sheet(56, activation=False)).params == 4_160_522
    assert plan(Genome.residual(28), sheet(28)).params == 2_085_386
    assert plan(Genome.plain(28), sheet(28)).params == 2_085_386


def test_se_resnet50_has_timms_parameters():
    planned = plan(Genome.parse("se(1)*16"), imagenet((3, 4, 6, 3)))
    assert round(planned.params / 1e6, 2) == 28.09


def test_shapes_over_odd_sizes_and_last_use():
    skeleton = Skeleton((1, 14, 15), 10, (Stage(1, 4), Stage(1, 8, 2), Stage(1, 8, 2)))
    planned = plan(Genome.parse("- - add(2,3)"), skeleton)
    assert planned.shapes == ((4, 14, 15), (4, 14, 15), (8, 7, 8), (8, 4, 4))
    assert planned.last_use == (3, 3, 3, 4)
    assert [a.stride for _, a in planned.layers[2].adapters[0].steps[:1]] == [4]


def test_adapter_parameters_are_a_convolution_and_a_norm():
    skeleton = Skeleton((1, 8, 8), 10, (Stage(1, 4), Stage(1, 8, 2)))
    with_skip = plan(Genome.parse("- add(1)"), skeleton)
    without = plan(Genome.plain(2), skeleton)
    assert with_skip.params - without.params == 4 * 8 + 2 * 8
    assert with_skip.macs - without.macs == 4 * 8 * 4 * 4


def test_option_a_refuses_to_shrink():
    skeleton = Skeleton((1, 8, 8), 10, (Stage(1, 8), Stage(1, 4)), adapter="A")
    with pytest.raises(InputError, match=r"layer 2 'add\(1\)': distance 1: .*cannot shrink 8"):
        plan(Genome.parse("- add(1)"), skeleton)


def test_a_genome_of_another_length_is_refused():
    with pytest.raises(InputError, match="the genome has 8 layers, the skeleton 9"):
        plan(Genome.plain(8), cifar(20))


@pytest.mark.parametrize(("side", "fits"), [(16, False), (17, True), (28, True)])
def test_least_side_of_five_strides(side, fits):
    if fits:
        assert imagenet((3, 4, 6, 3), input_shape=(1, side, side)).least_side == 17
    else:
        with pytest.raises(InputError, match="the least side is 17"):
            imagenet((3, 4, 6, 3), input_shape=(1, side, side))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": "basik"}, "did you mean basic"),
        ({"stem": "5x5"}, "unknown stem '5x5'"),
        ({"norm": "group"}, "unknown norm"),
        ({"adapter": "C"}, "unknown adapter"),
        ({"classes": 1}, "classes must be at least 2"),
        ({"stages": ()}, "at least one stage"),
        ({"stages": (Stage(0, 4),)}, "stage 1 layers must be at least 1"),
        ({"block": "preact-basic", "activation": True}, "no activation after the merge"),
    ],
)
def test_skeleton_errors(change, message):
    values = {"input_shape": (1, 8, 8), "classes": 10, "stages": (Stage(1, 4),)}
    with pytest.raises(InputError, match=message):
        Skeleton(**{**values, **change})
