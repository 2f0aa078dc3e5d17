#!/usr/bin/env python3
"""Makes tests/parity/golden/ppo: PPO steps of TRL 0.11.3 on small random models, for ppo_parity_test.cc.

Needs trl==0.11.3, peft==0.13.2, transformers==4.45.2. Each case is a folder's worth of files:
NAME.config.json (what PpoTrainer reads), NAME.value_head.safetensors (before), NAME.steps.jsonl (queries, responses without
the start token, scores), NAME.stats.jsonl (TRL's scalar statistics of each step), NAME.after and NAME.after.value_head.safetensors.
The cases cover what differs between TRL and the textbook: clipping in the first optimizer step only, Adam steps of skipped
mini-batches, means of means under accumulation, whitened padding.
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
from peft import LoraConfig, PeftModel, TaskType, get_peft_model  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tokenizers import Tokenizer, models  # noqa: E402
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration  # noqa: E402
from trl import AutoModelForSeq2SeqLMWithValueHead, PPOConfig, PPOTrainer  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "ppo"
VOCAB = 97
STEPS = 3

# name: model, adapter, PPOConfig, (shortest response, longest response)
CASES = {
    # (use_score_scaling cannot be compared: TRL 0.11.3 raises an AttributeError with it.)
    "clip-once": ("gated", "gated-qv", {
        "batch_size": 6, "mini_batch_size": 3, "ppo_epochs": 2, "max_grad_norm": 0.05,
        "score_clip": 0.9, "seed": 3,
    }, (2, 20)),
    "accumulate-mse": ("tied", "tied-all", {
        "batch_size": 8, "mini_batch_size": 2, "gradient_accumulation_steps": 2, "ppo_epochs": 2,
        "kl_penalty": "mse", "gamma": 0.98, "lam": 0.9, "vf_coef": 0.5, "adap_kl_ctrl": False, "seed": 4,
    }, (2, 25)),
    "full-whiten": ("gated", "gated-qv", {
        "batch_size": 4, "mini_batch_size": 4, "ppo_epochs": 3, "kl_penalty": "full", "whiten_rewards": True,
        "cliprange": 0.1, "cliprange_value": 0.1, "target": 1.0, "horizon": 50, "seed": 5,
    }, (3, 30)),
    "skip-stop": ("gated", "gated-qv", {
        "batch_size": 8, "mini_batch_size": 4, "ppo_epochs": 4, "learning_rate": 2e-2, "ratio_threshold": 1.08,
        "early_stopping": True, "target_kl": 0.02, "init_kl_coef": 0.05, "seed": 6,
    }, (2, 16)),
}


def make_model(name, seed, **kwargs):
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=VOCAB, d_model=20, d_kv=6, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=3,
        relative_attention_num_buckets=16, relative_attention_max_distance=40, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, **kwargs)
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(GOLDEN / name, safe_serialization=True)
    (GOLDEN / name / "generation_config.json").unlink()


def make_adapter(name, model, seed, **kwargs):
    torch.manual_seed(seed)
    base = T5ForConditionalGeneration.from_pretrained(GOLDEN / model)
    lora = get_peft_model(base, LoraConfig(bias="none", task_type=TaskType.SEQ_2_SEQ_LM, **kwargs))
    with torch.no_grad():
        for parameter_name, parameter in lora.named_parameters():
            if "lora_B" in parameter_name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    save_adapter(lora, GOLDEN / name)


def save_adapter(lora, folder):
    lora.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def save_value_head(head, path):
    save_file({"v_head.summary.weight": head.summary.weight.detach().clone(),
               "v_head.summary.bias": head.summary.bias.detach().clone()}, str(path))


def tokenizer():
    words = {f"w{i}": i for i in range(VOCAB)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w2")),
                                   pad_token="w0", eos_token="w1", unk_token="w2")


def make_case(name, model, adapter, config, lengths, seed):
    torch.manual_seed(seed)
    rng = random.Random(seed)
    base = T5ForConditionalGeneration.from_pretrained(GOLDEN / model)
    lora = PeftModel.from_pretrained(base, GOLDEN / adapter, is_trainable=True)
    policy = AutoModelForSeq2SeqLMWithValueHead.from_pretrained(lora, is_trainable=True)
    save_value_head(policy.v_head, GOLDEN / f"{name}.value_head.safetensors")
    config = {"learning_rate": 1.41e-3, **config}
    trainer = PPOTrainer(config=PPOConfig(model_name=name, **config), model=policy, ref_model=None,
                         tokenizer=tokenizer(), dataset=None)
    size = config["batch_size"]
    steps, stats = [], []
    for _ in range(STEPS):
        queries = [[rng.randint(3, VOCAB - 1) for _ in range(rng.randint(2, 30))] + [1] for _ in range(size)]
        responses = [[rng.randint(2, VOCAB - 1) for _ in range(rng.randint(*lengths))] for _ in range(size)]
        for response in responses[1:]:
            response.append(1)
        scores = [round(rng.gauss(0, 2), 4) for _ in range(size)]
        result = trainer.step([torch.tensor(q) for q in queries], [torch.tensor([0] + r) for r in responses],
                              [torch.tensor(s) for s in scores])
        steps.append({"queries": queries, "responses": responses, "scores": scores})
        stats.append({key: float(np.asarray(value).mean()) for key, value in result.items()
                      if np.asarray(value).size == 1 and not key.startswith("time")})
    write = lambda suffix, rows: (GOLDEN / (name + suffix)).write_text("".join(json.dumps(r) + "\n" for r in rows))
    write(".steps.jsonl", steps)
    write(".stats.jsonl", stats)
    mine = {**config, "trl_compat": True, "reference": "base"}
    (GOLDEN / f"{name}.config.json").write_text(json.dumps(mine, indent=1) + "\n")
    save_adapter(policy.pretrained_model, GOLDEN / f"{name}.after")
    save_value_head(policy.v_head, GOLDEN / f"{name}.after.value_head.safetensors")
    keys = ("objective/kl", "ppo/loss/policy", "ppo/loss/value", "ppo/policy/clipfrac")
    print(name, [{k: round(s[k], 5) for k in keys} for s in stats])


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    make_model("gated", 1, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    make_model("tied", 2, feed_forward_proj="relu", tie_word_embeddings=True)
    make_adapter("gated-qv", "gated", 3, r=4, lora_alpha=8, target_modules=["q", "v"])
    make_adapter("tied-all", "tied", 4, r=2, lora_alpha=6, use_rslora=True,
                 target_modules=["q", "k", "v", "o", "wi", "wo"])
    for number, (name, (model, adapter, config, lengths)) in enumerate(CASES.items()):
        make_case(name, model, adapter, config, lengths, seed=10 + number)


if __name__ == "__main__":
    main()
