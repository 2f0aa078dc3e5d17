#!/usr/bin/env python3
"""Makes golden/review.json: judgments of made-up people, and what numpy, scipy, krippendorff and statsmodels say about them.

    pip install krippendorff==0.9.0 statsmodels==0.15.0
    python make_review_golden.py

A judgment is [person, item, arm first?, the five answers in the order of the page's questions].
"""
import collections
import json
import math
import pathlib

import krippendorff
import numpy as np
import statsmodels.stats.proportion as proportion
from scipy.stats import bootstrap

rng = np.random.default_rng(2026)
PEOPLE, ITEMS, SHARED = 4, 60, 18


def rating(mean):
    return int(np.clip(np.rint(rng.normal(mean, 1.0)), 1, 5))


judgements = []
for item in range(ITEMS):
    quality = rng.normal(0, 0.7, 2)
    for person in range(PEOPLE) if item < SHARED else [item % PEOPLE]:
        if rng.random() < 0.1:
            continue  # not judged yet
        baseline, arm = [[rating(3.0 + q), rating(3.2 + q)] for q in (quality[0], quality[1] + 0.4)]
        gap = sum(arm) - sum(baseline) + rng.normal(0, 1)
        arm_first = bool(rng.integers(2))
        first, second = (arm, baseline) if arm_first else (baseline, arm)
        prefers_arm = gap > 0
        preference = 0 if abs(gap) < 0.8 else 1 if prefers_arm == arm_first else 2
        judgements.append([person, item, arm_first, first[0], second[0], first[1], second[1], preference])


def unblind(judgement):
    _, _, arm_first, r1, r2, c1, c2, preference = judgement
    arm_won = None if preference == 0 else (preference == 1) == arm_first
    return {"readability": (r2, r1) if arm_first else (r1, r2), "coherence": (c2, c1) if arm_first else (c1, c2), "arm_won": arm_won}


by_item = collections.defaultdict(list)
for judgement in judgements:
    by_item[judgement[1]].append((judgement[0], unblind(judgement)))


def alpha(units, level):
    """`units`: for each thing {person: value}."""
    table = np.full((PEOPLE, len(units)), math.nan)
    for column, unit in enumerate(units):
        for person, value in unit.items():
            table[person, column] = value
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level))


def interval(values):
    result = bootstrap((np.array(values),), np.mean, n_resamples=200000, confidence_level=0.95, method="percentile", rng=np.random.default_rng(1), batch=2000)
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


ratings = {}
for question in ("readability", "coherence"):
    sides, means = {}, {}
    for side, name in enumerate(("baseline", "arm")):
        values = np.array([v[question][side] for votes in by_item.values() for _, v in votes], dtype=float)
        means[name] = [float(np.mean([v[question][side] for _, v in votes])) for votes in by_item.values()]
        sides[name] = {"mean": float(np.mean(means[name])), "interval": interval(means[name]), "sd": float(values.std(ddof=1)), "ratings": len(values),
                       "histogram": [int((values == k).sum()) for k in range(1, 6)]}
    change = list(np.array(means["arm"]) - np.array(means["baseline"]))
    units = [{person: v[question][side] for person, v in votes} for votes in by_item.values() for side in (0, 1)]
    ratings[question] = {**sides, "difference": {"mean": float(np.mean(change)), "interval": interval(change)}, "alpha": alpha(units, "ordinal")}

outcomes = collections.Counter(v["arm_won"] for votes in by_item.values() for _, v in votes)
items = collections.Counter()
for votes in by_item.values():
    ranked = collections.Counter(v["arm_won"] for _, v in votes).most_common()
    items[None if len(ranked) > 1 and ranked[0][1] == ranked[1][1] else ranked[0][0]] += 1
low, high = proportion.proportion_confint(items[True], items[True] + items[False], alpha=0.05, method="wilson")
codes = {None: 0, True: 1, False: 2}
preference = {"judgements": [outcomes[True], outcomes[False], outcomes[None]], "items": [items[True], items[False], items[None]],
              "win_rate": [items[True] / (items[True] + items[False]), float(low), float(high)],
              "alpha": alpha([{person: codes[v["arm_won"]] for person, v in votes} for votes in by_item.values()], "nominal")}

golden = {"items": ITEMS, "judged_items": len(by_item), "overlapping_items": sum(len(votes) > 1 for votes in by_item.values()),
          "ratings": ratings, "preference": preference}
out = pathlib.Path(__file__).parent / "golden/review.json"
lines = ",\n".join(json.dumps(judgement) for judgement in judgements)
out.write_text(json.dumps(golden, indent=1)[:-2] + ',\n "judgements": [\n' + lines + "\n]}\n", encoding="utf-8")
print(f"{out}: {len(judgements)} judgements of {len(by_item)} items")
