#!/usr/bin/env python3
"""Makes tests/parity/golden/families: small random mT5, UMT5 and T5 models as transformers 4 and 5 save them, and what they compute.

Run it with both versions; each makes its own models and leaves the other's alone:

    transformers 4.45.2, peft 0.13.2    mt5, umt5 (with the adapter umt5-qv, which make_sft_golden.py trains), umt5-tied
    transformers 5.24.0                 t5-5-fresh, t5-5-tied, t5-5-head, mt5-5, umt5-5

Each has NAME.logprobs.jsonl as README.md says. t5-5-head is a T5 v1.1 with a head of its own that was loaded and saved by version 5, whose
config.json says tie_word_embeddings nevertheless.
"""

import json
import os
import random
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402

import make_golden  # noqa: E402
from make_golden import EOS, GOLDEN, make_adapter, scale_t5, score_rows  # noqa: E402

OUT = GOLDEN / "families"
VOCAB = 97  # as in the models that make_sft_golden.py trains
SIZES = {"vocab_size": VOCAB, "d_model": 16, "d_kv": 6, "num_heads": 3, "d_ff": 20, "num_layers": 2, "num_decoder_layers": 3, "dropout_rate": 0.1,
         "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": EOS}
GATED = {"feed_forward_proj": "gated-gelu"}


def classes(family):
    return getattr(transformers, f"{family}Config"), getattr(transformers, f"{family}ForConditionalGeneration")


def scales(config):
    """Whether the head's input is multiplied by d_model^-0.5; version 5 never does it for mT5."""
    if hasattr(config, "scale_decoder_outputs"):
        return config.scale_decoder_outputs
    return config.tie_word_embeddings and transformers.__version__.startswith("4.")


def build(family, seed, **config):
    config_class, model_class = classes(family)
    model = scale_t5(model_class(config_class(**SIZES, **config)), seed)
    if model.lm_head.weight is model.shared.weight and not scales(model.config):
        with torch.no_grad():
            model.shared.weight.mul_(0.25)  # or the logits would be in the hundreds
    return model


def finish(name, family, seed):
    """Scores with what a reader of the files sees."""
    (OUT / name / "generation_config.json").unlink()
    model = classes(family)[1].from_pretrained(OUT / name).eval()
    rows = score_rows(model, random.Random(seed), count=8)
    (OUT / f"{name}.logprobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(name, "scaled" if scales(model.config) else "not scaled",
          "tied" if model.lm_head.weight is model.shared.weight else "own head", rows[3]["logprobs"][:4])


def make(name, family, seed, **config):
    shutil.rmtree(OUT / name, ignore_errors=True)
    build(family, seed, **config).save_pretrained(OUT / name)
    finish(name, family, seed)


def make_with_head(name, seed):
    """As a v1.1 or FLAN model on the Hub that somebody loads and saves with transformers 5."""
    model = build("T5", seed, tie_word_embeddings=False, **GATED)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.lm_head.weight = torch.nn.Parameter(torch.randn(model.lm_head.weight.shape) / 2)
    model.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    assert written["tie_word_embeddings"] and not written["scale_decoder_outputs"]
    finish(name, "T5", seed)


def main():
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    make_golden.VOCAB = VOCAB
    OUT.mkdir(parents=True, exist_ok=True)
    if transformers.__version__.startswith("4."):
        make("mt5", "MT5", 901, tie_word_embeddings=False, **GATED)
        make("umt5", "UMT5", 902, tie_word_embeddings=False, **GATED)
        make("umt5-tied", "UMT5", 903, tie_word_embeddings=True, feed_forward_proj="relu")
        make_adapter("families/umt5", "families/umt5-qv", 904, r=3, lora_alpha=6, target_modules=["q", "v"])
    else:
        make("t5-5-fresh", "T5", 911, tie_word_embeddings=False, **GATED)
        make("t5-5-tied", "T5", 912, feed_forward_proj="relu")
        make_with_head("t5-5-head", 913)
        make("mt5-5", "MT5", 914, **GATED)
        make("umt5-5", "UMT5", 915, **GATED)


if __name__ == "__main__":
    main()
