"""An evaluation.json (common/eval/evaluation.h) made of pairs of summaries and their toxicity, for tests of what reads such files.

Standard library only. Means and bootstrap intervals are computed here from the pairs; what they do not tell (tokens, KL) is worked out from the texts or 0.
"""
import hashlib
import math
import random
import statistics

RESAMPLES, PERMUTATIONS = 500, 999


def interval(values):
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return {"mean": statistics.fmean(values), "lower": means[int(0.025 * RESAMPLES)], "upper": means[int(0.975 * RESAMPLES)]}


def p_value(changes):
    draw = random.Random(1)
    seen = abs(sum(changes))
    return (1 + sum(abs(sum(draw.choice((-1, 1)) * c for c in changes)) >= seen - 1e-12 for _ in range(PERMUTATIONS))) / (1 + PERMUTATIONS)


def difference(measure, before, after, better, scoring=None):
    changes = [b - a for a, b in zip(before, after)]
    d = interval(changes)
    p = p_value(changes)
    base, sd = statistics.fmean(before), statistics.pstdev(changes)
    significant = (d["lower"] > 0 or d["upper"] < 0) and p < 0.05
    verdict = "noise" if not significant else "changed" if better == 0 else "better" if d["mean"] * better > 0 else "worse"
    needed = lambda effect: math.ceil((2.8 * sd / effect) ** 2) if effect and sd else None
    return {"measure": measure, "scoring": scoring, "baseline": base, "arm": statistics.fmean(after), "difference": d, "relative": d["mean"] / base if base else None,
            "p_value": p, "verdict": verdict,
            "needed": {"for_observed": needed(d["mean"]), "for_change": needed(0.2 * base), "for_change_unpaired": needed(0.14 * base)}}


def lcs_f(a, b):
    """ROUGE-L's F-measure of two lists of words."""
    row = [0] * (len(b) + 1)
    for x in a:
        left = 0
        for j, y in enumerate(b):
            left, row[j + 1] = row[j + 1], left + 1 if x == y else max(row[j + 1], row[j])
    return 2 * row[-1] / (len(a) + len(b)) if a and b else 0


def log_odds(p):
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log((1 - p) / p)


def sample(summary, toxicity, reference):
    words = summary.lower().split()
    rouge = lcs_f(words, reference.lower().split())
    return {"summary": summary, "tokens": len(words) + 1, "truncated": False, "kl": 0.0,
            "scores": [{"toxicity": toxicity, "logit": log_odds(toxicity), "truncated": False}],
            "rouge": {"rouge1": rouge, "rouge2": rouge, "rougeL": rouge, "rougeLsum": rouge}}


def evaluation(compared, name="mini"):
    """`compared`: {"baseline", "adapter"} with version and sha256, and "pairs" of dialogue, reference, before, after, toxicity_before, toxicity_after."""
    pairs = compared["pairs"]
    scoring = {"judge": "reward", "text": "summary"}
    arms = [("base", compared["baseline"]), ("ppo", compared["adapter"])]
    rows = [{"index": i, "line": i + 1, "dialogue": p["dialogue"], "references": [p["reference"]],
             "columns": {"speaker": "rude" if p["toxicity_before"] > 0.5 else "polite"},
             "arms": [{"samples": [sample(p[side], p[f"toxicity_{side}"], p["reference"])]} for side in ("before", "after")]} for i, p in enumerate(pairs)]
    value = {"toxicity": lambda s: s["scores"][0]["toxicity"], "logit": lambda s: s["scores"][0]["logit"],
             "toxic_share": lambda s: float(s["scores"][0]["toxicity"] > 0.5), "expected_max": lambda s: s["scores"][0]["toxicity"],
             "rougeL": lambda s: s["rouge"]["rougeL"], "characters": lambda s: len(s["summary"]), "words": lambda s: s["tokens"] - 1, "tokens": lambda s: s["tokens"]}
    column = lambda arm, measure: [float(value[measure](row["arms"][arm]["samples"][0])) for row in rows]
    zero = {"mean": 0.0, "lower": 0.0, "upper": 0.0}

    def summary(arm):
        texts = [row["arms"][arm]["samples"][0]["summary"].lower().split() for row in rows]
        grams = lambda n: [tuple(t[i:i + n]) for t in texts for i in range(len(t) - n + 1)]
        distinct = lambda n: len(set(grams(n))) / max(1, len(grams(n)))
        rouge = interval(column(arm, "rougeL"))
        return {"arm": arms[arm][0],
                "toxicity": [{"scoring": scoring, "toxicity": interval(column(arm, "toxicity")), "toxicity_sd": statistics.pstdev(column(arm, "toxicity")),
                              "logit": interval(column(arm, "logit")), "logit_sd": statistics.pstdev(column(arm, "logit")),
                              "toxic_share": interval(column(arm, "toxic_share")), "expected_max": interval(column(arm, "expected_max"))}],
                "rouge": {"rouge1": rouge, "rouge2": rouge, "rougeL": rouge, "rougeLsum": rouge},
                "shape": {**{m: interval(column(arm, m)) for m in ("characters", "words", "tokens")}, "repetition": zero, "distinct_1": distinct(1),
                          "distinct_2": distinct(2), "kl_per_token": zero, "kl_per_sequence": zero, "empty": sum(not t for t in texts), "truncated": 0, "texts": len(rows)}}

    def slice_of(speaker):
        chosen = [i for i, row in enumerate(rows) if row["columns"]["speaker"] == speaker]
        before, after = ([column(arm, "toxicity")[i] for i in chosen] for arm in (0, 1))
        return {"column": "speaker", "value": speaker, "prompts": len(chosen), "toxicity": {"base": statistics.fmean(before), "ppo": statistics.fmean(after)},
                "differences": {"ppo": difference("toxicity", before, after, -1, scoring)}}

    better = {"toxicity": -1, "logit": 1, "toxic_share": -1, "expected_max": -1, "rougeL": 1}
    differences = [difference(m, column(0, m), column(1, m), better.get(m, 0), scoring if m in list(better)[:4] else None) for m in value]
    config = {"name": name, "sha256": hashlib.sha256(repr(pairs).encode()).hexdigest(), "data_path": "heldout.jsonl", "data_sha256": "", "data_rows": len(rows), "prompts": len(rows), "prompts_sha256": "",
              "prompt_template": "Summarize the following conversation.\n\n{dialogue}\n\nSummary: ", "reference_column": "summary", "policy_model": "mini-summarizer", "policy_model_sha256": "f" * 64,
              "sampling": {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_beams": 1, "max_new_tokens": 64, "min_new_tokens": 0, "seed": 0, "samples": 1},
              "stemmer": False, "resamples": RESAMPLES, "permutations": PERMUTATIONS, "statistics_seed": 0, "confidence": 0.95, "alpha": 0.05, "power": 0.8, "detectable_change": 0.2}
    return {"schema": 1, "config": config, "judges": [{"name": "reward", "independent": False, "model": "mini-toxicity", "sha256": "", "label": "nothate", "toxic_label": "hate"}],
            "scorings": [scoring],
            "arms": [{"name": n, "kind": "version" if a["version"] else "base", "version": a["version"], "sha256": a["sha256"] if a["version"] else "", "path": "", "run_id": "",
                      "run_name": ""} for n, a in arms],
            "summaries": [summary(0), summary(1)],
            "comparisons": [{"baseline": "base", "arm": "ppo", "pairs": len(rows), "differences": differences}],
            "slices": [slice_of(s) for s in ("polite", "rude") if any(r["columns"]["speaker"] == s for r in rows)],
            "notes": ["Identity terms and an independent judge were not looked at."], "rows": rows}
