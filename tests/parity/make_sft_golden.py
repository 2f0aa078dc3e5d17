#!/usr/bin/env python3
"""Makes tests/parity/golden/sft: supervised steps of transformers 4.45 and PEFT 0.13 on small random models, for sft_parity_test.cc.

Needs transformers==4.45.2, peft==0.13.2, and the models of make_ppo_golden.py and make_family_golden.py. Each case is NAME.json (configuration, the pairs of each step
and what came of them: loss, learning rate, gradient norm; the dev loss before and after), NAME.gradients.safetensors (of the first
step, before clipping) and NAME.after (the adapter after the last step). The loss is that of T5ForConditionalGeneration, or transformers'
LabelSmoother; optimizer torch.optim.AdamW, clip_grad_norm_, get_linear_schedule_with_warmup. Batches are padded and labels of the padding
are -100.

With dropout, torch's random masks are replaced by those that common/nn/torch/dropout.h documents, place by place in the order in which
transformers and PEFT ask for them, row by row (a padded batch would have other shapes): so the places and scales of dropout are compared too.
"""

import json
import os
import pathlib
import random
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from peft import PeftConfig, PeftModel  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForSeq2SeqLM, get_linear_schedule_with_warmup  # noqa: E402
from transformers.trainer_pt_utils import LabelSmoother  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
MODELS = GOLDEN / "ppo"
OUT = GOLDEN / "sft"
VOCAB = 97
DROPOUT_STREAM = 0x64726F70

# name: model, adapter, configuration, pairs of each step
CASES = {
    "plain": ("gated", "gated-qv", {"learning_rate": 1e-3, "total_steps": 4, "max_grad_norm": 0.0, "batch_size": 6}, [6] * 4),
    "everything": ("tied", "tied-all", {
        "learning_rate": 5e-3, "warmup_steps": 3, "total_steps": 12, "weight_decay": 0.05, "adam_beta1": 0.85, "adam_beta2": 0.98,
        "adam_epsilon": 1e-6, "max_grad_norm": 0.3, "label_smoothing": 0.1, "batch_size": 3}, [8] * 11 + [5]),
    "dropout": ("gated", "gated-qv", {
        "learning_rate": 2e-3, "warmup_steps": 1, "total_steps": 5, "batch_size": 2, "seed": 7, "lora_dropout": 0.3, "model_dropout": 0.2}, [5] * 5),
    "dropout-all": ("tied", "tied-all", {
        "learning_rate": 2e-3, "total_steps": 3, "batch_size": 4, "seed": 8, "lora_dropout": 0.1, "model_dropout": 0.1, "label_smoothing": 0.2}, [4] * 3),
    # A position bias in every layer.
    "umt5": ("../families/umt5", "../families/umt5-qv", {"learning_rate": 1e-3, "total_steps": 3, "batch_size": 4}, [4] * 3),
}


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011); counter: [n, 4] uint64 below 2^32."""
    c = [counter[:, i].copy() for i in range(4)]
    k = [np.uint64(key[0]), np.uint64(key[1])]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c[0]
        b = np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ k[0], b & low, (a >> np.uint64(32)) ^ c[3] ^ k[1], a & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return np.stack(c, axis=1)


class CountedDropout:
    """Stands in for torch.nn.functional.dropout."""

    def __init__(self, seed):
        self.seed, self.step, self.row, self.place = seed, 0, 0, 0

    def __call__(self, x, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return x
        blocks = (x.numel() + 3) // 4
        counter = np.zeros((blocks, 4), dtype=np.uint64)
        counter[:, 0] = np.arange(blocks)
        counter[:, 1:] = [self.place, self.row, self.step]
        self.place += 1
        bits = philox(counter, (self.seed, DROPOUT_STREAM)).reshape(-1)[:x.numel()]
        kept = torch.tensor((bits >= int(p * 2.0**32)).astype(np.float32)).view(x.shape)
        return x * (kept / (1 - p))


def load(model, adapter, config):
    base = AutoModelForSeq2SeqLM.from_pretrained(MODELS / model, dropout_rate=config.get("model_dropout", 0.0))
    peft_config = PeftConfig.from_pretrained(MODELS / adapter)
    peft_config.lora_dropout = config.get("lora_dropout", 0.0)
    peft_config.inference_mode = False
    return PeftModel.from_pretrained(base, MODELS / adapter, config=peft_config, is_trainable=True).train()


def padded(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def loss_of(model, pairs, smoothing):
    source = padded([p["source_ids"] for p in pairs], 0)
    mask = padded([[1] * len(p["source_ids"]) for p in pairs], 0)
    labels = padded([p["target_ids"] for p in pairs], -100)
    if smoothing == 0:
        return model(input_ids=source, attention_mask=mask, labels=labels).loss
    start = model.base_model.model.prepare_decoder_input_ids_from_labels(labels)
    out = model(input_ids=source, attention_mask=mask, decoder_input_ids=start)
    return LabelSmoother(epsilon=smoothing)(out, labels)


def make_pairs(rng, count):
    return [{"source_ids": [rng.randint(3, VOCAB - 1) for _ in range(rng.randint(2, 30))] + [1],
             "target_ids": [rng.randint(2, VOCAB - 1) for _ in range(rng.randint(0, 18))] + [1]} for _ in range(count)]


def make_case(name, model_name, adapter, config, sizes, seed):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = load(model_name, adapter, config)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=config["learning_rate"], weight_decay=config.get("weight_decay", 0.0),
                                  betas=(config.get("adam_beta1", 0.9), config.get("adam_beta2", 0.999)), eps=config.get("adam_epsilon", 1e-8))
    schedule = get_linear_schedule_with_warmup(optimizer, config.get("warmup_steps", 0), config["total_steps"])
    smoothing = config.get("label_smoothing", 0.0)
    dropout = CountedDropout(config.get("seed", 0))
    drops = "lora_dropout" in config
    original = torch.nn.functional.dropout
    dev = make_pairs(rng, 7)

    def dev_loss():
        model.eval()
        with torch.no_grad():
            value = loss_of(model, dev, 0).item()
        model.train()
        return value

    dev_losses = [dev_loss()]
    steps = []
    for number, size in enumerate(sizes):
        pairs = make_pairs(rng, size)
        optimizer.zero_grad()
        if drops:
            torch.nn.functional.dropout = dropout
            tokens = sum(len(p["target_ids"]) for p in pairs)
            loss = 0.0
            for row, pair in enumerate(pairs):
                dropout.step, dropout.row, dropout.place = number, row, 0
                part = loss_of(model, [pair], smoothing) * (len(pair["target_ids"]) / tokens)
                part.backward()
                loss += part.item()
            torch.nn.functional.dropout = original
        else:
            total = loss_of(model, pairs, smoothing)
            total.backward()
            loss = total.item()
        if number == 0:
            save_file({n.replace("base_model.model.", "").replace(".default", ""): p.grad.clone() for n, p in parameters.items()},
                      str(OUT / f"{name}.gradients.safetensors"))
        limit = config.get("max_grad_norm", 1.0) or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), limit).item()
        steps.append({"pairs": pairs, "loss": loss, "learning_rate": schedule.get_last_lr()[0], "gradient_norm": norm})
        optimizer.step()
        schedule.step()
    dev_losses.append(dev_loss())
    case = {"model": model_name, "adapter": adapter, "config": config, "dev": {"pairs": dev, "losses": dev_losses}, "steps": steps}
    (OUT / f"{name}.json").write_text(json.dumps(case) + "\n")
    model.peft_config["default"].base_model_name_or_path = pathlib.Path(model_name).name
    model.save_pretrained(OUT / f"{name}.after")
    (OUT / f"{name}.after" / "README.md").unlink(missing_ok=True)
    print(name, [round(s["loss"], 4) for s in steps], "norms", [round(s["gradient_norm"], 3) for s in steps], "dev", dev_losses)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for number, (name, (model, adapter, config, sizes)) in enumerate(CASES.items()):
        make_case(name, model, adapter, config, sizes, seed=20 + number)


if __name__ == "__main__":
    main()
