#!/usr/bin/env python3
"""Makes torch_adapter.bin beside this file, for peft_test.cc: the tensors of tests/parity/golden/lora-r4-qv as PEFT before 0.7 saved
them, with torch.save, and as on a Mac (their storages are said to be on "mps"). Needs torch and safetensors.
"""
import pathlib

import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent

torch.serialization.location_tag = lambda storage: "mps"
torch.save(load_file(HERE.parents[1] / "parity/golden/lora-r4-qv/adapter_model.safetensors"), HERE / "torch_adapter.bin")
