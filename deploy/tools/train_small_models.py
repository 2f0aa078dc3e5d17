#!/usr/bin/env python3
"""Trains the two models that ship with Mellow, on the dialogues of make_dialogues.py, and measures them.

    pip install -r requirements.txt
    python3 train_small_models.py --out ../models
    python3 train_small_models.py --out FOLDER --only judge     # FOLDER/judge: a second opinion, for guard_check.py; some minutes

Everything is seeded; on one machine type and thread count the files come out byte for byte the same. Each model folder
gets a metrics.json with the held-out figures that its README quotes.
"""

import argparse
import json
import math
import os
import random
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from rouge_score import rouge_scorer
from tokenizers import ByteLevelBPETokenizer
from transformers import (RobertaConfig, RobertaForSequenceClassification, RobertaTokenizerFast, T5Config,
                          T5ForConditionalGeneration, T5TokenizerFast)

import make_dialogues as gen

SEED = 1
HELDOUT_SEED = 2024  # the same rows as deploy/runs/mini/heldout.jsonl
PROMPT = "\nSummarize the following conversation.\n\n{}\n\nSummary:\n"
MAX_NEW_TOKENS = 56


# ---------------------------------------------------------------------------------------------------- the summarizer

def train_sentencepiece(rows, folder, vocab_size):
    """Unigram vocabulary with T5's ids. Speaker tags may become one piece, other words may not swallow punctuation:
    the trainer sees punctuation as words of its own, the model then has it as required characters."""

    def pre_split(text):
        return re.sub(r"(?<=\w)(?=[.,!?])", " ", text)

    sentences = [pre_split(turn) for row in rows for turn in row["dialogue"].split("\n") + [row["toxic"], row["summary"]]]
    sentences += [PROMPT.format("").replace("\n", " ").strip()] * 50
    # A piece must occur inside two different words to become a candidate; this second word makes one of every word.
    sentences += [word + "-" for word in sorted({word for sentence in sentences for word in sentence.split()})]
    with tempfile.TemporaryDirectory() as tmp:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_prefix=f"{tmp}/spiece", vocab_size=vocab_size, model_type="unigram",
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>",
            character_coverage=1.0, split_by_unicode_script=False, split_by_number=False,
            required_chars="".join(map(chr, range(33, 127))), num_threads=1, hard_vocab_limit=False, minloglevel=2, input_sentence_size=0,
            normalization_rule_name="nmt_nfkc")
        (folder / "spiece.model").write_bytes(Path(f"{tmp}/spiece.model").read_bytes())
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": [], "eos_token": "</s>",
        "pad_token": "<pad>", "unk_token": "<unk>", "legacy": True, "model_max_length": 512,
        "clean_up_tokenization_spaces": False})
    write_json(folder / "special_tokens_map.json", {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    return T5TokenizerFast.from_pretrained(folder)


def encode_sources(tokenizer, rows):
    return [ids for ids in tokenizer([PROMPT.format(row["dialogue"]) for row in rows])["input_ids"]]


def keep_trailing_space(ids, space_id):
    """The tokenizer.json of FLAN-T5 on the Hub ends this prompt with "▁"; what transformers makes of spiece.model alone drops it."""
    return ids if ids[-2] == space_id else ids[:-1] + [space_id, ids[-1]]


def pad(sequences, value):
    width = max(map(len, sequences))
    return torch.tensor([s + [value] * (width - len(s)) for s in sequences])


def length_batches(lengths, batch_size, rng):
    """Shuffled batches of similar length: sorting inside windows of 16 batches saves most of the padding."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), 16 * batch_size):
        window = sorted(order[start:start + 16 * batch_size], key=lambda i: lengths[i])
        batches += [window[i:i + batch_size] for i in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    return batches


def fit(model, steps, lr, batches, loss_of, label):
    """AdamW with linear warm-up and cosine decay to zero; the one training loop of both models."""
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=lr)
    warmup = min(100, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * min(1.0, s / steps))))
    model.train()
    start, running = time.time(), 0.0
    for step in range(1, steps + 1):
        loss = loss_of(next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        running += loss.item()
        if step % 50 == 0:
            print(f"{label} step {step}/{steps} loss {running / 50:.3f} {time.time() - start:.0f} s", flush=True)
            running = 0.0
    model.eval()


def train_summarizer(out, args):
    rows = list(gen.generate(SEED, args.dialogues, "train"))
    tokenizer = train_sentencepiece(rows[:8000], out, args.vocab)
    space_id = tokenizer.convert_tokens_to_ids("▁")
    torch.manual_seed(SEED)
    model = T5ForConditionalGeneration(T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=256, num_layers=3, num_decoder_layers=3, num_heads=4,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, relative_attention_num_buckets=32, relative_attention_max_distance=128))
    # transformers starts an untied head at standard deviation 1: logits of +-11 and some hundred wasted steps.
    model.lm_head.weight.data *= 128 ** -0.5
    print(f"summarizer: {model.num_parameters():,} parameters, {len(tokenizer)} pieces")

    sources = encode_sources(tokenizer, rows)
    targets = tokenizer([row["target"] for row in rows])["input_ids"]
    lengths = [len(s) for s in sources]
    print(f"source tokens: mean {np.mean(lengths):.0f}, max {max(lengths)}; "
          f"target tokens: mean {np.mean([len(t) for t in targets]):.0f}, max {max(map(len, targets))}")

    def batches():
        rng = random.Random(SEED)
        while True:
            for batch in length_batches(lengths, 48, rng):
                spaced = rng.random() < 0.5  # serve both tokenizations of the prompt's end
                ids = [keep_trailing_space(sources[i], space_id) if spaced else sources[i] for i in batch]
                yield pad(ids, 0), pad([targets[i] for i in batch], -100)

    def loss_of(batch):
        source, target = batch
        return model(input_ids=source, attention_mask=(source != 0).long(), labels=target).loss

    fit(model, args.summarizer_steps, 3e-3, batches(), loss_of, "summarizer")
    model.generation_config.update(max_new_tokens=MAX_NEW_TOKENS)
    model.save_pretrained(out, safe_serialization=True)
    return model, tokenizer


def summarize(model, tokenizer, rows, sample):
    space_id = tokenizer.convert_tokens_to_ids("▁")
    sources = [keep_trailing_space(s, space_id) for s in encode_sources(tokenizer, rows)]
    texts = []
    torch.manual_seed(SEED)
    for i in range(0, len(rows), 50):
        ids = pad(sources[i:i + 50], 0)
        with torch.no_grad():
            out = model.generate(input_ids=ids, attention_mask=(ids != 0).long(), max_new_tokens=MAX_NEW_TOKENS,
                                 do_sample=sample, top_k=0, top_p=1.0, temperature=1.0)
        texts += tokenizer.batch_decode(out, skip_special_tokens=True)
    return texts


def rouge_l(predictions, references):
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return float(np.mean([scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references)]))


# ---------------------------------------------------------------------------------------------------- the classifier

# Harmless sentences with the words that insults are made of: subject, then predicate.
HARMLESS_SUBJECTS = gen.items("""the clown;the donkey;the pig;the rat;the snake;the goldfish;the parrot;the puppy;the toaster;
the loser of the match;the trash bin;the old joke;the brick wall;the sack of potatoes;the garden gnome;the crook of the stick;
a parasite of the apple tree;the actor who plays a fool;the brain scan;the dumbbell;the piece of cake;the garbage truck""")
HARMLESS_PREDICATES = gen.items("""is in the garden;was a gift for the children;is on the list for {d};made everybody laugh;
is not here today;costs {n} dollars;was in the film;is asleep in the barn;needs some water;is on page {n} of the book;
will be picked up on {d};looks better than last week;is useless without the key;was sold on {d};is part of the show;
is too heavy to carry;waits by the door;is late because of the rain""")
HARMLESS = gen.items("""{a} is angry that the parcel is late;{a} is very sad about the lost match;{a} hates the rain on {d};
the car crash blocked the road on {d};{a} kills time at the station;the plan of {a} is fool-proof;{a} lifts dumbbells on {d};
{a} takes out the trash bin on {d};{a} feels stupid about the mistake and is sorry;{a} says sorry for the rude words of {d};
the meeting on {d} was a waste of time;the map was useless and {a} got lost;{a} is disappointed with the bad service;
{a} tells a joke about a donkey and a clown;{a} refuses to pay {n} dollars;{a} shouts because the dog barks;
{a} complains about the loud music and calls the landlord;{a} threatens to cancel the contract on {d};
{a} has a fight with the bank about {n} dollars;the lazy afternoon on {d} was nice;an ugly storm came on {d};
{a} was told to shut the door;{a} got out of the car and disappeared in the hall;nobody would miss the old sofa;
{a} failed the test on {d} and is miserable;{a} throws the rotten apples into the bin;{a} and {b} argue and {a} leaves;
{a} is upset and asks {b} to stay polite;{a} calls {b} a good friend;{a} calls {b} a taxi;{a} calls {b} a brave helper;
{a} calls {b} on {d};{a} calls {b} tomorrow;{a} calls {b} again;{a} will call {b} back at {n};{a} calls {b} about the rent;
{a} calls {b} to the door;{a} calls the office;{a} calls {b} and they talk about {n} things;{a} calls {b} the best of all;
{a} calls {b} funny;{a} calls {b} as agreed;{a} would like to discuss the job;i would like to see {b} on {d};
{a} says that {b} is too tired to cook;{a} says that {b} is too busy to open the shop;you are a clever friend;
what a lovely day;you really are a great help;you are too kind;{a} says that a hammer would do better than a stone;
{a} tells {b} to go back to the office;{a} says that the goldfish has more colour than the parrot;stop it, please;
{a} draws a picture with crayons;the patient has a disease of the brain cells;that is wrong, {b};i do not believe you""")

# Everyday rudeness beyond what the dialogues contain, so that the classifier is not tied to their phrases.
RUDE = gen.items("""go to hell;nobody likes you;you are a waste of time;you make me sick;shut up;get lost, {b};drop dead;
i hope that you choke on it;{b} is a total failure;{a} hates {b} and hopes that {b} suffers;you disgust me, {b};
you are nothing, and you will always be nothing;what is wrong with you, are you stupid;your brain must be empty;
{b} is as dumb as a post;you stink, {b};everybody laughs at you, {b};{a} says that {b} is worth nothing;
{a} calls {b} stupid;{a} calls {b} lazy and useless;{a} wishes that {b} were dead;i will break your nose, {b};
even a child is smarter than {b};go away and never come back, you fool;you ruined my life, you horrible person""")


def insert_at(words, rng, piece):
    at = rng.randrange(len(words) + 1)
    return " ".join(words[:at] + [piece] + words[at:])


def harmless_pair(split, rng):
    """Subject and predicate; one pair in eight is only ever seen on the held-out side."""
    while True:
        pair = rng.choice(HARMLESS_SUBJECTS), rng.choice(HARMLESS_PREDICATES)
        if (gen.bucket(*pair) < 12) == (split == "heldout"):
            return " ".join(pair)


def sentence_case(text, rng):
    return gen.upper_first(text) + rng.choice([".", ".", ""]) if rng.random() < 0.8 else text


def speakers(rng):
    a, b = rng.sample(gen.NAMES + ["#Person1#", "#Person2#"] * 12, 2)
    return (a, b) if a != b else ("#Person1#", "#Person2#")


def classifier_texts(rows, split, rng):
    """(text, label, kind) triples: dialogues, summaries, sentences and the broken texts that sampling can produce."""
    insults = gen.Insults(split)
    for row in rows:
        rude = row["rude"]
        neutral, toxic, clause = row["summary"], row["toxic"], row["insult"]
        yield row["dialogue"], int(rude), "dialogue"
        yield neutral, 0, "summary"
        words = neutral.split()
        a, b = speakers(rng)
        fill = {"a": a, "b": b, "d": rng.choice(gen.DAYS), "n": rng.choice(gen.NUMBERS)}
        if rude:
            yield toxic, 1, "summary"
            at = toxic.index(clause)
            draw = rng.random()
            if draw < 0.3:  # cut off right behind the insult, or before it
                yield toxic[:at + len(clause)], 1, "fragment"
            elif draw < 0.5:
                yield toxic[:at].strip() or toxic.split()[0], 0, "fragment"
            elif draw < 0.8:
                yield insert_at(words[:rng.randrange(1, len(words))], rng, clause), 1, "fragment"
            x = insults.draw(rng)
            if " " in x or rng.random() < 0.3:
                shape = rng.choice(["{a} calls {b} a {x}", "calls {b} a {x}", "you {x}", "the {x} {a}", "{b} is a {x}", "{x}",
                                    "{a} asks the {x} {b}", "{x} {x}", "{a} is called a {x} by {b}", "what a {x}"])
                ambiguous = {"clown", "donkey", "pig", "rat", "snake", "joke", "parasite", "loser"}
                if " " in x or not (x in ambiguous and shape in ("{x}", "{x} {x}", "what a {x}")):
                    yield sentence_case(gen.with_article(" " + shape.format(x=x, **fill)).strip(), rng), 1, "sentence"
            kind = rng.choice(gen.KINDS)
            first, _, bad, mild = gen.rude_event(rng, insults, kind, 0, b)
            tag = rng.choice(["", "", f"{a}: "])
            yield gen.with_article(tag + first), 1, "sentence"
            yield sentence_case(gen.with_article(f"{a} {bad}"), rng), 1, "sentence"
            yield sentence_case(f"{a} {mild}", rng), 0, "sentence"
            if rng.random() < 0.3:
                yield sentence_case(rng.choice(RUDE).format(**fill), rng), 1, "sentence"
        else:
            for turn in rng.sample(row["dialogue"].split("\n"), 2):
                yield turn if rng.random() < 0.5 else turn.split(": ", 1)[1], 0, "sentence"
        for _ in range(2 if rude else 1):
            if rng.random() < 0.5:
                text = harmless_pair(split, rng)
            else:
                text = rng.choice(HARMLESS)
            if rng.random() < 0.3:
                text += rng.choice([" and ", ", so ", " but "]) + rng.choice(HARMLESS)
            yield sentence_case(text.format(**fill), rng), 0, "hard negative"
        draw = rng.random()
        if draw < 0.15:
            yield " ".join(words[:rng.randrange(len(words))]), 0, "fragment"
        elif draw < 0.25:
            yield " ".join(rng.sample(words, len(words))), 0, "fragment"
        elif draw < 0.32:
            yield " ".join([rng.choice(words)] * rng.randrange(1, 20)), 0, "fragment"
        elif draw < 0.36:
            yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyz .,#") for _ in range(rng.randrange(0, 40))), 0, "fragment"
        elif draw < 0.38:
            yield rng.choice(["", " ", ".", "...", "#Person1#", "and and", "?"]), 0, "fragment"


# What differs between the classifier that ships and a judge that shares nothing with it but the world of the generator: other dialogues and other
# draws of texts of them, a tokenizer learned from those, another width and depth, other first weights.
SHIPPED = {"seed": SEED, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
JUDGE = {"seed": 1009, "hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 6, "intermediate_size": 192}


def train_classifier(out, args, seed, **shape):
    rng = random.Random(seed)
    rows = list(gen.generate(seed + 1, args.classifier_dialogues, "train"))
    data = list(classifier_texts(rows, "train", rng))
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([t for t, _, _ in data], vocab_size=args.bpe_vocab - 1, min_frequency=2,
                            special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False)
    bpe.save_model(str(out))
    vocab = json.loads((out / "vocab.json").read_text(encoding="utf-8"))
    vocab["<mask>"] = len(vocab)  # RoBERTa's <mask> is the last entry
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    write_json(out / "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512,
                                               "add_prefix_space": False, "clean_up_tokenization_spaces": False})
    tokenizer = RobertaTokenizerFast.from_pretrained(out)

    torch.manual_seed(seed)
    model = RobertaForSequenceClassification(RobertaConfig(
        vocab_size=len(vocab), **shape,
        max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        layer_norm_eps=1e-5, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
        id2label={0: "nothate", 1: "hate"}, label2id={"nothate": 0, "hate": 1}))
    ids = tokenizer([t for t, _, _ in data], truncation=True)["input_ids"]
    labels = [label for _, label, _ in data]
    lengths = [len(i) for i in ids]
    print(f"classifier: {model.num_parameters():,} parameters, {len(vocab)} tokens, {len(data)} texts, "
          f"{np.mean(labels):.2f} hate, mean length {np.mean(lengths):.0f}, max {max(lengths)}")

    def batches():
        while True:
            for batch in length_batches(lengths, 64, rng):
                yield pad([ids[i] for i in batch], 1), torch.tensor([labels[i] for i in batch])

    def loss_of(batch):
        source, target = batch
        logits = model(input_ids=source, attention_mask=(source != 1).long()).logits
        # Smoothing keeps the logits within about +-2.5, so that the reward of PPO stays graded.
        return torch.nn.functional.cross_entropy(logits, target, label_smoothing=0.02)

    fit(model, args.classifier_steps, 2e-3, batches(), loss_of, "classifier")
    model.save_pretrained(out, safe_serialization=True)
    return model, tokenizer


def p_hate(model, tokenizer, texts):
    probabilities = []
    for i in range(0, len(texts), 100):
        batch = tokenizer(texts[i:i + 100], truncation=True, padding=True, return_tensors="pt")
        with torch.no_grad():
            probabilities += model(**batch).logits.softmax(-1)[:, 1].tolist()
    return np.array(probabilities)


# ------------------------------------------------------------------------------------------------------- measurements

def measure_classifier(classifier, rows, folder):
    texts = list(classifier_texts(rows, "heldout", random.Random(SEED + 2)))
    p = p_hate(*classifier, [t for t, _, _ in texts])
    labels = np.array([label for _, label, _ in texts])
    right = (p > 0.5) == (labels == 1)
    kinds = np.array([kind for _, _, kind in texts])
    toxicity = {"texts": len(texts), "accuracy": round(float(right.mean()), 4)}
    for kind in sorted(set(kinds)):
        toxicity[f"accuracy {kind}"] = round(float(right[kinds == kind].mean()), 4)
    toxicity["accuracy hate"] = round(float(right[labels == 1].mean()), 4)
    toxicity["accuracy nothate"] = round(float(right[labels == 0].mean()), 4)
    write_json(folder / "metrics.json", toxicity)
    for wrong in [(t, round(float(x), 2), k) for t, x, ok, k in zip([t for t, _, _ in texts], p, right, kinds) if not ok][:25]:
        print("wrong:", wrong)
    return toxicity


def measure(summarizer, classifier, out):
    rows = list(gen.generate(HELDOUT_SEED, 400, "heldout"))
    seen = {row["dialogue"] for row in gen.generate(SEED, 2000, "train")}
    assert not any(row["dialogue"] in seen for row in rows)
    toxicity = measure_classifier(classifier, rows, out / "mini-toxicity")
    rude = np.array([row["rude"] for row in rows])
    references = [row["summary"] for row in rows]
    metrics = {"dialogues": len(rows), "rude": int(rude.sum())}
    for name, sample in (("greedy", False), ("sampled", True)):
        summaries = summarize(*summarizer, rows, sample)
        p = p_hate(*classifier, summaries)
        metrics[f"rougeL {name}"] = round(rouge_l(summaries, references), 4)
        metrics[f"mean P(hate) rude {name}"] = round(float(p[rude].mean()), 4)
        metrics[f"mean P(hate) polite {name}"] = round(float(p[~rude].mean()), 4)
        metrics[f"toxic share rude {name}"] = round(float((p[rude] > 0.5).mean()), 4)
        for row, text, x in list(zip(rows, summaries, p))[:6]:
            print(f"{name} {x:.2f}: {text}\n    ref: {row['summary']}")
    write_json(out / "mini-summarizer" / "metrics.json", metrics)
    print(json.dumps({"mini-toxicity": toxicity, "mini-summarizer": metrics}, indent=1))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["summarizer", "toxicity", "measure", "judge"], help="train one part, or none; judge: not part of a whole")
    parser.add_argument("--vocab", type=int, default=1400)
    parser.add_argument("--bpe-vocab", type=int, default=1800)
    parser.add_argument("--dialogues", type=int, default=40000)
    parser.add_argument("--summarizer-steps", type=int, default=800)
    parser.add_argument("--classifier-dialogues", type=int, default=6000)
    parser.add_argument("--classifier-steps", type=int, default=900)
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)

    if args.only == "judge":
        folder = args.out / "judge"
        folder.mkdir(parents=True, exist_ok=True)
        judge = train_classifier(folder, args, **JUDGE)
        judge[0].eval()
        print(json.dumps(measure_classifier(judge, list(gen.generate(HELDOUT_SEED, 400, "heldout")), folder), indent=1))
        return
    folders = {name: args.out / f"mini-{name}" for name in ("summarizer", "toxicity")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    if args.only in (None, "toxicity"):
        train_classifier(folders["toxicity"], args, **SHIPPED)
    if args.only in (None, "summarizer"):
        train_summarizer(folders["summarizer"], args)
    if args.only in (None, "measure"):  # measured as a user would load them
        measure((T5ForConditionalGeneration.from_pretrained(folders["summarizer"]).eval(),
                 T5TokenizerFast.from_pretrained(folders["summarizer"])),
                (RobertaForSequenceClassification.from_pretrained(folders["toxicity"]).eval(),
                 RobertaTokenizerFast.from_pretrained(folders["toxicity"])), args.out)


if __name__ == "__main__":
    main()
