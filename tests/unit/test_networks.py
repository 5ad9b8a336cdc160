"""The U-Net, the losses and the training loop."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dlfbench.networks import losses
from dlfbench.networks.blocks import BlockUNet, to_blocks, to_voxels
from dlfbench.networks.cutting import Region, coordinate_maps, standardise
from dlfbench.networks.losses import Output, segmentation_loss, shares_of, supervised, total_loss
from dlfbench.networks.training import MODEL, TrainingSettings, train
from dlfbench.networks.unet import Architecture, Convolution, Head, UNet, level_strides, total_stride
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.registry import make_method
from scenes import Case

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
TINY = Architecture(4, level_strides((1, 1, 1), 3))


def test_strides_spare_long_voxels_until_the_others_have_caught_up() -> None:
    assert level_strides((1, 1, 1), 3) == ((2, 2, 2), (2, 2, 2))
    assert level_strides((1.5, 1.5, 4), 4) == ((2, 2, 1), (2, 2, 2), (2, 2, 2))
    assert total_stride(level_strides((1.5, 1.5, 4), 4)) == (8, 8, 4)


@pytest.mark.parametrize("norm", ["instance", "group"])
@pytest.mark.parametrize("supervision", ["linear", "learned"])
def test_outputs_have_the_size_of_the_input(norm: str, supervision: str) -> None:
    architecture = Architecture(4, level_strides((1, 1, 3), 3), norm, supervision)  # type: ignore[arg-type]
    network = UNet(2, 3, architecture, supervised=True)
    volume = torch.randn(2, 2, 8, 12, 4)
    assert [tuple(found.shape) for found in network(volume)] == [(2, 3, 8, 12, 4)] * 3
    assert len(network.eval()(volume)) == 1


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_what_else_is_in_the_batch_does_not_matter(norm: str) -> None:
    network = UNet(1, 2, Architecture(4, TINY.strides, norm)).eval()  # type: ignore[arg-type]
    volumes = torch.randn(3, 1, 8, 8, 8)
    assert torch.allclose(network(volumes)[0][1:2], network(volumes[1:2])[0], atol=1e-5)


def test_a_voxel_s_class_is_free_of_its_neighbours_however_narrow_a_network_of_blocks_is() -> None:
    """Eight features for the 32 numbers of a block's eight voxels and four classes: one class was never found."""
    network = BlockUNet(5, 4, Architecture(8, TINY.strides), supervised=True).eval()
    classify = network.unet.heads[0].classify
    assert torch.linalg.matrix_rank(classify.weight.flatten(1)) == 8 * 4
    assert network(torch.randn(1, 5, 8, 8, 8))[0].shape == (1, 4, 8, 8, 8)


@pytest.mark.parametrize(("classes", "channels"), [(2, 32), (4, 32), (5, 40), (135, 128)])
def test_a_network_of_blocks_grows_with_the_classes_up_to_a_bound(classes: int, channels: int) -> None:
    network = BlockUNet(4, classes, Architecture(32, TINY.strides))
    assert network.unet.heads[0].classify.in_channels == channels


def test_batch_norm_warns_that_it_does_not_hold() -> None:
    with pytest.warns(UserWarning, match="own statistics"):
        network = UNet(1, 2, Architecture(4, TINY.strides, "batch")).eval()
    volumes = torch.randn(3, 1, 8, 8, 8)
    assert not torch.allclose(network(volumes)[0][1:2], network(volumes[1:2])[0], atol=1e-3)


@pytest.mark.filterwarnings("ignore:norm='batch'")
@pytest.mark.parametrize("preset", ["quick", "cpu", "paper"])
@pytest.mark.parametrize(("name", "more"), [("unet", {}), ("votenet", {}), ("dlf", {"host": "mv", "voting_steps": 1})])
def test_every_preset_takes_a_step(tmp_path: Path, name: str, more: dict[str, object], preset: str) -> None:
    small = {"preset": preset, "features": 2, "steps": 1, "patch_vox": 16, "targets": 1}
    method = make_method(name, name, small | more).segmenter
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), Context(tmp_path))
    assert (tmp_path / MODEL).is_file()


def test_dice_loss_by_hand() -> None:
    truth = shares_of(torch.tensor([0, 0, 1, 1]).reshape(1, 4, 1, 1), range(2))
    scores = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 0]]).reshape(1, 2, 4, 1, 1)
    # background: 2*2+1 over 2+2+1; label: 2*1+1 over 1+2+1
    assert segmentation_loss(scores, truth).item() == pytest.approx(1 - (1 + 3 / 4) / 2)
    assert total_loss(supervised([scores, scores]), truth).item() == pytest.approx(1.5 * (1 - (1 + 3 / 4) / 2))


def test_cross_entropy_by_hand() -> None:
    truth = torch.tensor([[1.0, 0.5], [0.0, 0.5]]).reshape(1, 2, 2, 1, 1)
    scores = torch.tensor([[0.5, 0.25], [0.5, 0.75]]).reshape(1, 2, 2, 1, 1)
    expected = -(math.log(0.5) + 0.5 * math.log(0.25) + 0.5 * math.log(0.75)) / 2
    of_dice, both = (segmentation_loss(scores, truth, entropy).item() for entropy in (0, 3))
    assert both - of_dice == pytest.approx(3 * expected)
    assert total_loss(supervised([scores]), truth, entropy=3.0).item() == both


@pytest.mark.parametrize("at_once", [False, True], ids=["class by class", "at once, as on CUDA"])
@pytest.mark.parametrize("entropy", [0.0, 3.0])
def test_the_loss_and_its_gradient_are_those_of_its_formula(
    entropy: float, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if at_once:
        whole = (slice(None), slice(None))
        monkeypatch.setattr(losses, "_parts", lambda scores: [(whole, whole)])
    torch.manual_seed(0)
    truth = torch.rand(2, 5, 4, 3, 6, dtype=torch.float64).softmax(dim=1)
    truth[0, :, 0], truth[1, :, 1] = 0, truth[1, :, 1] / 2  # not known, half known
    said = (20 * torch.randn(2, 5, 4, 3, 6, dtype=torch.float64)).softmax(dim=1)
    assert (said < 1e-6).any()  # a score that counts as 1e-6, and is not pulled

    def by_formula(scores: torch.Tensor) -> torch.Tensor:
        shared = (scores * truth).sum(dim=(2, 3, 4))
        total = (scores**2 * truth.sum(dim=1, keepdim=True) + truth**2).sum(dim=(2, 3, 4))
        surprise = -(truth * scores.clamp_min(1e-6).log()).sum() / truth.sum()
        return 1 - ((2 * shared + 1) / (total + 1)).mean() + entropy * surprise

    found, expected = said.float().requires_grad_(), said.clone().requires_grad_()
    loss, wanted = segmentation_loss(found, truth.float(), entropy), by_formula(expected)
    (2 * loss).backward()
    (2 * wanted).backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.grad is not None
    assert expected.grad is not None
    torch.testing.assert_close(found.grad.double(), expected.grad, rtol=1e-4, atol=1e-7)


def test_a_head_interpolates_whichever_is_fewer_and_gives_the_same() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 8, 3, 4, 5)
    for outputs in (2, 20):
        head = Head([8], [], outputs, learned=False)
        plain = functional.interpolate(head.classify(features), size=[6, 8, 10], mode="trilinear", align_corners=False)
        torch.testing.assert_close(head(features, (6, 8, 10)), plain)


def test_a_label_that_nobody_drew_counts_as_the_background_that_it_may_be() -> None:
    truth = shares_of(torch.tensor([0, 0, 1]).reshape(1, 3, 1, 1), range(3))
    torch.manual_seed(0)
    scores = torch.rand(1, 3, 3, 1, 1).softmax(dim=1)
    drawn_by_nobody = torch.tensor([[0.0, 0.0, 1.0]])
    together = torch.stack([scores[0, 0] + scores[0, 2], scores[0, 1], torch.zeros(3, 1, 1)])[None]
    expected = segmentation_loss(together, truth, 2)
    found = total_loss([Output(scores)], truth, entropy=2, undrawn=drawn_by_nobody)
    assert found.item() == pytest.approx(expected.item())
    moved = scores.clone()  # from background to the label: the same
    moved[:, 0], moved[:, 2] = 0.1 * scores[:, 0], scores[:, 2] + 0.9 * scores[:, 0]
    assert total_loss([Output(moved)], truth, entropy=2, undrawn=drawn_by_nobody).item() == pytest.approx(found.item())
    assert total_loss([Output(moved)], truth, entropy=2).item() > total_loss([Output(scores)], truth, entropy=2).item()


@pytest.mark.parametrize("entropy", [0, 3])
def test_what_is_said_where_nobody_knows_does_not_matter(entropy: float) -> None:
    truth = shares_of(torch.tensor([0, 1, 1, -1]).reshape(1, 4, 1, 1), range(2))
    said = torch.tensor([0.2, 0.7, 0.9, 0.4]).reshape(1, 1, 4, 1, 1)
    other = torch.tensor([0.2, 0.7, 0.9, 0.8]).reshape(1, 1, 4, 1, 1)
    one, two = (torch.cat([1 - share, share], dim=1) for share in (said, other))
    found = segmentation_loss(one, truth, entropy).item()
    assert segmentation_loss(two, truth, entropy).item() == found
    known = segmentation_loss(one[:, :, :3], truth[:, :, :3], entropy).item()
    assert found == pytest.approx(known)


@pytest.mark.parametrize("block", [(2, 2, 2), (2, 1, 2)])
def test_blocks_are_voxels_again(block: tuple[int, int, int]) -> None:
    volume = torch.randn(2, 3, 4, 6, 8)
    blocks = to_blocks(volume, block)
    assert blocks.shape == (2, 3 * math.prod(block), 4 // block[0], 6 // block[1], 8 // block[2])
    assert torch.equal(blocks[0, : math.prod(block), 1, 2, 3], _block_at(volume[0, 0], block, (1, 2, 3)))
    assert torch.equal(to_voxels(blocks, block), volume)


def _block_at(volume: torch.Tensor, block: tuple[int, int, int], at: tuple[int, int, int]) -> torch.Tensor:
    x, y, z = (slice(i * n, (i + 1) * n) for i, n in zip(at, block, strict=True))
    return volume[x, y, z].flatten()


def test_a_network_on_blocks_gives_voxels() -> None:
    network = BlockUNet(2, 3, Architecture(4, level_strides((1, 1, 3), 4), blocks=True), supervised=True)
    volume = torch.randn(2, 2, 16, 24, 4)
    assert [tuple(found.shape) for found in network(volume)] == [(2, 3, 16, 24, 4)] * 3


def test_a_region_is_padded_and_cut_back() -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.float32).reshape(1, 5, 6, 7)
    region = Region.of((slice(1, 4), slice(0, 6), slice(2, 7)), (2, 2, 4), (0, 8, 0))
    cut = region.pad(region.cut(volume), -1)
    assert cut.shape == (1, *region.shape) == (1, 4, 8, 8)
    assert np.array_equal(region.inner(cut), volume[:, 1:4, 0:6, 2:7])
    assert (cut < 0).sum() == cut.size - 3 * 6 * 5
    maps = coordinate_maps(region)
    assert maps.shape == (3, 4, 8, 8)
    assert np.allclose(region.inner(maps)[0, :, 0, 0], [-1, 0, 1])
    assert np.allclose(maps[1, 0, :, 0], np.arange(-1, 7) * 2 / 5 - 1)
    part = coordinate_maps(region, (1, -2, 3), (2, 4, 3))
    assert np.allclose(part[0, :, 0, 0], maps[0, 1:3, 0, 0])
    assert np.allclose(part[1, 0, 2:, 0], maps[1, 0, :2, 0])


def test_a_region_is_never_smaller_than_two_voxels_of_the_coarsest_level() -> None:
    assert Region.of((slice(0, 3), slice(0, 9), slice(0, 17)), (8, 8, 8)).shape == (16, 16, 24)


@pytest.mark.parametrize("size", [2, 5, 8])
def test_convolution_in_two_halves_is_convolution(size: int) -> None:
    layer, volume = Convolution(3, 4), torch.randn(1, 3, size, 6, 7)
    expected = functional.conv3d(volume, layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(volume), expected, atol=1e-5)


def test_a_constant_image_becomes_zero() -> None:
    images = np.stack([np.full((2, 2, 2), 7.0), np.arange(8.0).reshape(2, 2, 2)])
    found = standardise(images)
    assert (found[0] == 0).all()
    assert (found[1].mean(), found[1].std()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))


class Line:
    """Learns y = 2x; stops as a killed process does where asked, and gives a loss that is no number where asked."""

    def __init__(self, kill_at: int = -1, broken: int = -1) -> None:
        self.kill_at, self.broken, self.drawn = kill_at, broken, 0

    def draw(self, rng: np.random.Generator) -> tuple[torch.Tensor]:
        return (torch.tensor([[rng.normal()]], dtype=torch.float32),)

    def loss(self, model: nn.Module, sample: tuple[torch.Tensor]) -> torch.Tensor:
        self.drawn += 1
        if self.drawn == self.kill_at:
            raise KeyboardInterrupt
        loss = (functional.dropout(model(sample[0]), 0.2) - 2 * sample[0]).square().mean()
        return loss * math.nan if self.drawn == self.broken else loss

    def validate(self, model: nn.Module) -> float:
        return float(model(torch.ones(1, 1)))


def learn(folder: Path, problem: Line, steps: int = 12) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    train(model, problem, TrainingSettings(steps, validate_every=4, save_every=3), Context(folder, seed=5))
    return model.state_dict()


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = learn(tmp_path / "whole", Line())
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "killed", Line(kill_at=8))
    resumed = Line()
    found = learn(tmp_path / "killed", resumed)
    assert resumed.drawn == 6  # from the checkpoint of step 6
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    curves = [(tmp_path / name / "curves.csv").read_text() for name in ("whole", "killed")]
    assert curves[0] == curves[1]
    assert len(curves[0].splitlines()) == 13


def test_a_loss_that_is_no_number_is_skipped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = learn(tmp_path, Line(broken=3))
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert "not finite, step skipped" in caplog.text


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path, Line(kill_at=8))
    with pytest.raises(RuntimeError, match="other parameters"):
        train(nn.Linear(1, 2), Line(), TrainingSettings(12), Context(tmp_path))


@pytest.mark.parametrize(("patch_vox", "window"), [(40, 96), (96, 96), (100, 112), (128, 128)])
def test_a_window_can_be_halved_as_often_as_a_network_has_levels(patch_vox: int, window: int) -> None:
    method = make_method("unet", "unet", {"patch_vox": patch_vox}).segmenter
    assert method.window_vox == (window,) * 3  # type: ignore[attr-defined]
