#!/usr/bin/env python3
"""Writes mini_models_golden.jsonl: what AutoTokenizer makes of the models that ship. Needs transformers 4.45 (made with 4.45.2).

    python3 make_mini_models_golden.py > mini_models_golden.jsonl
"""

import json
import pathlib

from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODELS = ROOT / "deploy" / "models"
PROMPT = "\nSummarize the following conversation.\n\n{}\n\nSummary:\n"
TEXTS = [
    "", " ", "\n", "a", "a ", " a", "a  \n b", "A.B,c;d", "don't I'LL we've 's", "12 345,6%", "x\u00b2+\u00bd",
    "</s>", "a </s> b", "<pad><unk>", "<s>x</s> y", "go <mask> on", "<extra_id_0>", "{braces} <tags>", "C:\\path\t~",
    "\u2581a\u2581\u2581b", "caf\u00e9 na\u00efve", "cafe\u0301 e\u0301\u0302\u0303", "\ufb01ne \uff21\uff22", "\u00b2\u0301 \u212b\u0301",
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4", "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467", "\x00\x01\x7f\x85", "a\r\nb\rc",
    "\u3000wide\u00a0space\u200b", "\u06dde\u0301", "\ufeffbom", "\uff1c/s\uff1e", "g" * 40, "Hello " * 30,
]


def main():
    tokenizers = {name: AutoTokenizer.from_pretrained(MODELS / name) for name in ("mini-summarizer", "mini-toxicity")}
    with open(ROOT / "deploy" / "runs" / "mini" / "heldout.jsonl", encoding="utf-8") as rows:
        dialogues = [json.loads(next(rows))["dialogue"] for _ in range(5)]
    for text in TEXTS + dialogues + [PROMPT.format(dialogue) for dialogue in dialogues]:
        ids = {name: tokenizer(text)["input_ids"] for name, tokenizer in tokenizers.items()}
        decoded = {name: tokenizer.decode(ids[name], skip_special_tokens=True) for name, tokenizer in tokenizers.items()}
        print(json.dumps({"text": text, "ids": ids, "decoded": decoded}))


main()
