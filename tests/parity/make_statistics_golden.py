#!/usr/bin/env python3
"""Makes golden/statistics.json: what scipy and statsmodels say of means, paired differences and sample sizes.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    python make_statistics_golden.py
"""
import json
import math
import pathlib

import numpy as np
from scipy import stats
from statsmodels.stats.power import NormalIndPower

rng = np.random.default_rng(2024)

# name, differences of pairs (rounded, so that the file is short and every reader sees the same doubles)
SERIES = [(name, [round(float(x), 4) for x in values]) for name, values in [
    ("normal, shifted", rng.normal(0.3, 1, 40)),
    ("normal, no effect", rng.normal(0, 1, 60)),
    ("mostly zero", np.where(rng.random(80) < 0.8, 0, rng.normal(-0.5, 0.3, 80))),
    ("skewed", rng.exponential(1, 50) - 0.7),
    ("toxicities", rng.beta(0.3, 2, 300) - rng.beta(0.5, 1.2, 300)),
    ("five pairs", rng.normal(1, 0.5, 5)),
    ("ten pairs", rng.normal(0.3, 1, 10)),
    ("twelve pairs with ties", rng.integers(-2, 4, 12)),
]]


def bootstrap(values):
    """200,000 resamples: the bounds are then good to a twentieth of those of 10,000."""
    result = stats.bootstrap((np.array(values),), np.mean, n_resamples=200_000, batch=2_000, confidence_level=0.95, method="percentile", rng=np.random.default_rng(7))
    return result.confidence_interval.low, result.confidence_interval.high


def permutation(values):
    """Exact up to 13 pairs, else 200,000 draws."""
    exact = len(values) <= 13
    result = stats.permutation_test((np.array(values),), np.mean, permutation_type="samples", alternative="two-sided",
                                    n_resamples=math.inf if exact else 200_000, batch=5_000, rng=np.random.default_rng(11))
    return min(1.0, float(result.pvalue)), exact


series = []
for name, values in SERIES:
    low, high = bootstrap(values)
    p, exact = permutation(values)
    series.append({"name": name, "values": values, "mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "lower": float(low), "upper": float(high), "p": p, "exact": exact})

sizes = []
for effect in (0.05, 0.1, 0.2, 0.35, 0.5, 0.8):  # change / sd
    for alpha, power in ((0.05, 0.8), (0.05, 0.9), (0.01, 0.8), (0.1, 0.95)):
        paired = NormalIndPower().solve_power(effect_size=effect, alpha=alpha, power=power, ratio=0)
        unpaired = NormalIndPower().solve_power(effect_size=effect, alpha=alpha, power=power, ratio=1)
        sizes.append({"effect": effect, "alpha": alpha, "power": power, "paired": float(paired), "unpaired": float(unpaired)})

out = pathlib.Path(__file__).parent / "golden/statistics.json"
parts = [f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in (("series", series), ("sample_size", sizes))]
out.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
print(f"{out}: {len(series)} series, {len(sizes)} sample sizes")
