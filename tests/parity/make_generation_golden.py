#!/usr/bin/env python3
"""Writes golden/generation.jsonl, golden/sampling.jsonl and golden/beam_sampling.jsonl: what generate() of transformers 4.45.2 (torch 2.10) makes of the models of
golden/ under every setting of generation that Mellow implements.

generation.jsonl, per line: {"model", "config": fields that config.json gets besides, "generation_config": that file's content or null,
"request": fields of the call, "source_ids", "ids", "logprobs" (raw, teacher-forced), "finish"}. A row is kept only when the ids do not hang on
rounding: greedy steps have margins of MIN_MARGIN between the two best scores after the processors, and beams of fp64 give the same ids.
sampling.jsonl, per line: {"logits", "generated", "source_ids", "request", "probabilities": after processors and warpers}.
beam_sampling.jsonl, per line: {"model", "source_ids", "request", "draws", "counts": [[ids, how often it was the result], ...]}.
"""

import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from transformers import GenerationConfig, T5ForConditionalGeneration  # noqa: E402
from transformers.utils import logging  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
VOCAB = 120
MIN_MARGIN = 1e-3
TRIES = 14
TOKENS = 14
FILE = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}

# (config, generation_config, request); each is tried greedily and with beams where it does not say which itself.
SETTINGS = [
    ({}, None, {"repetition_penalty": 1.4}),
    ({}, None, {"repetition_penalty": 0.7}),
    # With beams transformers applies it to the first beam only, and Mellow refuses.
    ({}, None, {"encoder_repetition_penalty": 1.5, "num_beams": 1}),
    ({}, None, {"no_repeat_ngram_size": 1}),
    ({}, None, {"no_repeat_ngram_size": 2}),
    ({}, None, {"no_repeat_ngram_size": 3}),
    ({}, None, {"encoder_no_repeat_ngram_size": 1}),
    ({}, None, {"encoder_no_repeat_ngram_size": 2}),
    ({}, None, {"bad_words_ids": "BAD"}),
    ({}, None, {"suppress_tokens": "SUPPRESS"}),
    ({}, None, {"begin_suppress_tokens": "FIRST"}),
    ({}, None, {"begin_suppress_tokens": "SECOND", "forced_bos_token_id": 9}),
    ({}, None, {"forced_bos_token_id": 11}),
    ({}, None, {"forced_eos_token_id": 1}),
    ({}, None, {"forced_eos_token_id": [7, 8], "num_beams": 1}),
    ({}, None, {"forced_bos_token_id": 11, "forced_eos_token_id": 1, "min_new_tokens": 12}),
    ({}, None, {"sequence_bias": "BIAS"}),
    ({}, None, {"exponential_decay_length_penalty": [3, 1.2]}),
    ({}, None, {"renormalize_logits": True, "no_repeat_ngram_size": 2, "num_beams": 3}),
    ({}, None, {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "encoder_no_repeat_ngram_size": 4, "bad_words_ids": "BAD",
                "suppress_tokens": [5], "min_new_tokens": 6, "forced_bos_token_id": 20, "forced_eos_token_id": 1}),
    *[({}, None, {"num_beams": beams, "early_stopping": early, "length_penalty": penalty})
      for beams, early, penalty in [(3, True, 1.0), (4, True, 2.0), (3, "never", 1.0), (4, "never", 2.0), (3, "never", -1.0),
                                    (4, False, 2.0), (3, False, -1.0), (2, False, 0.0), (4, True, -2.0), (3, "never", 0.0)]],
    ({}, {**FILE, "eos_token_id": "ENDS"}, {}),
    ({}, {**FILE, "eos_token_id": "ENDS"}, {"min_new_tokens": 5}),
    ({}, {**FILE, "decoder_start_token_id": 7}, {"repetition_penalty": 1.2}),
    ({}, {**FILE, "max_length": 14, "min_length": 9, "num_beams": 3, "length_penalty": 2.0, "early_stopping": True,
          "no_repeat_ngram_size": 2}, {"num_beams": None, "max_new_tokens": None}),
    ({}, {**FILE, "max_new_tokens": 9, "max_length": 40, "forced_eos_token_id": 1}, {"max_new_tokens": None}),
    ({}, {**FILE, "repetition_penalty": 1.5, "suppress_tokens": "SUPPRESS"}, {"repetition_penalty": 1.0}),
    ({}, {"pad_token_id": 0, "bos_token_id": 5, "eos_token_id": 1}, {}),
    ({}, {"decoder_start_token_id": 0, "pad_token_id": 0}, {}),
    ({"num_beams": 3, "no_repeat_ngram_size": 2, "early_stopping": True, "max_length": 13}, None,
     {"num_beams": None, "max_new_tokens": None}),
    ({"num_beams": 3, "repetition_penalty": 1.3}, {**FILE, "_from_model_config": True, "eos_token_id": "ENDS"}, {"num_beams": None}),
    ({"num_beams": 3, "repetition_penalty": 1.3}, {**FILE, "eos_token_id": "ENDS"}, {"num_beams": None}),
    ({"eos_token_id": "ENDS"}, None, {}),
    ({}, None, {"PAD": "end"}),
    ({}, None, {"PAD": "start"}),
    ({}, None, {"PAD": "inside"}),
    ({}, None, {"PAD": "inside", "encoder_no_repeat_ngram_size": 1}),
    ({}, None, {"PAD": "inside", "encoder_repetition_penalty": 1.3, "num_beams": 1}),
    ({}, {**FILE, "pad_token_id": 1}, {"PAD": "end"}),
    ({}, {"decoder_start_token_id": 0, "eos_token_id": 1}, {"PAD": "end"}),
]


def rounded(values):
    return [round(value, 6) for value in values]


def fill(value, names):
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


class Folder:
    """A golden model under other configuration files, as the reader of the folder sees it."""

    def __init__(self, name, config, generation_config):
        self.path = pathlib.Path(tempfile.mkdtemp())
        shutil.copy(GOLDEN / name / "model.safetensors", self.path)
        own = json.loads((GOLDEN / name / "config.json").read_text())
        (self.path / "config.json").write_text(json.dumps({**own, **config}))
        if generation_config is not None:
            (self.path / "generation_config.json").write_text(json.dumps(generation_config))
        self.model = T5ForConditionalGeneration.from_pretrained(self.path).eval()
        self.double = T5ForConditionalGeneration.from_pretrained(self.path).double().eval()
        shutil.rmtree(self.path)

    def ends(self, ids):
        ends = self.model.generation_config.eos_token_id
        ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
        return ids[-1] in ends

    @torch.no_grad()
    def generate(self, model, source, request):
        out = model.generate(input_ids=torch.tensor([source]), output_scores=True, return_dict_in_generate=True, **request)
        return out.sequences[0].tolist()[1:], out.scores

    def make(self, source, request):
        ids, scores = self.generate(self.model, source, request)
        if request.get("num_beams", self.model.generation_config.num_beams) in (None, 1):
            for row in scores:
                best = row[0].topk(2).values
                if best[0] - best[1] < MIN_MARGIN and not best[0] == best[1] == 0:  # two forced ones tie exactly
                    return None
        elif self.generate(self.double, source, request)[0] != ids:
            return None
        start = self.model.generation_config.decoder_start_token_id
        start = start if start is not None else self.model.generation_config.bos_token_id
        pad, ends = self.model.generation_config.pad_token_id, self.model.generation_config.eos_token_id
        inputs = torch.tensor([source])
        mask = torch.ones_like(inputs)
        if pad is not None and pad not in (ends if isinstance(ends, list) else [ends]):
            mask = inputs.ne(pad).long()
        with torch.no_grad():
            logits = self.model(input_ids=inputs, attention_mask=mask, decoder_input_ids=torch.tensor([[start] + ids[:-1]])).logits[0]
        logprobs = logits.double().log_softmax(-1)
        return {"source_ids": source, "ids": ids, "logprobs": rounded(logprobs[t, i].item() for t, i in enumerate(ids)),
                "finish": "eos" if self.ends(ids) else "length"}


def pad(source, where, rng):
    zeros = [0] * rng.randint(1, 4)
    if where == "end":
        return source + zeros
    if where == "start":
        return zeros + source
    cut = rng.randint(1, len(source) - 1)
    return zeros + source[:cut] + [0, 0] + source[cut:-1] + [0] + source[-1:] + zeros


def names_for(base, rng):
    """Ids that matter: those that plain greedy search gives."""
    seen = []
    for _ in range(12):
        source = [rng.randint(2, VOCAB - 1) for _ in range(8)] + [1]
        seen.append(base.generate(base.model, source, {"max_new_tokens": TOKENS})[0])
    flat = [i for ids in seen for i in ids if i > 1]
    common = sorted(set(flat), key=lambda i: (-flat.count(i), i))
    pairs = [list(ids[k:k + 2]) for ids in seen[:5] for k in (1, 3) if len(ids) > 5 and 1 not in ids[k:k + 2]]
    return {"BAD": [[1], [common[0]]] + pairs + [seen[0][1:4]] if 1 not in seen[0][1:4] else [[common[0]]] + pairs,
            "SUPPRESS": common[:6], "FIRST": sorted({ids[0] for ids in seen if ids[0] > 1}), "SECOND": common[:20],
            "BIAS": [[[common[1]], -3.5], [pairs[0], 4.0], [[common[2]], 2.25]] + [[pairs[1], -6.0]],
            "ENDS": [1, common[0], common[2]]}


def changes(base, row, request):
    """Whether the setting did anything: what it does not touch proves nothing."""
    plain = {"max_new_tokens": TOKENS, "num_beams": request.get("num_beams")}
    return base.generate(base.model, row["source_ids"], {k: v for k, v in plain.items() if v})[0] != row["ids"]


def make_generation():
    rows = []
    for model, seed in (("t5-gated", 11), ("t5-tied", 12)):
        rng = random.Random(seed)
        base = Folder(model, {}, None)
        names = names_for(base, rng)
        for config, generation_config, request in SETTINGS:
            config, generation_config, request = (fill(x, names) for x in (config, generation_config, request))
            where = request.pop("PAD", None)
            folder = Folder(model, config, generation_config)
            variants = [request] if "num_beams" in request else [request, {**request, "num_beams": 3}]
            for variant in variants:
                sent = {"max_new_tokens": TOKENS, **variant}
                sent = {key: value for key, value in sent.items() if value is not None}
                made, tries = 0, 0
                while made < 2 and tries < TRIES:
                    tries += 1
                    source = [rng.randint(2, VOCAB - 1) for _ in range(rng.choice([2, 4, 9, 20]))] + [1]
                    if where is not None:
                        source = pad(source, where, rng)
                    row = folder.make(source, sent)
                    if row is None or (tries < TRIES // 2 and not changes(base, row, sent)):
                        continue
                    rows.append({"model": model, "config": config, "generation_config": generation_config, "request": sent, **row})
                    made += 1
                if made == 0:
                    sys.exit(f"{model}: no robust row for {variant}")
                print(f"{model}: {config} {generation_config} {sent}: {made} rows of {tries} sources", flush=True)
    return rows


def make_sampling():
    rng = random.Random(13)
    generator = torch.Generator().manual_seed(14)
    model = T5ForConditionalGeneration.from_pretrained(GOLDEN / "t5-gated").eval()
    rows = []
    for request in [
        {"repetition_penalty": 1.6, "top_k": 6},
        {"repetition_penalty": 0.5, "temperature": 1.7, "top_p": 0.8},
        {"no_repeat_ngram_size": 2, "temperature": 2.5, "top_p": 0.9},
        {"encoder_no_repeat_ngram_size": 1, "top_k": 5, "temperature": 0.6},
        {"suppress_tokens": [2, 3, 4, 5], "bad_words_ids": [[6], [7, 8]], "top_k": 4},
        {"min_new_tokens": 6, "top_k": 3, "temperature": 2.0},
        {"exponential_decay_length_penalty": [1, 1.3], "top_p": 0.9},
        {"encoder_repetition_penalty": 2.0, "top_k": 8, "top_p": 0.9, "temperature": 1.3},
        {"forced_eos_token_id": [9, 4], "temperature": 0.5},
        {"min_p": 0.1},
        {"min_p": 0.3, "temperature": 2.0, "top_k": 12},
        {"typical_p": 0.4},
        {"typical_p": 0.9, "temperature": 1.5, "top_p": 0.95},
        {"epsilon_cutoff": 0.03},
        {"eta_cutoff": 0.1},
        {"eta_cutoff": 0.5, "temperature": 3.0},
        {"min_p": 0.02, "typical_p": 0.95, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02, "temperature": 1.4, "top_k": 20, "top_p": 0.98,
         "repetition_penalty": 1.2, "renormalize_logits": True},
    ]:
        logits = (torch.randn(1, 30, generator=generator) * 2).float()
        generated = [rng.randint(2, 29) for _ in range(4)]
        source = [rng.randint(2, 29) for _ in range(6)] + [1]
        length = 5 if "forced_eos_token_id" in request else 20
        config = GenerationConfig(do_sample=True, max_length=length + 1, eos_token_id=1, decoder_start_token_id=0,
                                  **{"top_k": 0, **request})
        model._prepare_special_tokens(config, device="cpu")
        processors = model._get_logits_processor(config, 1, torch.tensor([source]), None, [], device="cpu", model_kwargs={})
        scores = processors(torch.tensor([[0] + generated]), logits.clone())
        rows.append({"logits": [x.item() for x in logits[0]], "generated": generated, "source_ids": source,
                     "request": {"max_new_tokens": length, **request}, "probabilities": [x.item() for x in scores.softmax(-1)[0]]})
    return rows


DRAWS = 20000
BEAM_SAMPLING = [
    {"num_beams": 2, "top_k": 6, "temperature": 2.0, "max_new_tokens": 3},
    {"num_beams": 2, "top_k": 5, "temperature": 3.0, "max_new_tokens": 3, "length_penalty": 0.0},
    {"num_beams": 3, "top_p": 0.7, "temperature": 2.5, "max_new_tokens": 2, "no_repeat_ngram_size": 1},
    {"num_beams": 2, "top_k": 5, "temperature": 2.0, "max_new_tokens": 4, "renormalize_logits": True, "early_stopping": True, "min_new_tokens": 2},
    {"num_beams": 2, "min_p": 0.05, "typical_p": 0.9, "temperature": 2.0, "max_new_tokens": 3},
]


def make_beam_sampling():
    """The random numbers of torch are not ours, so what is compared is how often each output comes."""
    rows = []
    for model, seed in (("t5-gated", 15), ("t5-tied", 16)):
        rng = random.Random(seed)
        torch.manual_seed(seed)
        folder = Folder(model, {}, None)
        for request in BEAM_SAMPLING:
            source = [rng.randint(2, VOCAB - 1) for _ in range(6)] + [1]
            counts = {}
            for _ in range(DRAWS // 1000):
                out = folder.model.generate(input_ids=torch.tensor([source] * 1000), do_sample=True, **{"top_k": 0, **request})
                for ids in out[:, 1:].tolist():
                    ids = ids[: ids.index(1) + 1] if 1 in ids else ids
                    counts[tuple(ids)] = counts.get(tuple(ids), 0) + 1
            rows.append({"model": model, "source_ids": source, "request": {"do_sample": True, **request}, "draws": DRAWS,
                         "counts": sorted(([list(ids), n] for ids, n in counts.items() if n >= 20), key=lambda pair: (-pair[1], pair[0]))})
            print(f"{model}: {request}: {len(counts)} outputs, {len(rows[-1]['counts'])} kept", flush=True)
    return rows


def write(name, rows):
    (GOLDEN / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{name}: {len(rows)} rows, {(GOLDEN / name).stat().st_size / 1e3:.0f} kB")


def main():
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    write("generation.jsonl", make_generation())
    write("sampling.jsonl", make_sampling())
    write("beam_sampling.jsonl", make_beam_sampling())


if __name__ == "__main__":
    main()
