#!/usr/bin/env python3
"""Makes tests/parity/golden/pads.jsonl: sources in which the pad token stands because a text spells it out.

Needs trl==0.11.3, peft==0.13.2, transformers==4.45.2. With the model and adapter of make_ppo_golden.py: `ids` and `logprobs` are
TRL's own batched greedy rollout and its batched_forward_pass (rows of different lengths, so that there is real padding as well);
`alone` is what transformers' generate() writes when it is given the ids without an attention mask.
"""

import json
import os
import random
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import T5ForConditionalGeneration  # noqa: E402
from trl import AutoModelForSeq2SeqLMWithValueHead, PPOConfig, PPOTrainer  # noqa: E402

from make_ppo_golden import GOLDEN, VOCAB, tokenizer  # noqa: E402

ROWS, TOKENS, PAD, EOS = 8, 12, 0, 1


def source(rng, where):
    ids = [rng.randint(3, VOCAB - 1) for _ in range(rng.randint(4, 20))]
    cut = {"start": 0, "middle": len(ids) // 2, "end": len(ids)}[where]
    return ids[:cut] + [PAD] * rng.randint(1, 3) + ids[cut:] + [EOS]


def main():
    torch.manual_seed(21)
    rng = random.Random(22)
    base = T5ForConditionalGeneration.from_pretrained(GOLDEN / "gated")
    lora = PeftModel.from_pretrained(base, GOLDEN / "gated-qv", is_trainable=True)
    policy = AutoModelForSeq2SeqLMWithValueHead.from_pretrained(lora, is_trainable=True)
    trainer = PPOTrainer(config=PPOConfig(model_name="pads", batch_size=ROWS, mini_batch_size=ROWS), model=policy, ref_model=None,
                         tokenizer=tokenizer(), dataset=None)
    queries = [torch.tensor(source(rng, ("start", "middle", "end")[i % 3])) for i in range(ROWS)]
    greedy = {"do_sample": False, "max_new_tokens": TOKENS}
    policy.eval()
    with torch.no_grad():
        responses = trainer.generate(queries, batch_size=ROWS, return_prompt=False, **greedy)
        logprobs, _, _, masks = trainer.batched_forward_pass(policy, queries, responses, trainer.prepare_model_inputs(queries, responses),
                                                             return_logits=False)
        alone = [policy.generate(input_ids=query[None], **greedy)[0].tolist()[1:] for query in queries]
    rows = []
    for i, query in enumerate(queries):
        ids = responses[i].tolist()[1:]  # without the start token
        # logits[t] follow the start token and t tokens; TRL's mask begins at the second, and so it never trains on the first.
        rows.append({"source_ids": query.tolist(), "ids": ids, "logprobs": [round(x, 6) for x in logprobs[i, :len(ids)].tolist()],
                     "alone": alone[i]})
    assert sum(row["ids"] != row["alone"] for row in rows) >= ROWS // 2, "the pads change nothing"
    (GOLDEN.parent / "pads.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
