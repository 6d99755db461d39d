"""Tests of the oracle in torch: the laws of the contract, on the CPU and on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle import torch_oracle
from map_core.oracle.torch_oracle import TorchOracle
from map_core.testing.oracle_laws import LAWS, Law
from map_core.testing.plain_tables import CASES, PlainTable

FLOAT32_CASES = [name for name in CASES if "any size" not in name]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def oracle_of(table: PlainTable, **settings: object) -> TorchOracle:
    return TorchOracle(table.rewards, table.offsets, table.values, table.form, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_laws_hold_in_double_precision(law: Law, name: str):
    law(oracle_of(CASES[name], precision=torch.float64), CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", FLOAT32_CASES)
def test_float32_in_many_chunks(law: Law, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(torch_oracle.BLOCK, "cpu", 100)
    table = PlainTable(CASES[name].rewards.astype(np.float32), CASES[name].offsets, CASES[name].form)
    oracle = oracle_of(table)
    assert oracle.resolution == 1e-6
    law(oracle, table)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", FLOAT32_CASES)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_laws_hold_on_a_gpu(name: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(torch_oracle.BLOCK, "cuda", 300)
    table = PlainTable(CASES[name].rewards.astype(np.float32), CASES[name].offsets, CASES[name].form)
    for law in LAWS:
        law(oracle_of(table, device="cuda", precision=precision), table)


def test_rewards_may_be_a_tensor():
    table = CASES["even"]
    oracle = TorchOracle(torch.as_tensor(table.rewards), table.offsets, table.values, table.form)
    np.testing.assert_allclose(oracle.base, table.base)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_device_is_named():
    with pytest.raises(InputError, match="no device 'cuda'"):
        oracle_of(CASES["even"], device="cuda")


def test_the_per_prompt_form_needs_two_replies():
    table = CASES["one reply a prompt, pooled"]
    with pytest.raises(InputError, match="two replies or more"):
        TorchOracle(table.rewards, table.offsets, table.values, Form.PER_PROMPT)
