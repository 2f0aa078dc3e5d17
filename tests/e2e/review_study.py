"""An evaluation.json of two arms as `mellow evaluate` writes it, made from the dialogues that ship: the baseline's summary is the reference with a
rude sentence, the arm's is the reference. Only what a review study reads has a meaning; the other fields are there because all must be."""
import json

from harness import HELDOUT, json_lines

ARMS = ("base", "polite")


def mean(value=0.0):
    return {"mean": value, "lower": value, "upper": value}


def sample(summary):
    return {"summary": summary, "tokens": 1, "truncated": False, "kl": 0.0, "scores": [], "rouge": None}


def evaluation(rows):
    """`rows`: (dialogue, baseline's summary, arm's summary)."""
    shape = {name: mean() for name in ("characters", "words", "tokens", "repetition", "kl_per_token", "kl_per_sequence")}
    shape |= {"distinct_1": 0.0, "distinct_2": 0.0, "empty": 0, "truncated": 0, "texts": len(rows)}
    return {
        "schema": 1,
        "config": {
            "name": "mini", "sha256": "c" * 64, "data_path": "heldout.jsonl", "data_sha256": "d" * 64, "data_rows": len(rows), "prompts": len(rows), "prompts_sha256": "e" * 64,
            "prompt_template": "{dialogue}", "reference_column": "summary", "policy_model": "mini-summarizer", "policy_model_sha256": "f" * 64,
            "sampling": {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_beams": 1, "max_new_tokens": 64, "min_new_tokens": 0, "seed": 0, "samples": 1},
            "stemmer": False, "resamples": 100, "permutations": 100, "statistics_seed": 0, "confidence": 0.95, "alpha": 0.05, "power": 0.8, "detectable_change": 0.2},
        "judges": [], "scorings": [],
        "arms": [{"name": name, "kind": "version", "version": i, "sha256": "ab" * i, "path": "", "run_id": "", "run_name": ""} for i, name in enumerate(ARMS)],
        "summaries": [{"arm": name, "toxicity": [], "rouge": None, "shape": shape} for name in ARMS],
        "comparisons": [{"baseline": ARMS[0], "arm": ARMS[1], "pairs": len(rows), "differences": []}],
        "slices": [], "notes": [],
        "rows": [{"index": i, "line": i + 1, "dialogue": dialogue, "references": [], "columns": {}, "arms": [{"samples": [sample(before)]}, {"samples": [sample(after)]}]}
                 for i, (dialogue, before, after) in enumerate(rows)]}


def mini_rows(count):
    rows = json_lines(HELDOUT.read_text())[:count]
    return [(r["dialogue"], r["summary"] + " #Person2# calls #Person1# a fool.", r["summary"]) for r in rows]


def write_evaluation(path, rows):
    path.write_text(json.dumps(evaluation(rows)))
    return path
