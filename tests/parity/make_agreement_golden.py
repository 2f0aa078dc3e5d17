#!/usr/bin/env python3
"""Makes golden/agreement.json: what the packages krippendorff and statsmodels (and scipy, for the normal quantile) say.

    pip install krippendorff==0.9.0 statsmodels==0.15.0
    python make_agreement_golden.py
"""
import json
import math
import pathlib
import random

import krippendorff
import numpy as np
import statsmodels.stats.proportion as proportion
from scipy.stats import norm

random.seed(2024)


def alpha(units, level, raters):
    """`units` holds the values that each unit got; the package wants raters x units with NaN for what is missing."""
    table = np.full((raters, len(units)), math.nan)
    for column, unit in enumerate(units):
        for row, value in zip(random.sample(range(raters), len(unit)), unit):
            table[row, column] = value
    return krippendorff.alpha(reliability_data=table, level_of_measurement=level)


def draw(units, raters, values, missing, agreement):
    """Raters who share a common opinion of a unit with the probability `agreement` and are absent with `missing`."""
    rows = []
    for _ in range(units):
        common = random.choice(values)
        rows.append([common if random.random() < agreement else random.choice(values) for _ in range(raters) if random.random() >= missing])
    return rows


cases = []
# The example of Krippendorff (2011), section C: four observers, twelve units, missing data. Nominal alpha 0.743, ordinal 0.815.
paper = [[1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [5, 5, 5], [1, 1], [3]]
for name, raters, units in [
        ("paper", 4, paper),
        ("two raters", 2, draw(60, 2, [1, 2, 3, 4, 5], 0.0, 0.6)),
        ("three raters, some missing", 3, draw(40, 3, [1, 2, 3, 4, 5], 0.3, 0.4)),
        ("six raters, most missing", 6, draw(80, 6, [1, 2, 4, 5], 0.6, 0.5)),
        ("chance", 3, draw(50, 3, [0, 1, 2], 0.1, 0.0)),
        ("perfect", 2, [[1, 1], [2, 2], [5, 5], [2, 2]]),
        ("opposite", 2, [[1, 5], [5, 1], [1, 5]]),
        ("one rare value", 3, [[1, 1, 1]] * 20 + [[1, 2, 1], [5]])]:
    cases.append({"name": name, "units": units, **{level: alpha(units, level, raters) for level in ("nominal", "ordinal")}})

wilson = []
for trials in (1, 2, 7, 20, 101, 5000):
    for successes in sorted({0, 1, trials // 3, trials // 2, trials - 1, trials}):
        for confidence in (0.8, 0.95, 0.99):
            low, high = proportion.proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
            wilson.append({"successes": successes, "trials": trials, "confidence": confidence, "lower": float(low), "upper": float(high)})

quantiles = [{"p": p, "z": float(norm.ppf(p))} for p in (1e-300, 1e-20, 1e-9, 1e-4, 0.005, 0.02425, 0.025, 0.1, 0.25, 0.4999, 0.5, 0.5001, 0.75, 0.8, 0.9, 0.95, 0.975, 0.995, 0.9999, 1 - 1e-9)]

out = pathlib.Path(__file__).parent / "golden/agreement.json"
parts = [f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in (("alpha", cases), ("wilson", wilson), ("quantile", quantiles))]
out.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
print(f"{out}: {len(cases)} alphas, {len(wilson)} intervals, {len(quantiles)} quantiles")
