from __future__ import annotations

import platform
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cliffkit.errors import UserError
from cliffkit.training.batchnorm import synchronise_batch_norm
from cliffkit.training.device import PACKAGES, Device, choose_precision, open_device

from ..engine_fixtures import cpu


def on(kind: str) -> Device:
    """A device that is not there."""
    return Device(SimpleNamespace(num_processes=1), torch.float32, "a test", torch.device(kind))


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_what_is_there_is_opened_with_a_reason_for_its_precision(name: str) -> None:
    device = open_device(name)
    assert device.torch.type == "cpu" or name == "auto"
    assert (device.dtype, device.reason) == choose_precision(device.torch, "auto")
    assert device.reason


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", r"--device gpu: is no device; use auto, cpu or cuda"),
        ("", r"--device : .*; use auto, cpu or cuda"),
        ("cuda:x", r"--device cuda:x: .*; use auto, cpu or cuda"),
        ("cuda:99", r"--device cuda:99: torch sees no such device here; use --device auto or cpu"),
        ("xla", r"--device xla: torch sees no such device here"),
        ("meta", r"--device meta: torch sees no such device here"),
    ],
)
def test_a_device_that_is_not_there_is_the_users_to_mend(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_device(name)


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two GPUs as torch sees them, none of them there; the devices that become the current one."""
    current: list[torch.device] = []
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", current.append)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: True)
    return current


def test_a_process_opens_one_device_after_another(current: list[torch.device]) -> None:
    """As a notebook does that trains on a GPU and predicts on the processor."""
    opened = [open_device(name) for name in ("cuda:1", "cpu", "auto", "cuda:0", "cuda")]
    assert [str(device.torch) for device in opened] == ["cuda:1", "cpu", "cuda", "cuda:0", "cuda"]
    assert [str(device) for device in current] == ["cuda:1", "cuda:0"], "streams and graphs lie on the current one"
    assert opened[0].dtype == torch.bfloat16
    assert {device.accelerator.num_processes for device in opened} == {1}


def test_float32_on_a_gpu_is_float32_and_torch_can_still_tell(current: list[torch.device]) -> None:
    open_device("cuda")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_process_of_torchrun_has_the_gpu_that_it_is_given(
    current: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match=r"--device cuda:1: torchrun gives each process a GPU .*; use --device cuda"):
        open_device("cuda:1")


def test_more_processes_than_gpus_are_refused(current: list[torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match=r"started 3 processes here, and torch sees 2 GPU.*lower --nproc-per-node"):
        open_device("auto")


@pytest.mark.parametrize(
    ("amx", "avx", "dtype"), [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")]
)
def test_a_processor_computes_in_bfloat16_where_it_can(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx: bool, dtype: str
) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx)
    chosen, reason = choose_precision(torch.device("cpu"), "auto")
    assert chosen == getattr(torch, dtype)
    assert ("no bfloat16" in reason) == (dtype == "float32")


@pytest.mark.parametrize(("can", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_computes_in_bfloat16_where_it_can(
    monkeypatch: pytest.MonkeyPatch, can: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: can)
    chosen, reason = choose_precision(torch.device("cuda"), "auto")
    assert chosen == dtype
    assert ("does not" in reason) != can


def test_a_recipe_that_names_the_precision_has_it_anywhere() -> None:
    for kind in ("cpu", "cuda", "mps"):
        assert choose_precision(torch.device(kind), "fp32") == (torch.float32, "the recipe says so")
        assert choose_precision(torch.device(kind), "bf16") == (torch.bfloat16, "the recipe says so")
    assert choose_precision(torch.device("mps"), "auto")[0] == torch.float32


def test_mixed_precision_is_on_in_bfloat16_alone() -> None:
    product = torch.ones(2, 2)
    for dtype in (torch.bfloat16, torch.float32):
        with replace(cpu(), dtype=dtype).autocast():
            assert (product @ product).dtype == dtype


def test_the_environment_says_what_a_result_was_computed_with() -> None:
    facts = cpu().environment()
    assert facts.device_type == "cpu"
    assert facts.processes == 1
    assert facts.threads == torch.get_num_threads()
    assert facts.precision == "float32"
    assert facts.precision_reason == "the recipe says so"
    assert facts.python == platform.python_version()
    assert facts.versions.keys() == set(PACKAGES)
    assert torch.__version__.startswith(facts.versions["torch"])


NO_KERNEL = "histc_cuda does not have a deterministic implementation, but you set 'torch.use_deterministic..."


def test_an_operation_without_a_deterministic_kernel_is_noted_at_once_and_once() -> None:
    device = replace(cpu(), nondeterministic=[])
    with device.determinism(False):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        for _ in range(3):
            warnings.warn(NO_KERNEL, stacklevel=1)
        # a stage writes its environment down before it ends
        assert device.environment().nondeterministic == (NO_KERNEL,)
    assert not torch.are_deterministic_algorithms_enabled()
    with device.determinism(False):
        warnings.warn(NO_KERNEL, stacklevel=1)
    assert device.nondeterministic == [NO_KERNEL]


def test_torchs_own_warning_is_noted() -> None:
    device = replace(cpu(), nondeterministic=[])
    with device.determinism(False):
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.tensor([1.0, 2.0]))
    (noted,) = device.nondeterministic
    assert "put_" in noted


@pytest.mark.filterwarnings("error")
def test_other_warnings_pass_through_as_the_caller_wants_them() -> None:
    device = replace(cpu(), nondeterministic=[])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with device.determinism(False):
            warnings.warn("something else", stacklevel=1)
    assert [str(each.message) for each in caught] == ["something else"]
    # outside the context above, a warning is an error here
    with pytest.raises(UserWarning, match="something else"), device.determinism(False):
        warnings.warn("something else", stacklevel=1)
    assert device.nondeterministic == []
    assert not torch.are_deterministic_algorithms_enabled(), "switched back after an exception too"


def test_a_gpu_is_made_deterministic_where_the_recipe_asks_for_it_and_else_said_not_to_be() -> None:
    fast, exact = on("cuda"), on("cuda")
    with fast.determinism(False):
        assert not torch.are_deterministic_algorithms_enabled()
    assert len(fast.nondeterministic) == 1
    assert "train.deterministic" in fast.nondeterministic[0]
    with fast.determinism(False):
        assert len(fast.nondeterministic) == 1, "said once, whatever number of jobs"
    with exact.determinism(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_warn_always_enabled(), "what torch warns of once in a process is listed for each job"
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.mem_efficient_sdp_enabled()
    assert exact.nondeterministic == []
    assert not torch.is_warn_always_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


def test_batch_normalisation_that_cannot_be_shared_between_processes_is_refused() -> None:
    class Other(torch.nn.BatchNorm2d):
        pass

    with pytest.raises(UserError, match="Other cannot be trained by several processes on a cpu"):
        synchronise_batch_norm(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), Other(2)), torch.device("cpu"))


def test_deterministic_kernels_do_not_fill_fresh_memory_and_leave_the_setting_as_it_was() -> None:
    settings = torch.utils.deterministic
    assert settings.fill_uninitialized_memory, "torch's own choice"
    with open_device("cpu").determinism(False):
        assert torch.are_deterministic_algorithms_enabled()
        assert not settings.fill_uninitialized_memory
    assert settings.fill_uninitialized_memory


@pytest.mark.parametrize("library", [object(), None])
def test_a_c_library_that_cannot_keep_memory_is_left_alone(
    library: object | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[int, int]] = []
    ours = library or SimpleNamespace(mallopt=lambda *setting: said.append(setting))
    monkeypatch.setattr("ctypes.CDLL", lambda name: ours)
    open_device("cpu")
    assert [name for name, _ in said] == ([] if library else [-4, -1, -2])
