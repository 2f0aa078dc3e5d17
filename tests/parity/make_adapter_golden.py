#!/usr/bin/env python3
"""Makes tests/parity/golden/adapters: adapters whose configuration says more than a list of modules,
and the log-probs that PEFT computes with them. README.md beside this file says what is what.

    make_adapter_golden.py        writes the adapters of the PEFT that runs it: 0.13.2 (with TRL 0.11.3,
                                  for a value head) or 0.21.2

The base models are t5-gated and t5-tied of make_golden.py.
"""

import json
import os
import pathlib
import random
import shutil
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import peft  # noqa: E402
import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import T5ForConditionalGeneration  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
ADAPTERS = GOLDEN / "adapters"

OF_0_13 = {
    "patterns": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "target_modules": ["q", "v", "wo"],
        "rank_pattern": {"EncDecAttention.v": 2, r"block\.1\..*\.q": 3, "decoder.block.0.layer.0.SelfAttention.q": 1},
        "alpha_pattern": {"EncDecAttention.v": 20, r"block\.1\..*\.q": 5}}),
    "patterns-rslora": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "use_rslora": True, "target_modules": ["o", "wi_0"],
        "rank_pattern": {"wi_0": 2}, "alpha_pattern": {"SelfAttention.o": 3, "wi_0": 16}}),
    "regex": ("t5-gated", {
        "r": 3, "lora_alpha": 9, "target_modules": r".*decoder.*(SelfAttention|EncDecAttention)\.(q|v)$"}),
    "all-linear": ("t5-gated", {"r": 2, "lora_alpha": 4, "target_modules": "all-linear"}),
    "layers": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "target_modules": ["q", "wo"], "layers_to_transform": [1], "layers_pattern": "block"}),
    "layers-last": ("t5-gated", {"r": 4, "lora_alpha": 8, "target_modules": ["q", "k"], "layers_to_transform": 1}),
    "bias-all": ("t5-gated", {"r": 4, "lora_alpha": 8, "target_modules": ["q", "v"], "bias": "all"}),
    "bias-lora-only": ("t5-gated", {"r": 4, "lora_alpha": 8, "target_modules": ["k"], "bias": "lora_only",
                                    "fan_in_fan_out": True}),
    "head": ("t5-tied", {"r": 4, "lora_alpha": 8, "target_modules": ["q", "lm_head"]}),
}
OF_0_21 = {
    "exclude": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "target_modules": ["q", "v", "wo", "lm_head"], "exclude_modules": ["SelfAttention.v", "lm_head"]}),
    "exclude-regex": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "target_modules": "all-linear", "exclude_modules": r"encoder\..*"}),
    "layers-first": ("t5-gated", {"r": 4, "lora_alpha": 8, "target_modules": ["q", "k"], "layers_to_transform": [1]}),
    "patterns-apart": ("t5-gated", {
        "r": 4, "lora_alpha": 8, "target_modules": ["q", "v"],
        "rank_pattern": {"^decoder.block.0.layer.0.SelfAttention.q": 2, "SelfAttention.v": 3},
        "alpha_pattern": {"v": 30, "^decoder.block.0.layer.0.SelfAttention.q": 6}}),
    "orthogonal-tied": ("t5-tied", {
        "r": 2, "lora_alpha": 8, "target_modules": ["k", "lm_head"], "init_lora_weights": "orthogonal"}),
}


def token_logprobs(model, source, target):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([source]), labels=torch.tensor([target])).logits[0]
    logprobs = torch.log_softmax(logits.double(), dim=-1)
    return [round(logprobs[i, t].item(), 6) for i, t in enumerate(target)]


def make(name, base, settings, seed):
    torch.manual_seed(seed)
    folder = ADAPTERS / name
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(T5ForConditionalGeneration.from_pretrained(GOLDEN / base),
                           LoraConfig(task_type="SEQ_2_SEQ_LM", **settings)).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_" in parameter_name:
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    # From here on what a reader of the files sees.
    model = PeftModel.from_pretrained(T5ForConditionalGeneration.from_pretrained(GOLDEN / base), folder).eval()
    rng = random.Random(seed)
    rows = []
    for source_length, target_length in [(3, 4), (17, 9), (40, 2)]:
        source = [rng.randint(3, 119) for _ in range(source_length)] + [1]
        target = [rng.randint(3, 119) for _ in range(target_length)] + [1]
        rows.append({"base": base, "source_ids": source, "target_ids": target,
                     "logprobs": token_logprobs(model, source, target)})
    bare = token_logprobs(T5ForConditionalGeneration.from_pretrained(GOLDEN / base).eval(),
                          rows[0]["source_ids"], rows[0]["target_ids"])
    effect = max(abs(a - b) for a, b in zip(bare, rows[0]["logprobs"]))
    (ADAPTERS / f"{name}.logprobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{name}: changes log-probs by {effect:.2f}")


def make_value_head():
    """What TRL 0.11.3 saves beside an adapter: pytorch_model.bin with the value head alone."""
    from trl import AutoModelForSeq2SeqLMWithValueHead

    torch.manual_seed(990)
    model = AutoModelForSeq2SeqLMWithValueHead.from_pretrained(
        str(GOLDEN / "t5-gated"), peft_config=LoraConfig(task_type="SEQ_2_SEQ_LM", target_modules=["q"]))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        shutil.copy(pathlib.Path(folder) / "pytorch_model.bin", ADAPTERS / "trl-value-head.bin")
    head = model.v_head.summary
    (ADAPTERS / "trl-value-head.json").write_text(
        json.dumps({"weight": head.weight[0].tolist(), "bias": head.bias[0].item()}) + "\n")


def main():
    torch.set_num_threads(1)
    sets = {"0.13": OF_0_13, "0.21": OF_0_21}
    version = ".".join(peft.__version__.split(".")[:2])
    for index, (name, (base, settings)) in enumerate(sets[version].items()):
        make(name, base, settings, 900 + index + (50 if version == "0.21" else 0))
    if version == "0.13":
        make_value_head()


if __name__ == "__main__":
    main()
