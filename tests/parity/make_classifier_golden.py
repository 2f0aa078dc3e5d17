#!/usr/bin/env python3
"""Writes golden/classifiers.jsonl and golden/text_pairs.jsonl: what transformers makes of classifiers in the shapes of those that people use.

    python3 make_classifier_golden.py      transformers 5.24, torch 2.10

transformers 4.45 says the same, number for number, but for regression, where its text-classification pipeline still computed a softmax or sigmoid.

A line of classifiers.jsonl is a model: config.json with the vocabulary, positions, labels, head width and problem type of the one it is
named after, and fewer, narrower layers. Its weights are not in the file but follow from it: value i of a tensor is offset + scale * u, where
u in [-1, 1) are the upper 24 bits of number i of splitmix64, seeded by FNV-1a of "MODEL/TENSOR". `rows` have ids, logits, and the
pipeline's probabilities and label. text_pairs.jsonl has the ids of pairs by the tokenizer of deploy/models/mini-toxicity, truncated by
longest_first to max_length.
"""

import json
import os
import pathlib
import random
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification, TextClassificationPipeline  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
MINI = HERE.parents[1] / "deploy" / "models" / "mini-toxicity"
VOCAB = 50265

HATE = {"0": "nothate", "1": "hate"}
UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}
UNBIASED = ["toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit", "male", "female",
            "homosexual_gay_or_lesbian", "christian", "jewish", "muslim", "black", "white", "psychiatric_or_mental_illness"]
BASE = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512, "num_hidden_layers": 2}  # heads of 64, as base and large


def named(names):
    return {str(i): name for i, name in enumerate(names)}


MODELS = {
    **{f"roberta-hate-speech-dynabench-r{i}-target": {**BASE, "id2label": HATE} for i in (1, 2, 3, 4)},
    # Heads of 48, and layers that are hardly wider inside.
    "granite-guardian-hap-38m": {**BASE, "hidden_size": 96, "intermediate_size": 128, "id2label": UNNAMED},
    "granite-guardian-hap-125m": {**BASE, "id2label": UNNAMED, "problem_type": "single_label_classification"},
    "roberta_toxicity_classifier": {**BASE, "id2label": named(["neutral", "toxic"])},
    "toxigen_roberta": {**BASE, "num_hidden_layers": 3, "id2label": UNNAMED, "problem_type": "single_label_classification"},
    "unbiased-toxic-roberta": {**BASE, "id2label": named(UNBIASED), "problem_type": "multi_label_classification"},
    "AlignScore-base": {**BASE, "id2label": named(["CONTRADICT", "NEUTRAL", "ALIGNED"])},
    "one-label": {**BASE, "id2label": {"0": "LABEL_0"}},
    "regression-of-one": {**BASE, "id2label": {"0": "quality"}, "problem_type": "regression"},
    "regression-of-three": {**BASE, "id2label": named(["a", "b", "c"]), "problem_type": "regression"},
}


def splitmix64(seed, count):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def recipe(name, shape):
    """Every part matters, and logits differ by some units."""
    if name.endswith("LayerNorm.weight"):
        scale, offset = 0.25, 1.0
    elif name.endswith("bias"):
        scale, offset = 0.125, 0.0
    elif "embeddings" in name:
        scale, offset = 1.0, 0.0
    else:
        gain = 4.0 if name == "classifier.out_proj.weight" else 1.5
        scale, offset = round(gain * (3 / shape[-1]) ** 0.5 * 1024) / 1024, 0.0
    return {"shape": list(shape), "scale": scale, "offset": offset}


def weights(model, name, how):
    u = (splitmix64(fnv1a(f"{model}/{name}"), int(np.prod(how["shape"]))) >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1
    return torch.from_numpy((how["offset"] + how["scale"] * u).astype(np.float32).reshape(how["shape"]))


def sequences(rng, name):
    def text(count):
        return [rng.randrange(3, VOCAB) for _ in range(count)]

    if name == "AlignScore-base":
        return [[0, *text(a), 2, 2, *text(b), 2] for a, b in ((3, 4), (60, 9), (0, 5), (254, 254))]
    rows = [[0, 2], [0, *text(1), 2], [0, *text(16), 2], [0, *text(5), 50264, 1, *text(3), 2], [0, *text(57), 2]]
    if name.endswith(("r4-target", "38m")):
        rows.append([0, *text(510), 2])
    return rows


@torch.no_grad()
def model_line(name, overrides, tokenizer):
    config = RobertaConfig(vocab_size=VOCAB, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
                           architectures=["RobertaForSequenceClassification"], **overrides)
    model = RobertaForSequenceClassification(config).eval()
    recipes = {n: recipe(n, p.shape) for n, p in model.named_parameters()}
    for tensor, parameter in model.named_parameters():
        parameter.copy_(weights(name, tensor, recipes[tensor]))
    pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu")
    rows = []
    for ids in sequences(random.Random(name), name):
        ids = torch.tensor([ids])
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        rows.append({"ids": ids[0].tolist(), "logits": [round(x, 6) for x in output.logits[0].tolist()],
                     "probabilities": [round(x["score"], 6) for x in pipeline.postprocess(output, top_k=None)],
                     "label": pipeline.postprocess(output)["label"]})
    kept = {"model_type": "roberta", "vocab_size": VOCAB, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, **overrides}
    return {"name": name, "config": kept, "tensors": recipes, "rows": rows}


def pair_lines(tokenizer):
    words = ["Hello", " there,", " you", " fool!", " na\u00efve", " caf\u00e9", "</s>", "<pad>", "\n", " \U0001f642", " A.B", " don't"]
    rng = random.Random(7)
    lines = []
    for first, second, most in [(0, 3, 512), (3, 0, 512), (1, 1, 4), (4, 4, 5), (9, 9, 12), (9, 9, 13), (3, 12, 12), (12, 3, 12), (12, 3, 13),
                                (12, 2, 9), (2, 12, 9), (8, 7, 13), (7, 8, 13), (400, 400, 512), (500, 20, 512), (20, 500, 511), (300, 301, 511)]:
        text, pair = ("".join(rng.choice(words) for _ in range(n)) for n in (first, second))
        ids = tokenizer(text, pair, truncation="longest_first", max_length=most)["input_ids"]
        lines.append({"text": text, "text_pair": pair, "max_length": most, "ids": ids})
    return lines


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "golden"
    tokenizer = AutoTokenizer.from_pretrained(MINI)
    models = [model_line(name, overrides, tokenizer) for name, overrides in MODELS.items()]
    (out / "classifiers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in models))
    (out / "text_pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in pair_lines(tokenizer)))


if __name__ == "__main__":
    main()
