#!/usr/bin/env python3
"""Makes trl_golden.json beside this file: what TRL 0.11.3's own functions give for random numbers, for trl_golden_test.cc.

Needs trl==0.11.3 (with the transformers==4.45.2 that it wants) and numpy. No model takes part: the methods of PPOTrainer are called on a
trainer that has nothing but its configuration.
"""
import json
import pathlib
import types
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from accelerate import Accelerator  # noqa: E402
from trl import PPOConfig, PPOTrainer  # noqa: E402
from trl.core import LengthSampler  # noqa: E402
from trl.trainer.utils import AdaptiveKLController, RunningMoments  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "trl_golden.json"
SEED = 1109
# With the start token, whose successor has no log-prob of its own to count: a row's mask is 0, then a 1 for each further token.
RESPONSE_LENGTHS = [5, 9, 3, 7]
VOCAB = 6
NUMPY_SEED = 77


def trainer(**options):
    made = PPOTrainer.__new__(PPOTrainer)
    made.config = PPOConfig(**options)
    made.kl_ctl = types.SimpleNamespace(value=options.get("init_kl_coef", 0.2))
    return made


def plain(value):
    """Tensors and numpy values as lists and numbers; nine digits are all that a float32 has."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def make_inputs(rng):
    rows, width = len(RESPONSE_LENGTHS), max(RESPONSE_LENGTHS) - 1
    mask = torch.zeros(rows, width, dtype=torch.long)
    for row, length in enumerate(RESPONSE_LENGTHS):
        mask[row, 1:length - 1] = 1

    def normal(*shape, scale=1.0, shift=0.0):
        return torch.tensor(np.round(rng.normal(shift, scale, shape), 4), dtype=torch.float32)

    logprobs = -normal(rows, width).abs() - 0.05
    return {
        "response_lens": RESPONSE_LENGTHS, "mask": mask, "logprobs": logprobs, "ref_logprobs": logprobs + normal(rows, width, scale=0.4),
        "values": normal(rows, width, scale=0.6), "scores": normal(rows, scale=1.5),
    }, normal


def rewards(inputs):
    cases = [(penalty, whiten, gamma, lam, coefficient) for penalty in ("kl", "abs", "mse")
             for whiten, gamma, lam, coefficient in ((False, 1.0, 0.95, 0.2), (True, 0.97, 0.9, 0.35))]
    for penalty, whiten, gamma, lam, coefficient in cases:
        ppo = trainer(kl_penalty=penalty, whiten_rewards=whiten, gamma=gamma, lam=lam, init_kl_coef=coefficient)
        given, non_score, kls = ppo.compute_rewards(inputs["scores"], inputs["logprobs"], inputs["ref_logprobs"], inputs["mask"])
        values, advantages, returns = ppo.compute_advantages(inputs["values"], given, inputs["mask"])
        yield {"kl_penalty": penalty, "whiten_rewards": whiten, "gamma": gamma, "lam": lam, "kl_coef": coefficient, "rewards": given,
               "non_score": non_score, "kls": kls, "values_masked": values, "advantages": advantages, "returns": returns}


def loss(inputs, first, normal):
    shape = inputs["mask"].shape
    logprobs = (inputs["logprobs"] + normal(*shape, scale=0.3)).requires_grad_()
    predictions = (inputs["values"] + normal(*shape, scale=0.3)).requires_grad_()
    logits = normal(*shape, VOCAB, scale=2.0)
    policy, value, stats = trainer().loss(inputs["logprobs"], first["values_masked"], logits, predictions, logprobs, inputs["mask"],
                                          first["advantages"], first["returns"])
    (policy + value).backward()
    return {"new_logprobs": logprobs.detach(), "vpreds": predictions.detach(), "logits": logits, "pg_loss": policy.detach(),
            "vf_loss_times_coef": value.detach(), "grad_new_logprobs": logprobs.grad, "grad_vpreds": predictions.grad,
            "stats": {name: number for name, number in stats.items() if number.dim() == 0}}


def running_moments(normal):
    moments = RunningMoments(Accelerator(cpu=True))
    for count, shift in ((4, 2.0), (3, -1.0), (5, 0.5)):
        batch = normal(count, scale=1.3, shift=shift)
        moments.update(batch)
        # As PPOTrainer.step means it; its own lines take std and mean for tensors and fail.
        factor = torch.tensor(moments.std) + torch.finfo(batch.dtype).eps
        yield {"batch": batch, "mean": moments.mean, "std": moments.std, "var": moments.var, "count": moments.count,
               "scaled": batch / factor, "scaled_normed": (batch - torch.tensor(moments.mean)) / factor}


def adaptive_kl():
    controller = AdaptiveKLController(0.2, 6.0, 10000.0)
    for objective_kl, steps in ((0.5, 16), (5.5, 8), (6.3, 32), (45.0, 16), (-3.0, 64), (7.1, 128)):
        controller.update(objective_kl, steps)
        yield {"objective_kl": objective_kl, "n_steps": steps, "kl_coef_after": float(controller.value)}


def numpy_random():
    np.random.seed(NUMPY_SEED)
    permutations = [np.random.permutation(16) for _ in range(3)]
    np.random.seed(NUMPY_SEED)
    sampler = LengthSampler(100, 400)
    interleaved = [int(sampler()), np.random.permutation(8), int(sampler())]
    return {"seed": NUMPY_SEED, "permutation_16_three_times": permutations, "interleaved": interleaved}


def main():
    inputs, normal = make_inputs(np.random.default_rng(SEED))
    cases = list(rewards(inputs))
    golden = {"inputs": inputs, "rewards": cases, "loss": loss(inputs, cases[0], normal), "running_moments": list(running_moments(normal)),
              "numpy": numpy_random()}
    text = json.dumps(plain(golden))
    # In full: they are double.
    text = text[:-1] + ', "adaptive_kl": ' + json.dumps(list(adaptive_kl())) + "}"
    GOLDEN.write_text(text.replace('}, {"', '},\n{"').replace('], "', '],\n "') + "\n")


if __name__ == "__main__":
    main()
