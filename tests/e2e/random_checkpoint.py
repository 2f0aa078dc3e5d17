"""Random checkpoints in Hugging Face layout with the shapes of flan-t5-base and roberta-base: real work for the services where the real weights
are not to be had. Standard library only."""
import array
import json
import math
import pathlib
import random
import shutil
import sys

BLOCK = 1 << 20  # normal deviates drawn; every tensor is cut out of their endless repetition, at a place of its own


class Writer:
    """A bfloat16 safetensors file."""

    def __init__(self):
        self.tensors = {}  # name -> (shape, scale, added)

    def add(self, name, shape, scale, mean=0.0):
        self.tensors[name] = (shape, scale, mean)

    def write(self, path, seed):
        generator = random.Random(seed)
        normal = [generator.gauss(0, 1) for _ in range(BLOCK)]
        blocks = {}
        header, offset = {}, 0
        for name, (shape, _, _) in self.tensors.items():
            size = 2 * math.prod(shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header).encode()
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for shape, scale, mean in self.tensors.values():
                if (scale, mean) not in blocks:
                    blocks[scale, mean] = bfloat16(array.array("f", (x * scale + mean for x in normal)))
                block, start, left = blocks[scale, mean], 2 * generator.randrange(BLOCK), 2 * math.prod(shape)
                while left:
                    part = block[start:start + left]
                    file.write(part)
                    left -= len(part)
                    start = 0


def bfloat16(values):
    """The upper halves of little-endian floats."""
    if sys.byteorder != "little":
        values.byteswap()
    raw, halves = values.tobytes(), bytearray(2 * len(values))
    halves[0::2], halves[1::2] = raw[2::4], raw[3::4]
    return bytes(halves)


def flan_t5_base(data, folder):
    """`data` has the real config and tokenizer. Scales as transformers initializes T5."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    for file in ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(data / "flan-t5-base" / file, folder)
    shutil.copy(data / "t5/spiece.model", folder)
    c = json.loads((folder / "config.json").read_text())
    d, inner, ff, vocab = c["d_model"], c["num_heads"] * c["d_kv"], c["d_ff"], c["vocab_size"]
    w = Writer()
    w.add("shared.weight", [vocab, d], 1.0)
    w.add("lm_head.weight", [vocab, d], 1.0)
    for side, layers in (("encoder", c["num_layers"]), ("decoder", c["num_decoder_layers"])):
        attentions = ["SelfAttention"] + (["EncDecAttention"] if side == "decoder" else [])
        for layer in range(layers):
            at = f"{side}.block.{layer}.layer"
            for i, attention in enumerate(attentions):
                w.add(f"{at}.{i}.{attention}.q.weight", [inner, d], (d * c["d_kv"]) ** -0.5)
                w.add(f"{at}.{i}.{attention}.k.weight", [inner, d], d ** -0.5)
                w.add(f"{at}.{i}.{attention}.v.weight", [inner, d], d ** -0.5)
                w.add(f"{at}.{i}.{attention}.o.weight", [d, inner], inner ** -0.5)
                w.add(f"{at}.{i}.layer_norm.weight", [d], 0.0, 1.0)
            last = len(attentions)
            w.add(f"{at}.{last}.DenseReluDense.wi_0.weight", [ff, d], d ** -0.5)
            w.add(f"{at}.{last}.DenseReluDense.wi_1.weight", [ff, d], d ** -0.5)
            w.add(f"{at}.{last}.DenseReluDense.wo.weight", [d, ff], ff ** -0.5)
            w.add(f"{at}.{last}.layer_norm.weight", [d], 0.0, 1.0)
        w.add(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", [c["relative_attention_num_buckets"], c["num_heads"]], d ** -0.5)
        w.add(f"{side}.final_layer_norm.weight", [d], 0.0, 1.0)
    w.write(folder / "model.safetensors", seed=1)
    return folder


def roberta_hate(data, folder):
    """roberta-base with the two labels of the notebook's reward model. Scales as transformers initializes RoBERTa."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copy(data / "roberta" / file, folder)
    c = json.loads((data / "roberta/config.roberta-hate.json").read_text())
    c.update(id2label={"0": "nothate", "1": "hate"}, label2id={"nothate": 0, "hate": 1})
    (folder / "config.json").write_text(json.dumps(c))
    d, ff, scale = c["hidden_size"], c["intermediate_size"], c["initializer_range"]
    w = Writer()

    def linear(name, rows, columns):
        w.add(f"{name}.weight", [rows, columns], scale)
        w.add(f"{name}.bias", [rows], 0.0)

    def norm(name):
        w.add(f"{name}.weight", [d], 0.0, 1.0)
        w.add(f"{name}.bias", [d], 0.0)

    for name, rows in (("word", c["vocab_size"]), ("position", c["max_position_embeddings"]), ("token_type", c["type_vocab_size"])):
        w.add(f"roberta.embeddings.{name}_embeddings.weight", [rows, d], scale)
    norm("roberta.embeddings.LayerNorm")
    for layer in range(c["num_hidden_layers"]):
        at = f"roberta.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", d, d)
        linear(f"{at}.attention.output.dense", d, d)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", ff, d)
        linear(f"{at}.output.dense", d, ff)
        norm(f"{at}.output.LayerNorm")
    linear("classifier.dense", d, d)
    linear("classifier.out_proj", len(c["id2label"]), d)
    w.write(folder / "model.safetensors", seed=2)
    return folder
