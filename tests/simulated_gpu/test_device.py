"""The simulated device refuses what CUDA refuses, counts what makes the host wait, and computes what the host does."""

from __future__ import annotations

import copy

import pytest
import torch
from simulated_gpu.counted_waits import WrongDevice
from simulated_gpu.device import simulated_gpu
from torch import nn

from orchestrator import plugins

CUDA = torch.device("cuda")


@pytest.fixture
def gpu():
    with simulated_gpu() as made:
        yield made


def test_a_tensor_says_where_it_is(gpu):
    x = torch.zeros(2, 3).to(CUDA)
    assert (x.device.type, x.is_cuda, x.is_cpu, x.get_device()) == ("cuda", True, False, 0)
    assert (x + 1).device == x[0].device == torch.ones(1, device="cuda").device == torch.device("cuda:0")
    assert torch.zeros_like(x).is_cuda
    assert x.new_ones(2).is_cuda
    assert not x.cpu().is_cuda


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: x.index_select(0, torch.tensor([0])),
        lambda x: torch.ones(3)[x.long()],
        lambda x: x.numpy(),
        lambda x: torch.stack([x[0], torch.tensor(1.0)]),
        lambda x: nn.functional.linear(x, torch.ones(2, 3)),
        lambda x: torch.ones(3).add_(x),
        lambda x: x.normal_(generator=torch.Generator()),
        lambda x: torch.randn(3, device="cuda", generator=torch.Generator()),
        lambda x: x.pin_memory(),
    ],
)
def test_what_cuda_refuses_is_refused(gpu, wrong):
    with pytest.raises(WrongDevice):
        wrong(torch.arange(3.0).to(CUDA))


def test_scalars_of_the_host_may_meet_tensors_of_the_device(gpu):
    x = torch.arange(3.0).to(CUDA)
    assert (x * torch.tensor(2.0)).cpu().tolist() == [0.0, 2.0, 4.0]
    x[torch.tensor([1])] = torch.tensor(7.0)
    assert x.tolist() == [0.0, 7.0, 2.0]


@pytest.mark.parametrize(
    ("waits", "done"),
    [
        (1, lambda x: x.sum().item()),
        (1, lambda x: float(x.sum())),
        (1, lambda x: bool((x > 1).any())),
        (1, lambda x: (x * 2).cpu()),
        (1, lambda x: (x * 2).tolist()),
        (1, lambda x: x[x > 1]),
        (1, lambda x: (x > 1).nonzero()),
        (1, lambda x: x[torch.tensor([0])]),
        (1, lambda x: x[[0, 2]]),
        (1, lambda x: x.index_put_((x > 0,), torch.ones(2, device=CUDA))),
        (1, lambda x: torch.ones(3).to(CUDA)),
        (1, lambda x: torch.ones(3).pin_memory().to(CUDA)),
        (1, lambda x: torch.ones(3).to(CUDA, non_blocking=True)),
        (1, lambda x: torch.tensor([1.0], device="cuda")),
        (1, lambda x: str(x * 2)),
        (2, lambda x: (float(x.sum()), float(x.max()))),
        (0, lambda x: (torch.cuda.synchronize(), float(x[0]))[0]),
        (0, lambda x: torch.ones(3).pin_memory().to(CUDA, non_blocking=True)),
        (0, lambda x: (torch.where(x > 1, 1.0, 2.0), torch.where(x > 1, x, torch.ones_like(x)))),
        (0, lambda x: x.masked_fill(x > 1, 0.0)),
        (0, lambda x: x.__setitem__(x > 1, 0.0)),
        (0, lambda x: (x @ x, x.softmax(0), nn.functional.one_hot(x.long(), 3))),
    ],
)
def test_waits_are_counted(gpu, waits, done):
    x = torch.arange(3.0).to(CUDA)
    before = gpu.total
    done(x)
    assert gpu.total - before == waits


def test_to_synchronize_is_a_wait_only_while_work_is_queued(gpu):
    x = torch.ones(3).to(CUDA)
    before = gpu.total
    torch.cuda.synchronize()
    assert gpu.total == before
    x.add_(1)
    torch.cuda.synchronize()
    torch.cuda.synchronize()
    assert gpu.total == before + 1


def test_draws_on_the_device_leave_those_of_the_host(gpu):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = nn.functional.dropout(torch.ones(64, device="cuda"), 0.5)
    assert torch.equal(torch.rand(2), expected)
    torch.manual_seed(3)
    assert torch.equal(nn.functional.dropout(torch.ones(64, device="cuda"), 0.5).cpu(), first.cpu())
    with torch.random.fork_rng(devices=[CUDA]):
        inside = torch.randn(4, device="cuda").cpu()
    assert torch.equal(torch.randn(4, device="cuda").cpu(), inside)


def test_deterministic_algorithms_refuse_operations_that_have_none(gpu, monkeypatch):
    x = torch.rand(4, 4, device="cuda")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="kthvalue does not have a deterministic"):
            x.flatten().kthvalue(2)
        with pytest.raises(RuntimeError, match="CUBLAS_WORKSPACE_CONFIG"):
            x @ x
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        x @ x
    finally:
        torch.use_deterministic_algorithms(False)


def test_training_on_it_gives_the_weights_of_the_host(gpu):
    torch.manual_seed(0)
    here = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    there = copy.deepcopy(here).to(CUDA)
    features, labels = torch.randn(5, 2, 8), torch.arange(5) % 3
    for model, device in ((here, "cpu"), (there, "cuda")):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(features.to(device)), labels.to(device)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert all(p.is_cuda and p.grad.is_cuda for p in there.parameters())
    for name, value in there.state_dict().items():
        assert torch.equal(value.cpu(), here.state_dict()[name])


def test_a_copy_of_a_model_stays_on_its_device(gpu):
    model = nn.GRU(3, 4).to(CUDA)
    twin = copy.deepcopy(model)
    assert all(p.is_cuda for p in twin.parameters())
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert float(next(model.parameters()).detach().abs().sum()) > 0


def test_gradients_flow_between_host_and_device(gpu):
    x = torch.ones(3, requires_grad=True)
    (x.to(CUDA) * 2).sum().cpu().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_everything_is_put_back():
    before = torch.cuda.is_available(), torch.autocast, torch.cuda.synchronize
    with simulated_gpu():
        pass
    assert (torch.cuda.is_available(), torch.autocast, torch.cuda.synchronize) == before


def test_the_gradient_of_ctc_repeats_bit_for_bit_because_the_host_computes_it(gpu):
    model = plugins.load("backbones", "wav2vec2_nano_ctc").build()
    targets = model.tokens(["one", "two"])
    logits = torch.randn(2, 9, 29)
    found = []
    for device in ("cpu", "cuda"):
        given = logits.to(device).requires_grad_()
        torch.use_deterministic_algorithms(True)
        try:
            losses = model.target_loss(given, targets.to(device))
            (gradient,) = torch.autograd.grad(losses.sum(), given)
        finally:
            torch.use_deterministic_algorithms(False)
        assert losses.device.type == gradient.device.type == device
        found.append(gradient.cpu())
    assert torch.allclose(*found)
