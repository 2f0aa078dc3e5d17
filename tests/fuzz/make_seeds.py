#!/usr/bin/env python3
"""Writes seeds/*_fuzz: good inputs for the targets whose first byte says what the others are ('0' the first of the target's kinds).

usage: make_seeds.py        needs protoc
"""
import hashlib
import json
import pathlib
import struct
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def put(target, name, kind, data):
    folder = HERE / "seeds" / f"{target}_fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes([ord("0") + kind]) + (data if isinstance(data, bytes) else data.encode()))


def message(proto, name, text):
    command = ["protoc", "-I", "proto", f"--encode=mellow.{name}", f"proto/mellow/{proto}.proto"]
    return subprocess.run(command, cwd=ROOT, input=text.encode(), capture_output=True, check=True).stdout


def stream(proto, name, *texts):
    parts = [message(proto, name, text) for text in texts]
    return b"".join(struct.pack("<H", len(part)) + part for part in parts)


def quoted(data):
    return '"' + "".join(f"\\{byte:03o}" for byte in data) + '"'


def safetensors(tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        begin = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


LAYER = "base_model.model.encoder.block.0.layer.0.SelfAttention.q"
ADAPTER = safetensors({f"{LAYER}.lora_A.weight": ([1, 2], [1, 2]), f"{LAYER}.lora_B.weight": ([2, 1], [3, 4])})
CONFIG = json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q"]})
HEAD = safetensors({"v_head.summary.weight": ([1, 2], [0.5, -1]), "v_head.summary.bias": ([1], [0.25])})
SAMPLING = "do_sample: true temperature: 0.7 top_k: 5 top_p: 0.9 max_new_tokens: 6 min_new_tokens: 2 seed: 7 min_p: 0.1 "
RULES = ("num_beams: 3 length_penalty: 0.5 early_stopping: EARLY_STOPPING_TRUE repetition_penalty: 1.5 no_repeat_ngram_size: 2 "
         "bad_words_ids { sequences { ids: [5, 6] } } suppress_tokens { ids: 7 } forced_bos_token_id: 3 forced_eos_token_id: 1")
PPO = "batch_size: 4 mini_batch_size: 2 learning_rate: 0.001 lora { r: 2 }"
SFT = 'data { path: "/data.jsonl" } epochs: 1 batch_size: 2'


def wire():
    put("wire", "sampling", 0, message("policy/v1/policy", "policy.v1.SamplingParams", SAMPLING))
    put("wire", "beams", 0, message("policy/v1/policy", "policy.v1.SamplingParams", RULES))
    put("wire", "generate", 1, message("policy/v1/policy", "policy.v1.GenerateRequest",
        f'prompts {{ text: "a" max_new_tokens: 3 }} sampling {{ {SAMPLING} }} lane: LANE_ROLLOUT value_head: {quoted(HEAD)}'))
    put("wire", "node", 2, message("orchestrator/v1/orchestrator", "orchestrator.v1.RegisterNodeRequest",
        'node_id: "policy-0" role: NODE_ROLE_POLICY address: "h:1" incarnation: "x" adapters { version: 2 sha256: "ab" } stalled_seconds: 2 '
        'capacity { device: "cpu" threads: 2 max_batch_tokens: 9 tokens_per_second: 1.5 model: "m" model_sha256: "cd" precision: "float32" }'))
    put("wire", "evidence", 3, message("orchestrator/v1/orchestrator", "orchestrator.v1.PromotionEvidence",
        'evaluation_name: "e" evaluation_sha256: "ab" gates { name: "g" passed: true detail: "d" } forced: true reason: "r"'))
    put("wire", "ppo_run", 4, message("orchestrator/v1/run_spec", "orchestrator.v1.RunSpec",
        f'name: "n" steps: 2 data {{ path: "/data.jsonl" }} ppo {{ {PPO} }} guard {{ kl_max: 1 action: "continue" }} '
        f"generation {{ sampling {{ top_p: 0.9 }} }}"))
    put("wire", "sft_run", 4, message("orchestrator/v1/run_spec", "orchestrator.v1.RunSpec", f'name: "n" sft {{ {SFT} }}'))
    put("wire", "open_run", 5, message("learner/v1/learner", "learner.v1.OpenRunRequest",
        f'run_id: "run-1" config {{ {PPO} }} start_version: 3 owner: "o" epoch: 2 '
        'fork { run_id: "run-0" step: 1 after_step: 2 learning_rate_factor: 0.5 }'))
    put("wire", "train", 6, message("learner/v1/learner", "learner.v1.TrainRequest",
        'run_id: "run-1" step: 1 workers { node_id: "w" address: "h:1" incarnation: "x" device: "cpu" } sampler_precision: "float32" '
        "rollouts { query_ids: [3, 1] response_ids: [4, 1] behavior_logprobs: [-1, -2] score: 1 values: [1, 2] reference_logprobs: [-1, -2] "
        'adapter { version: 3 } value_head_sha256: "ab" reference { version: 1 sha256: "cd" } }'))
    put("wire", "sft", 7, message("learner/v1/sft", "learner.v1.StartSftRequest", f'run_id: "sft-1" spec {{ {SFT} }}'))
    put("wire", "gradient_task", 8, message("learner/v1/gradients", "learner.v1.ComputeGradientRequest",
        'cliprange: 0.2 cliprange_value: 0.2 vf_coef: 0.1 scale: 0.5 precision: "float32" '
        'sequences { query_ids: [3, 1] response_ids: [4, 1] mask: "\\001\\000" old_logprobs: [-1, -2] old_values: [1, 2] advantages: [1, 2] '
        "returns: [1, 2] importance_weights: [1, 1] } sequences { query_ids: 3 response_ids: 1 }"))
    put("wire", "evaluation_task", 9, message("learner/v1/gradients", "learner.v1.EvaluateRequest",
        "pairs { source_ids: [3, 1] target_ids: [4, 1] } values: true logprobs: true full_kl: true"))
    put("wire", "evaluation", 10, message("learner/v1/gradients", "learner.v1.EvaluateResponse",
        "pairs { values: [1, 2] logprobs: [-1, -2] full_kl: [0, nan] } pairs { values: 3 }"))
    kinds = 15
    header = f'header {{ adapter {{ version: 1 sha256: "ab" }} config_json: {quoted(CONFIG.encode())} candidate: true }}'
    put("wire", "adapter_stream", 11 + kinds, stream("common/v1/common", "common.v1.AdapterChunk", header, f"data: {quoted(ADAPTER)}"))
    put("wire", "weight_stream", 12 + kinds, stream("learner/v1/gradients", "learner.v1.PutWeightsRequest",
        f"header {{ adapter_config_json: {quoted(CONFIG.encode())} value_head_weight: [1, 2] value_head_bias: 3 }}", f"data: {quoted(ADAPTER)}"))
    put("wire", "gradient_stream", 13 + kinds, stream("learner/v1/gradients", "learner.v1.ComputeGradientResponse",
        "header { sequences { logprobs: [-1, -2] values: [1, 2] entropies: [3, 4] } }",
        f"data: {quoted(struct.pack('<3f', 1, 2, 3))}", f"data: {quoted(struct.pack('<f', 4))}"))
    put("wire", "log_probs", 14, message("policy/v1/policy", "policy.v1.ScoreTokensResponse", "logprobs { values: [-1, -2] } logprobs { values: -3 }"))


def requests():
    def policy(name, kind, request, text):
        put("requests", name, kind, message("policy/v1/policy", f"policy.v1.{request}", text))

    prompts = "prompts { tokens { ids: [5, 9, 1] } attend_to_pads: true } prompts { tokens { ids: [0, 4, 0] } max_new_tokens: 2 } "
    policy("generate", 0, "GenerateRequest", f"{prompts} sampling {{ {SAMPLING} }} lane: LANE_ROLLOUT value_head: {quoted(HEAD)}")
    policy("beams", 0, "GenerateRequest", f'prompts {{ text: "abc" }} sampling {{ {RULES} max_new_tokens: 5 }}')
    policy("generate_stream", 1, "GenerateStreamRequest", f'prompt {{ text: "ab" }} sampling {{ {SAMPLING} }}')
    policy("summarize", 2, "SummarizeRequest", 'dialogue: "A: Hello. B: Bye." max_new_tokens: 6')
    policy("summarize_stream", 3, "SummarizeRequest", 'dialogue: "Hi" adapter_version: 0')
    policy("score_tokens", 4, "ScoreTokensRequest", "pairs { source_ids: [3, 1] target_ids: [4, 1] } pairs { source_ids: 3 target_ids: 1 }")
    header = f'header {{ adapter {{ version: 1 }} config_json: {quoted(CONFIG.encode())} }}'
    put("requests", "publish", 5 + 8, stream("common/v1/common", "common.v1.AdapterChunk", header, f"data: {quoted(ADAPTER)}"))
    policy("fetch", 6, "FetchAdapterRequest", 'adapter { version: 1 sha256: "ab" }')
    put("requests", "score", 7, message("reward/v1/reward", "reward.v1.ScoreRequest", 'texts: "good" texts: "" text_pairs: "a" text_pairs: "" lane: LANE_USER'))


def folder():
    put("folder", "index", 0, json.dumps({"metadata": {"total_size": 12}, "weight_map": {"x": "a.safetensors", "y": "a.safetensors"}}))
    put("folder", "hub_reference", 1, "abc\n")
    put("folder", "hub_id", 1, "org/name@refs/pr/3")
    put("folder", "value_head", 2, HEAD)
    put("folder", "manifest", 3, json.dumps({"format": 1, "step": 1, "files": {"run.json": hashlib.sha256(b"{}").hexdigest()}}))
    records = [json.dumps({"seconds": 0.5, "sha256": "14e0", "stats": {"objective/kl": 1.5}, "step": step, "version": step}) for step in (1, 2, 3)]
    kinds = 9
    put("folder", "steps_checked_by_the_target", 4 + kinds, "\n".join(records))
    lines = [f"{hashlib.sha256(record.encode()).hexdigest()[:16]} {record}\n" for record in records]
    put("folder", "steps", 4, "".join(lines) + "torn")
    sft = json.loads((HERE / "seeds/sft_record.json").read_text()) | {"run_id": "run"}
    numbers = ("total_steps", "warmup_steps", "trainable_parameters", "total_parameters", "train_pairs", "dev_pairs", "truncated_sources", "truncated_targets")
    put("folder", "finished", 5, json.dumps({"run": sft, "adapter_sha256": "ab"} | {name: i for i, name in enumerate(numbers)}))
    put("folder", "epoch", 6, "7 orchestrator at host:50051")
    put("folder", "largest_epoch", 6, f"{2**63 - 1} orchestrator")
    pair = {"source": "0300000001000000", "target": "01000000", "expected": "000080bf"}
    for name, column in {
        "canary": {"bound": "0.001", "pairs": [pair]},
        "evidence": {"evaluation_name": "e", "evaluation_sha256": "ab", "forced": False, "reason": "", "gates": [{"name": "g", "passed": True, "detail": "d"}]},
        "finding": {"check": "kl_max", "numbers": {"value": "nan", "bound": "1"}, "reason": "r"},
        "pins": {"models": [{"role": 1, "sha256": "ab", "precision": "float32"}], "reward_labels": ["a", "b"], "reward_logits": ["0000803f00000040"]},
        "step": {"adapter_path": "/a", "stats": {"objective/kl": "inf"}, "phase_seconds": {"train": "1.5"}, "sft": "0a00", "numbers": {
            name: "1" for name in ("score_mean", "score_sd", "repetition_mean", "toxicity_mean", "seconds", "response_tokens_mean", "tokens_per_second",
                                   "staleness", "judge_score_mean", "judge_score_sd", "judge_gap")}},
    }.items():
        put("folder", f"ledger_{name}", 7, json.dumps(column))
    put("folder", "trainer", 8, json.dumps({"format": 1, "made_with": {"seed": 3}, "step": 2, "adam_steps": 8, "kl_coef": 0.2,
                                           "moments": {"mean": 0, "std": 1, "var": 1, "count": 4}, "random": {"position": 624, "words": list(range(624))}}))


def review():
    put("review", "answer", 0, json.dumps({"position": 1, "question": "coherence_first", "value": 4, "sequence": 12, "client": "abc"}))
    put("review", "preference", 0, json.dumps({"position": 0, "question": "preference", "value": 2, "sequence": 1699999999000, "client": "x1"}))
    for name, rest in {"page": "", "study": "/study", "item": "/items/1", "answers": "/answers"}.items():
        put("review", name, 1, rest)
    put("review", "file", 2, "HEAD /static/review.js\n")
    put("review", "stranger", 2, "POST /r/0123456789abcdef0123456789abcdef/answers\n{}")


def cli():
    service = {"name": "policy-0", "role": "policy", "pid": 12, "address": "127.0.0.1:5", "metrics": "http://127.0.0.1:6", "log": "/l", "restarts": 1}
    put("cli", "cluster", 0, json.dumps({"services": [service], "supervisor": {"pid": 9}}))
    put("cli", "connect", 1, "orchestrator=localhost:50050, policy=[::1]:50051,policy=b:50051")
    spec = {"name": "n", "steps": 2, "data": {"path": "/data.jsonl"}, "ppo": {"batch_size": 4}}
    put("cli", "started", 2, json.dumps({"request_id": "ab", "reported_step": -1, "spec": spec}))
    put("cli", "lines", 3, '{"text": "a", "ids": [1, 2], "seed": 3, "greedy": true}\n{"text": "b", "pair": "c", "ids": []}\n{"txt": "d"}\nno JSON')
    record = {"time": "2024-01-31T12:00:05.123Z", "level": "info", "service": "policy-0", "message": "adapter published", "version": 3, "sha256": "a b"}
    put("cli", "log", 4, json.dumps(record) + "\nterminate called\n\n" + json.dumps(record | {"message": "\u001b[31m"}) + "\nhalf")


for write in (wire, requests, folder, review, cli):
    write()
