#!/usr/bin/env python3
"""Makes golden/rouge.jsonl: what Google's rouge_score gives for generated texts, for rouge_test.cc.

    pip install rouge_score==0.1.2
    python make_rouge_golden.py
"""
import json
import pathlib
import random

from rouge_score import rouge_scorer

import check_rouge

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "rouge.jsonl"
ENDINGS = ("ing", "er", "ed", "tion", "ies", "ness", "fully", "ational", "izer", "ss", "eed", "e", "y", "")
LETTERS = "abcdefghijklmnopqrstuvwxyz'-.,0"
rng = random.Random(31)


def made_up(words):
    """Words that nobody has, with the endings that the stemmer knows."""
    made = []
    for _ in range(words):
        word = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 9))) + rng.choice(ENDINGS)
        made.append(word.title() if rng.random() < 0.3 else word)
    return rng.choice([" ", "\n"]).join([" ".join(made[:words // 2]), " ".join(made[words // 2:])])


def pairs():
    yield "", [""]
    yield "", ["a word"]
    yield "a word", ["", "word a"]
    yield "...\n...", ["好的"]
    for count in (1, 2, 3, 5, 9, 17, 33):
        reference = made_up(count)
        yield check_rouge.similar(reference), [reference, made_up(count)]
    for count in (1, 2, 4, 8, 16, 16, 32, 64):
        reference = check_rouge.text(count)
        yield check_rouge.similar(reference), [reference]
        yield check_rouge.similar(reference), [check_rouge.similar(reference) for _ in range(3)]
        yield check_rouge.text(count), [reference]


def main():
    rows = []
    for prediction, references in pairs():
        for stemmer in (False, True):
            scores = rouge_scorer.RougeScorer(check_rouge.TYPES, use_stemmer=stemmer).score_multi(references, prediction)
            expected = {name: {"precision": s.precision, "recall": s.recall, "fmeasure": s.fmeasure} for name, s in scores.items()}
            rows.append({"prediction": prediction, "references": references, "stemmer": stemmer, "expected": expected})
    GOLDEN.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(len(rows), "rows,", GOLDEN.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
