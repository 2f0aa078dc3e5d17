#!/usr/bin/env python3
"""Makes golden/notebook.json: the texts that the TRL notebook on DialogSum lets its classifier score, and what the classifier says, on the two models that ship.

    python make_notebook_golden.py        # with transformers 4.45.2 and torch 2.10

A row is a reward text (decoded query + the last max_new_tokens ids of what generate() gives, decoded, special tokens and all), or a text of
the evaluation ("evaluation": true: the decoded query, a blank, the summary without special tokens). The ids are sampled with a fixed seed.
"""
import json
import pathlib

import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
POLICY, JUDGE = ROOT / "deploy/models/mini-summarizer", ROOT / "deploy/models/mini-toxicity"
PROMPT = "\nSummarize the following conversation.\n\n{}\n\nSummary:\n"

tokenizer, judge_tokenizer = AutoTokenizer.from_pretrained(POLICY), AutoTokenizer.from_pretrained(JUDGE)
policy = AutoModelForSeq2SeqLM.from_pretrained(POLICY).eval()
judge = AutoModelForSequenceClassification.from_pretrained(JUDGE).eval()


@torch.no_grad()
def logits(text):
    return [round(x, 6) for x in judge(**judge_tokenizer(text, return_tensors="pt", truncation=True)).logits[0].tolist()]


rows = []
torch.manual_seed(0)
dialogues = [json.loads(line)["dialogue"] for line in open(ROOT / "deploy/runs/mini/heldout.jsonl")][:4]
for dialogue in dialogues:
    query = tokenizer(PROMPT.format(dialogue)).input_ids
    query_text = tokenizer.decode(query)
    for limit in (12, 100):  # the first is filled, the second is not
        output = policy.generate(torch.tensor([query]), do_sample=True, top_k=0, top_p=1.0, min_length=5, max_new_tokens=limit)[0]
        assert (len(output) == limit + 1) == (limit == 12)
        response = output[-limit:]
        text = query_text + tokenizer.decode(response)
        rows.append({"query_ids": query, "response_ids": output[1:].tolist(), "max_new_tokens": limit, "evaluation": False, "text": text, "logits": logits(text)})
    text = query_text + " " + tokenizer.decode(output, skip_special_tokens=True)
    rows.append({"query_ids": query, "response_ids": output[1:].tolist(), "max_new_tokens": limit, "evaluation": True, "text": text, "logits": logits(text)})
# Padding has RoBERTa's padding position wherever it stands, and takes no place of those behind it.
for text in ("a<pad><pad> b", "x <s> y </s></s><mask> z<pad>", "<pad>"):
    rows.append({"text": text, "logits": logits(text)})
(pathlib.Path(__file__).parent / "golden/notebook.json").write_text(
    json.dumps({"versions": "transformers 4.45.2, torch 2.10.0", "rows": rows}, indent=0) + "\n")
