"""The blocks do what their plain convolutions do, while they learn and while they predict."""

import torch
from torch.testing import assert_close

from napari_stemprior.network.conv_blocks import UpBlock, pointwise
from napari_stemprior.network.stemprior_net import StructurePromptedNet


def some(*shape: int) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return values.contiguous(memory_format=torch.channels_last)


def test_doubled_pixels_are_never_made() -> None:
    """Answer and gradients are those of one convolution of doubled pixels beside fine ones."""
    torch.manual_seed(0)
    block = UpBlock(6, 4).eval()
    for norm in (block.norm_first, block.norm_second):
        assert isinstance(norm, torch.nn.BatchNorm2d)
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    coarse, fine = (some(*shape).requires_grad_() for shape in ((2, 6, 5, 7), (2, 4, 10, 14)))
    doubled = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
    plain = block.after_first(block.first(torch.cat([doubled, fine], dim=1)))
    learns = block(coarse, fine)
    assert_close(learns, plain)
    follow = [coarse, fine, *block.parameters()]
    for own, expected in zip(
        *(torch.autograd.grad(x.square().sum(), follow) for x in (learns, plain)), strict=True
    ):
        assert_close(own, expected, atol=1e-4, rtol=1e-4)
    block.fold()
    with torch.inference_mode():
        assert_close(block(coarse, fine), plain, atol=1e-5, rtol=1e-5)


def test_a_pointwise_convolution_is_a_product() -> None:
    layer = torch.nn.Conv2d(4, 3, 1)
    assert_close(pointwise(layer, some(2, 4, 5, 6)), layer(some(2, 4, 5, 6)))


def test_only_the_coarse_layers_change_their_precision() -> None:
    network = StructurePromptedNet()
    names = {
        name.split(".")[0]
        for name, value in network.folded(torch.bfloat16).named_parameters()
        if value.dtype == torch.bfloat16
    }
    assert {"level2", "level3", "up2"} <= names
    assert not names & {"stem", "level0", "level1", "up1", "up0", "head", "site_fine", "structure"}
    assert all(value.dtype == torch.float32 for value in network.parameters())
