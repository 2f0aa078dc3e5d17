#!/usr/bin/env python3
"""Compares `mellow rouge` with Google's rouge_score on generated texts: every number equal to 1e-12; aggregates within their draws.

    pip install rouge_score==0.1.2
    python check_rouge.py PATH/TO/mellow [ROWS]

The aggregate's `mid` of rouge_score is the median of 1,000 resampled means, ours the mean of the rows; its bounds come from other draws than
ours. So those are compared within 0.2 standard errors of the mean (four standard errors of a 2.5 % quantile of 1,000 draws, and ours beside it).
"""
import json
import math
import random
import statistics
import subprocess
import sys

from rouge_score import rouge_scorer, scoring

TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
WORDS = ("the a to of and cat cats dog running runs ran ferry tickets nationality nationalities happily generously hopping hopeful relational conditional "
         "agreed plastered motoring sized failing filing 24 3x o'clock café naïve İstanbul Kelvin straße Größe 好的 да ﬁne e-mail under_score x1y2 "
         "apologised apologises apologetic late later latest I i've don't").split()
GLUE = [" ", " ", " ", " ", ", ", ". ", "\n", "\n\n", " - ", "...", "\t", "\u00a0", "\u2019"]
rng = random.Random(2024)


def text(words):
    out = ""
    for _ in range(words):
        word = rng.choice(WORDS)
        out += (word.upper() if rng.random() < 0.1 else word) + rng.choice(GLUE)
    return out


def similar(original):
    """Another text that shares much with `original`: lines and words dropped, repeated, moved."""
    words = original.split(" ")
    for _ in range(rng.randint(0, 1 + len(words) // 3)):
        i, j = rng.randrange(len(words)), rng.randrange(len(words))
        words[i] = rng.choice([words[j], "", rng.choice(WORDS), "\n" + words[i]])
    return " ".join(words)


def rows(count):
    yield {"prediction": "", "references": [""]}
    yield {"prediction": "", "references": ["a word"]}
    yield {"prediction": "a word", "references": ["", "word a"]}
    yield {"prediction": "...\n...", "references": ["好的"]}
    yield {"prediction": text(1500), "references": [text(1500)]}
    for _ in range(count):
        reference = text(rng.choice([1, 2, 5, 20, 60, 120]))
        references = [reference] + [similar(reference) for _ in range(rng.choice([0, 0, 1, 2, 4]))]
        yield {"prediction": similar(reference) if rng.random() < 0.8 else text(rng.randint(0, 40)), "references": references}


def mellow(program, data, *flags):
    lines = "".join(json.dumps(row) + "\n" for row in data)
    result = subprocess.run([program, "rouge", *flags], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def compare(program, data, stemmer):
    flags = ["--stemmer"] if stemmer else []
    scorer = rouge_scorer.RougeScorer(TYPES, use_stemmer=stemmer)
    got = mellow(program, data, *flags)
    assert len(got) == len(data), (len(got), len(data))
    aggregator = scoring.BootstrapAggregator()
    worst = 0.0
    fmeasures = {t: [] for t in TYPES}
    for row, ours in zip(data, got):
        theirs = scorer.score_multi(row["references"], row["prediction"])
        aggregator.add_scores(theirs)
        for t in TYPES:
            fmeasures[t].append(theirs[t].fmeasure)
            for part in ("precision", "recall", "fmeasure"):
                difference = abs(ours[t][part] - getattr(theirs[t], part))
                worst = max(worst, difference)
                if not difference <= 1e-12:
                    sys.exit(f"{t} {part}, stemmer {stemmer}: {ours[t][part]!r}, rouge_score says {getattr(theirs[t], part)!r}, of {row}")
    ours = mellow(program, data, *flags, "--aggregate")[0]
    assert ours["rows"] == len(data)
    for t, theirs in aggregator.aggregate().items():
        error = statistics.stdev(fmeasures[t]) / math.sqrt(len(data))
        assert abs(ours[t]["fmeasure"]["mean"] - statistics.fmean(fmeasures[t])) < 1e-12, t
        for mine, name in (("lower", "low"), ("mean", "mid"), ("upper", "high")):
            a, b = ours[t]["fmeasure"][mine], getattr(theirs, name).fmeasure
            if not abs(a - b) <= 0.2 * error + 1e-12:
                sys.exit(f"aggregate {t} {mine}: {a}, rouge_score says {b}; standard error {error}")
    return worst


def main():
    program = sys.argv[1]
    data = list(rows(int(sys.argv[2]) if len(sys.argv) > 2 else 1000))
    for stemmer in (False, True):
        print(f"{len(data)} rows, stemmer {stemmer}: largest difference {compare(program, data, stemmer):.1e}")


if __name__ == "__main__":
    main()
