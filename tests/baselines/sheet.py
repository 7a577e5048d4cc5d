"""The exercise sheet's classes as the sheet has them, its TODOs filled in as its hints say."""

import torch
from torch import nn


class PlainConvNet(nn.Module):
    """Exercise 1."""

    def __init__(self, depth=20):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        layers = []
        in_channels = 64
        for _ in range(depth):
            layers.append(
                nn.Sequential(
                    nn.Conv2d(in_channels, 64, kernel_size=3, padding=1),
                    nn.BatchNorm2d(64),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(64, 64, kernel_size=3, padding=1),
                    nn.BatchNorm2d(64),
                )
            )
        self.layers = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(self.layers(x)).flatten(1))


class ResidualBlock(nn.Module):
    """Exercise 2."""

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """Exercise 2."""

    def __init__(self, depth=56, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        num_blocks = depth // 2
        self.layer1 = self._make_layer(ResidualBlock, 64, 64, num_blocks, stride=1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)

    def _make_layer(self, block, in_channels, out_channels, blocks, stride):
        layers = []
        layers.append(block(in_channels, out_channels, stride))
        for _ in range(1, blocks):
            layers.append(block(out_channels, out_channels))
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(self.layer1(x)).flatten(1))


class IdentitySkip(nn.Module):
    """x + F(x)."""

    def __init__(self, channels, _):
        super().__init__()

    def forward(self, x, f_x, _):
        return x + f_x


class ChannelWiseWeighting(nn.Module):
    """x + w * F(x)."""

    def __init__(self, channels, _):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels) * 0.5)

    def forward(self, x, f_x, _):
        return x + self.weight.view(1, -1, 1, 1) * f_x


class AttentionSkip(nn.Module):
    """x + attention(x) * F(x), SE-Net style."""

    def __init__(self, channels, _):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // 16)
        self.fc2 = nn.Linear(channels // 16, channels)

    def forward(self, x, f_x, _):
        weights = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
        return x + weights[:, :, None, None] * f_x


class DenseSkip(nn.Module):
    """x + F(x) + G(x)."""

    def __init__(self, channels, make_branch):
        super().__init__()
        self.branch = make_branch()

    def forward(self, x, f_x, block_input):
        return x + f_x + self.branch(block_input)


class Bottleneck(nn.Module):
    """Exercise 4, with exercise 5's skip."""

    expansion = 4

    def __init__(self, in_channels, out_channels, stride=1, skip=IdentitySkip):
        super().__init__()
        for name, module in self.residual_path(in_channels, out_channels, stride).items():
            self.add_module(name, module)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels * self.expansion:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels * self.expansion, kernel_size=1, stride=stride),
                nn.BatchNorm2d(out_channels * self.expansion),
            )

        def make_branch():
            path = self.residual_path(in_channels, out_channels, stride)
            order = ["conv1", "bn1", "r1", "conv2", "bn2", "r2", "conv3", "bn3"]
            path |= {"r1": nn.ReLU(inplace=True), "r2": nn.ReLU(inplace=True)}
            chain = nn.Sequential()
            for name in order:
                chain.add_module(name, path[name])
            return chain

        self.skip = skip(out_channels * self.expansion, make_branch)

    def residual_path(self, in_channels, out_channels, stride):
        return {
            "conv1": nn.Conv2d(in_channels, out_channels, kernel_size=1),
            "bn1": nn.BatchNorm2d(out_channels),
            "conv2": nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=stride, padding=1),
            "bn2": nn.BatchNorm2d(out_channels),
            "conv3": nn.Conv2d(out_channels, out_channels * self.expansion, kernel_size=1),
            "bn3": nn.BatchNorm2d(out_channels * self.expansion),
        }

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(self.skip(self.shortcut(x), out, x))


class DeepResNet(nn.Module):
    """Exercise 4."""

    def __init__(self, depths=(3, 4, 6, 3), num_classes=10, skip=IdentitySkip):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels, blocks = 64, []
        for index, (count, width) in enumerate(zip(depths, (64, 128, 256, 512), strict=True)):
            for block in range(count):
                stride = 2 if index > 0 and block == 0 else 1
                blocks.append(Bottleneck(channels, width, stride, skip))
                channels = width * Bottleneck.expansion
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(2048, num_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(self.blocks(x)).flatten(1))
