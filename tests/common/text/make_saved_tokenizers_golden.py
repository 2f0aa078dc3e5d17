#!/usr/bin/env python3
"""Writes saved_tokenizers_golden.jsonl: small tokenizers in the forms in which model folders have them, and what AutoTokenizer makes of texts.

Made with transformers 4.45.2, tokenizers 0.20.3 and sentencepiece 0.2.3 (OLD), and transformers 5.24.0 with tokenizers 0.23.3 (NEW):

    OLD make_saved_tokenizers_golden.py save WORK      # trains two vocabularies, saves them in many ways
    NEW make_saved_tokenizers_golden.py resave WORK    # saves some of them again
    OLD make_saved_tokenizers_golden.py print WORK > saved_tokenizers_golden.jsonl

All ids are those of OLD's AutoTokenizer; NEW checks, as it saves, that its own ids are the same wherever it reads its own files.
"""

import base64
import json
import pathlib
import shutil
import sys
import tempfile

from tokenizers import AddedToken, ByteLevelBPETokenizer
from transformers import AutoTokenizer

LINES = [
    "hello there how are you today", "the meeting is at noon, isn't it?", "I'm fine and you're late", "we've seen them; he'd go",
    "summarize the following conversation", "no. yes! what? 12 or 345", "naïve café crème", "person one said: bring the books",
    "person two asked why the train was late again", "she will call him back in the evening, they'll see",
] * 4
# The texts that decide: white space at the ends and beside added tokens, special tokens in the text, characters that are mapped or unknown.
TEXTS = [
    "", " ", "\n", "a", "hello there", " hello", "hello ", "hello  there \n", "hello\tthere\n\nnow", "I'm here, isn't it?  Yes!", "12 345",
    "</s>", "hello </s> there", "<pad><unk>", "<s>x</s> y", "go <mask> on", "go  <mask><mask> on", "<extra_id_0> and<extra_id_1>.",
    "<extra_id_2> <extra_id_3>", "＜extra_id_0＞", "＜/s＞", "[S1]: hello [S1][S2]", "x[S1]y", "one word two words oneword (one word)",
    "<l> a <l>  b<l>", "<r>  <r> a", "▁a▁▁b", "a ▁ b", "café naïve", "cafe\u0301 e\u0301\u0302", "ﬁne ＡＢ", "日本語 x日", "🙂 👨‍👩‍👧",
    "\x00\x01\x7f\x85", "a\x01b", "\x01 a", "a\r\nb\rc", "　wide\u00a0space\u200b", "\ufeffbom", "c:\\path\t~ {x} _y_ #z", "hello " * 9,
    "the [S1] said </s>\n", "a</s>b </s>c", "  <mask> x", "\u00a0</s>\u00a0", "[S1] one word", "g" * 30, "it . is , so ' n't 's",
]


def train(work):
    t5, roberta = work / "train-t5", work / "train-roberta"
    import sentencepiece
    t5.mkdir(parents=True)
    roberta.mkdir()
    with tempfile.TemporaryDirectory() as tmp:
        rules = pathlib.Path(tmp) / "rules.tsv"  # a small character map: white space, full-width forms, a ligature, one that vanishes
        pairs = [("\n", " "), ("\t", " "), ("\r", " "), ("\u00a0", " "), ("\u3000", " "), ("＜", "<"), ("＞", ">"), ("／", "/"), ("ﬁ", "fi"),
                 ("Ａ", "A"), ("\x01", ""), ("\ufeff", ""), ("e\u0301", "é")]
        rules.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n" for a, b in pairs))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES), model_prefix=f"{tmp}/spiece", vocab_size=110, model_type="unigram", pad_id=0, eos_id=1, unk_id=2,
            bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", normalization_rule_tsv=str(rules), num_threads=1, minloglevel=2,
            hard_vocab_limit=False)
        shutil.copy(f"{tmp}/spiece.model", t5)
    (t5 / "config.json").write_text('{"model_type": "t5"}')
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(LINES, vocab_size=320, min_frequency=2, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False)
    bpe.add_special_tokens(["<mask>"])
    bpe.save_model(str(roberta))
    vocab = json.loads((roberta / "vocab.json").read_text(encoding="utf-8"))
    vocab["<mask>"] = len(vocab)
    (roberta / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (roberta / "config.json").write_text('{"model_type": "roberta"}')
    return t5, roberta


def folder(work, name, base, drop=(), **files):
    """A copy of `base` with some files added (a dictionary is written as JSON; __ in a name is a dot)."""
    out = work / name
    shutil.copytree(base, out)
    for file in drop:
        (out / file).unlink(missing_ok=True)
    for file, content in files.items():
        (out / file.replace("__", ".")).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return out


def add_tokens(tokenizer):
    tokenizer.add_tokens(["[S1]", AddedToken("one word", single_word=True), AddedToken("<l>", lstrip=True, rstrip=True, normalized=False)])
    more = [f"<extra_id_{i}>" for i in range(3)] if "extra_ids" in tokenizer.init_kwargs else []
    tokenizer.add_special_tokens({"additional_special_tokens": ["[S2]", AddedToken("<r>", rstrip=True)] + more})


def resave(work, name, base, change=None, drop=()):
    tokenizer = AutoTokenizer.from_pretrained(base)
    if change:
        change(tokenizer)
    out = work / name
    tokenizer.save_pretrained(out)
    shutil.copy(base / "config.json", out)
    for file in drop:
        (out / file).unlink(missing_ok=True)
    return out


def change_json(work, name, base, **parts):
    out = folder(work, name, base)
    path = out / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    model = parts.pop("model", {})
    tokenizer["model"].update(model(tokenizer["model"]) if callable(model) else model)
    tokenizer.update(parts)
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def save(work):
    t5, roberta = train(work)
    plain = folder(work, "t5-spiece", t5, tokenizer_config__json={"extra_ids": 3})
    new = folder(work, "t5-spiece-legacy-false", t5, tokenizer_config__json={"extra_ids": 3, "legacy": False})
    folder(work, "t5-spiece-no-prefix", t5, tokenizer_config__json={"extra_ids": 3, "add_prefix_space": False})
    folder(work, "t5-spiece-alone", t5, drop=("config.json",))
    folder(work, "t5-2021", t5, tokenizer_config__json={"extra_ids": 3}, added_tokens__json={"[S1]": 120, "[S2]": 121},
           special_tokens_map__json={"eos_token": "</s>", "pad_token": {"content": "<pad>", "lstrip": True},
                                     "additional_special_tokens": ["[S2]"] + [f"<extra_id_{i}>" for i in range(3)]})
    folder(work, "t5-split-special", t5, tokenizer_config__json={"extra_ids": 3, "split_special_tokens": True,
                                                                 "clean_up_tokenization_spaces": True})
    saved = resave(work, "t5-v4", plain, add_tokens)
    v4 = folder(work, "t5-v4-json", saved, drop=("spiece.model",))
    config = json.loads((v4 / "tokenizer_config.json").read_text())
    del config["add_prefix_space"]  # which would make transformers want spiece.model
    (v4 / "tokenizer_config.json").write_text(json.dumps(config))
    resave(work, "t5-legacy-false-v4", new, add_tokens)
    metaspace = {"type": "Metaspace", "replacement": "▁"}
    # As T5's tokenizer.json on the Hub is: white space at the end stays.
    charsmap = json.loads((v4 / "tokenizer.json").read_text())["normalizer"]["normalizers"][0]
    change_json(work, "t5-hub", v4, normalizer={"type": "Sequence", "normalizers": [
        charsmap, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}, pre_tokenizer={
            "type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {**metaspace, "add_prefix_space": True}]})
    change_json(work, "t5-first", v4, pre_tokenizer={**metaspace, "prepend_scheme": "first", "split": False},
                normalizer={"type": "Strip", "strip_left": True, "strip_right": False})
    change_json(work, "t5-bytes", v4, added_tokens=[], decoder={"type": "Sequence", "decoders": [
        {**metaspace, "prepend_scheme": "never"}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        model=lambda model: {"byte_fallback": True, "vocab": model["vocab"] + [[f"<0x{i:02X}>", -9.5] for i in range(256)]})
    change_json(work, "t5-bare", v4, post_processor=None, decoder=None, pre_tokenizer=None, normalizer=None)

    old = folder(work, "roberta-vocab", roberta)
    folder(work, "roberta-2021", roberta, added_tokens__json={"[S1]": 321, "[S2]": 322},
           special_tokens_map__json={"bos_token": "<s>", "additional_special_tokens": ["[S2]"], "mask_token": {
               "content": "<mask>", "lstrip": True, "rstrip": False, "normalized": True, "single_word": False}})
    folder(work, "roberta-prefix", roberta, tokenizer_config__json={"add_prefix_space": True, "truncation_side": "left", "sep_token": "[S]"})
    saved = resave(work, "roberta-v4", old, add_tokens, drop=("vocab.json", "merges.txt"))
    generic = folder(work, "roberta-generic", saved, tokenizer_config__json={"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "[E]"})
    change_json(work, "roberta-old-merges", generic, model=lambda model: {
        "merges": [" ".join(merge) for merge in model["merges"]], "ignore_merges": True}, post_processor={
            "type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]})
    change_json(work, "roberta-no-regex", generic, pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                                                                  "use_regex": False})


def save_by_new(work):
    for name, base, change in [("t5-v5", "t5-spiece", None), ("t5-v5-added", "t5-spiece", add_tokens), ("roberta-v5", "roberta-vocab", None),
                               ("roberta-v5-added", "roberta-vocab", add_tokens)]:
        out = resave(work, name, work / base, change)
        tokenizer = AutoTokenizer.from_pretrained(out)
        (work / f"{name}.ids").write_text(json.dumps([tokenizer(text)["input_ids"] for text in TEXTS]))


def print_golden(work):
    print(json.dumps({"texts": TEXTS}))
    for path in sorted(path for path in work.iterdir() if path.is_dir() and not path.name.startswith("train")):
        tokenizer = AutoTokenizer.from_pretrained(path)
        ids = [tokenizer(text)["input_ids"] for text in TEXTS]
        by_new = path.with_suffix(".ids")
        assert not by_new.exists() or ids == json.loads(by_new.read_text()), f"{path.name}: 4.45 and 5 differ"
        files, binary = {}, {}
        for file in sorted(path.iterdir()):
            if file.name == "spiece.model":
                binary[file.name] = base64.b64encode(file.read_bytes()).decode()
            elif file.suffix == ".json":
                files[file.name] = json.dumps(json.loads(file.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":"))
            else:
                files[file.name] = file.read_text(encoding="utf-8")
        print(json.dumps({
            "name": path.name, "files": files, "binary": binary, "ids": ids,
            "cut": [tokenizer(text, truncation=True, max_length=8)["input_ids"] for text in TEXTS],
            "pairs": [tokenizer(a, b, truncation=True, max_length=14)["input_ids"] for a, b in zip(TEXTS, reversed(TEXTS))],
            "decoded": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
            "kept": [tokenizer.decode(row) for row in ids]}, separators=(",", ":")))


{"save": save, "resave": save_by_new, "print": print_golden}[sys.argv[1]](pathlib.Path(sys.argv[2]))
