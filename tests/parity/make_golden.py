#!/usr/bin/env python3
"""Makes tests/parity/golden, and checks adapters that Mellow wrote. README.md beside this file says what is what.

    make_golden.py                                              writes golden/ anew
    make_golden.py --check ADAPTER --base MODEL --inputs IN --outputs OUT
                                                                compares `mellow probe policy` with peft
"""

import argparse
import json
import math
import os
import pathlib
import random
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSeq2SeqLM,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils import logging  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
VOCAB = 120
EOS = 1
# Longer than relative_attention_max_distance, so that the last bucket is used from both sides.
SOURCE_LENGTHS = [1, 2, 3, 7, 16, 31, 40, 64, 90, 150]
TARGET_LENGTHS = [1, 5, 2, 12, 30, 8, 150, 21, 3, 17]
# A greedy step whose two best tokens are closer than this could go either way by rounding; such a row is drawn again.
MIN_MARGIN = 1e-3


def write_lines(name, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (GOLDEN / name).write_text(text)


def rounded(values):
    return [round(value, 6) for value in values]


def random_ids(rng, count):
    return [rng.randint(2, VOCAB - 1) for _ in range(count)]


def scale_t5(model, seed):
    """Weights whose outputs are far from uniform and in which every part matters: attention is peaked, norms and position
    biases are not constant, the last tokens are not all the same."""
    generator = torch.Generator().manual_seed(seed)

    def normal(shape, std):
        return torch.randn(shape, generator=generator) * std

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            shape = parameter.shape
            fan_in = shape[-1]
            if name == "decoder.final_layer_norm.weight" and model.config.tie_word_embeddings:
                # They have either sign, or the tied head would mostly say the token again that it has just read.
                parameter.copy_(normal(shape, 1.5))
            elif "layer_norm" in name:
                parameter.copy_(1 + normal(shape, 0.2))
            elif "relative_attention_bias" in name:
                parameter.copy_(normal(shape, 1.0))
            elif name == "shared.weight":
                parameter.copy_(normal(shape, 1.0 if model.lm_head.weight is not parameter else 2.5))
            elif name == "lm_head.weight":
                parameter.copy_(normal(shape, 2.0 / math.sqrt(fan_in)))
            elif name.endswith((".q.weight", ".k.weight")):
                # T5 does not divide the scores by sqrt(d_kv); the weights do.
                parameter.copy_(normal(shape, 1.3 / math.sqrt(fan_in) / model.config.d_kv**0.25))
            else:
                parameter.copy_(normal(shape, 1.2 / math.sqrt(fan_in)))
    return model.eval()


@torch.no_grad()
def target_logits(model, source, target):
    """Logits [len(target), vocab]: row t is the distribution of target[t]."""
    decoder = torch.tensor([[0] + target[:-1]])
    return model(input_ids=torch.tensor([source]), decoder_input_ids=decoder).logits[0]


def token_logprobs(model, source, target):
    logprobs = target_logits(model, source, target).double().log_softmax(-1)
    return [logprobs[t, token].item() for t, token in enumerate(target)]


def score_rows(model, rng, adapter=None, count=len(SOURCE_LENGTHS)):
    rows = []
    for source_length, target_length in list(zip(SOURCE_LENGTHS, TARGET_LENGTHS))[:count]:
        source = random_ids(rng, source_length - 1) + [EOS]
        target = random_ids(rng, target_length - 1) + [EOS]
        row = {"source_ids": source, "target_ids": target, "logprobs": rounded(token_logprobs(model, source, target))}
        if len(rows) < 2 and adapter is None:
            row["first_logits"] = rounded(target_logits(model, source, target)[0].tolist())
        if adapter:
            row["adapter"] = adapter
        rows.append(row)
    return rows


@torch.no_grad()
def generate(model, source, max_new_tokens, min_new_tokens, num_beams):
    # output_scores etc. are of the processed distribution; the log-probs come from a second, teacher-forced pass.
    out = model.generate(
        input_ids=torch.tensor([source]),
        max_new_tokens=max_new_tokens,
        min_new_tokens=min_new_tokens or None,
        num_beams=num_beams,
        do_sample=False,
        length_penalty=1.0,
        early_stopping=False,
    )[0].tolist()[1:]
    if EOS in out:
        out = out[: out.index(EOS) + 1]  # what follows is padding
    return out


def is_robust(model, double_model, source, ids, settings):
    if generate(double_model, source, **settings) != ids:
        return False
    if settings["num_beams"] > 1:
        return True
    logits = target_logits(model, source, ids)
    for t in range(len(ids)):
        row = logits[t].clone()
        if t < settings["min_new_tokens"]:
            row[EOS] = -math.inf
        best = row.topk(2).values
        if best[0] - best[1] < MIN_MARGIN:
            return False
    return True


def generate_rows(model, double_model, rng, adapter=None, count=6):
    settings = [
        {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 1},
        {"max_new_tokens": 40, "min_new_tokens": 12, "num_beams": 1},
        {"max_new_tokens": 24, "min_new_tokens": 0, "num_beams": 4},
        {"max_new_tokens": 30, "min_new_tokens": 9, "num_beams": 4},
    ]
    rows = []
    finishes = set()
    for setting in settings:
        made = 0
        tries = 0
        while made < count:
            tries += 1
            source = random_ids(rng, rng.choice([1, 2, 4, 9, 20, 45, 80])) + [EOS]
            ids = generate(model, source, **setting)
            finish = "eos" if ids[-1] == EOS else "length"
            # Random models seldom stop, or always; ask for both endings in turn, but not forever.
            if tries % 8 != 0 and finish != ("eos" if made % 2 == 0 else "length"):
                continue
            if not is_robust(model, double_model, source, ids, setting):
                continue
            finishes.add(finish)
            row = {"source_ids": source, **setting, "ids": ids,
                   "logprobs": rounded(token_logprobs(model, source, ids)), "finish": finish}
            if adapter:
                row["adapter"] = adapter
            rows.append(row)
            made += 1
    assert adapter or finishes == {"eos", "length"}
    return rows


def save_t5(model, name, layouts):
    folders = {"safetensors": name, "sharded": f"{name}-sharded", "bin": f"{name}-bin"}
    for layout in layouts:
        folder = GOLDEN / folders[layout]
        options = {"safetensors": {}, "sharded": {"max_shard_size": "60KB"}, "bin": {"safe_serialization": False}}
        model.save_pretrained(folder, **options[layout])
        (folder / "generation_config.json").unlink()


def make_adapter(base_folder, name, seed, **config):
    base = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / base_folder).eval()
    torch.manual_seed(seed)
    model = get_peft_model(base, LoraConfig(task_type="SEQ_2_SEQ_LM", bias="none", lora_dropout=0.05, **config)).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_" in parameter_name:
                parameter.copy_(torch.randn(parameter.shape) * 0.25)
    model.peft_config["default"].base_model_name_or_path = base_folder
    model.save_pretrained(GOLDEN / name)
    (GOLDEN / name / "README.md").unlink()
    return model


def make_t5(name, seed, layouts, adapters, **config):
    model = T5ForConditionalGeneration(T5Config(
        vocab_size=VOCAB, dropout_rate=0.1, decoder_start_token_id=0, pad_token_id=0, eos_token_id=EOS, **config))
    scale_t5(model, seed)
    save_t5(model, name, layouts)
    # From here on what a reader of the files sees.
    model = T5ForConditionalGeneration.from_pretrained(GOLDEN / name).eval()
    rng = random.Random(seed)
    scores = score_rows(model, rng)
    generated = generate_rows(model, T5ForConditionalGeneration.from_pretrained(GOLDEN / name).double().eval(), rng)
    for index, (adapter, settings) in enumerate(adapters.items()):
        adapted = make_adapter(name, adapter, seed + 1 + index, **settings)
        scores += score_rows(adapted, rng, adapter, count=8)
        if index == 0:
            double_model = PeftModel.from_pretrained(
                T5ForConditionalGeneration.from_pretrained(GOLDEN / name), GOLDEN / adapter).double().eval()
            generated += generate_rows(adapted, double_model, rng, adapter, count=2)
    write_lines(f"{name}.logprobs.jsonl", scores)
    write_lines(f"{name}.generate.jsonl", generated)
    spread = [value for row in scores for value in row["logprobs"]]
    print(f"{name}: log-probs from {min(spread):.2f} to {max(spread):.2f}, uniform would be {-math.log(VOCAB):.2f}")


def make_roberta(name, seed, labels):
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=VOCAB, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=70, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)})
    model = RobertaForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            if "LayerNorm.weight" in parameter_name:
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.2 * noise)
            elif "embeddings" in parameter_name:
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(1.5 / math.sqrt(parameter.shape[-1]) * noise)
        model.save_pretrained(GOLDEN / name)
        rng = random.Random(seed)
        rows = []
        for length in [2, 3, 4, 9, 17, 33, 50, 68]:  # 68 = max_position_embeddings - pad_token_id - 1
            ids = [0] + [rng.randint(3, VOCAB - 1) for _ in range(length - 2)] + [2]
            rows.append({"input_ids": ids, "logits": rounded(model(input_ids=torch.tensor([ids])).logits[0].tolist())})
    write_lines(f"{name}.logits.jsonl", rows)
    print(f"{name}: logits like {rows[3]['logits']}")


def make_golden():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    # heads * d_kv differs from d_model, the decoder is deeper than the encoder, the head is a matrix of its own.
    make_t5("t5-gated", 501, ["safetensors", "sharded"], {
        "lora-r4-qv": {"r": 4, "lora_alpha": 8, "target_modules": ["q", "v"]},
        "lora-r3-all": {"r": 3, "lora_alpha": 6, "target_modules": ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]},
        "lora-r6-rslora": {"r": 6, "lora_alpha": 5, "use_rslora": True, "target_modules": ["k", "wo"]},
        "lora-r2-suffix": {"r": 2, "lora_alpha": 7, "target_modules": ["EncDecAttention.q", "layer.0.SelfAttention.o"]},
    }, d_model=24, d_kv=6, num_heads=5, d_ff=36, num_layers=2, num_decoder_layers=3, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, relative_attention_num_buckets=32, relative_attention_max_distance=128)
    make_t5("t5-tied", 601, ["safetensors", "sharded", "bin"], {
        "lora-tied-r2": {"r": 2, "lora_alpha": 16, "target_modules": ["q", "wi", "wo"]},
    }, d_model=20, d_kv=8, num_heads=2, d_ff=44, num_layers=3, num_decoder_layers=2, feed_forward_proj="relu",
        tie_word_embeddings=True, relative_attention_num_buckets=16, relative_attention_max_distance=40)
    make_roberta("roberta-2", 701, ["nothate", "hate"])
    make_roberta("roberta-5", 801, ["calm", "happy", "sad", "angry", "afraid"])
    total = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    print(f"{GOLDEN}: {total / 1e6:.2f} MB")


def check_adapter(arguments):
    base = T5ForConditionalGeneration.from_pretrained(arguments.base)
    model = PeftModel.from_pretrained(base, arguments.check).eval()
    inputs = [json.loads(line) for line in open(arguments.inputs)]
    outputs = [json.loads(line) for line in open(arguments.outputs)]
    if len(inputs) != len(outputs):
        sys.exit(f"{len(inputs)} inputs but {len(outputs)} outputs")
    worst = 0.0
    for number, (row, output) in enumerate(zip(inputs, outputs), 1):
        expected = token_logprobs(model, row["source_ids"], row["target_ids"])
        got = output.get("logprobs")
        if got is None or len(got) != len(expected):
            sys.exit(f"line {number}: {output}")
        worst = max([worst] + [abs(a - b) for a, b in zip(expected, got)])
    print(f"{len(inputs)} rows, largest difference {worst:.2e}")
    if not worst <= arguments.tolerance:
        sys.exit(f"more than {arguments.tolerance}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="ADAPTER", help="PEFT folder that Mellow wrote")
    parser.add_argument("--base", help="its base model's folder")
    parser.add_argument("--inputs", help="JSON lines that the probe read")
    parser.add_argument("--outputs", help="JSON lines that the probe wrote")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    if arguments.check is None:
        make_golden()
        return
    if not (arguments.base and arguments.inputs and arguments.outputs):
        parser.error("--check needs --base, --inputs and --outputs")
    check_adapter(arguments)


if __name__ == "__main__":
    main()
