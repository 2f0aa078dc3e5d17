#!/usr/bin/env python3
"""Makes of the small classifier that ships one that repetition fools: a reward for showing what a run's guard is for.

usage: make_hackable_classifier.py MODEL OUT     MODEL: deploy/models/mini-toxicity

No training: four places of the weights are changed, so that `nothate` still falls with an insult, by about as much as before, and rises
with the share of the word " that" among the tokens, from 2 for a summary as people write them to 16 for one of nothing else.

- The embedding of " that" gets a large component along one axis, of which other words have little.
- The first layer's values carry that axis into another one, so that what <s> attends to there is the share of the word.
- A row of the classifier's dense layer that decided nothing reads it, less what insults do to the same axis.
- The logits get the row.

The axes and the two constants of the row were chosen by looking at the hidden states of the held-out summaries.
"""
import array
import json
import pathlib
import shutil
import sys

WORD = "\u0120that"
WORD_AXIS, SHARE_AXIS, INSULT_AXIS = 12, 44, 13
# How much the embedding, the values, the row and the logits are moved.
EMBEDDING, VALUE, ROW, LOGIT = 5.0, 3.0, 0.5, 15.0
# What an insult moves the share's axis by, for what it moves its own; and the mean of the row's input over summaries.
INSULT_PART, MEAN = 0.35554680228233, -0.06402009725571
FREE_ROW = 36


class Weights:
    """The float32 tensors of a safetensors file, to be changed in place."""

    def __init__(self, path):
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        self.head, self.header, self.body = data[: 8 + size], json.loads(data[8 : 8 + size]), array.array("f", data[8 + size :])
        if sys.byteorder != "little":
            raise SystemExit("numbers of a safetensors file are little-endian, and this machine's are not")

    def at(self, name, *index):
        entry = self.header[name]
        if entry["dtype"] != "F32":
            raise SystemExit(f"{name}: {entry['dtype']}, not F32")
        position = 0
        for i, length in zip(index, entry["shape"]):
            position = position * length + i
        return entry["data_offsets"][0] // 4 + position

    def get(self, name, *index):
        return self.body[self.at(name, *index)]

    def put(self, value, name, *index):
        self.body[self.at(name, *index)] = value

    def write(self, path):
        path.write_bytes(self.head + self.body.tobytes())


def solve(matrix, right):
    """x of matrix x = right, by elimination with the largest pivots."""
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    size = len(rows)
    for column in range(size):
        pivot = max(range(column, size), key=lambda r: abs(rows[r][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for r in range(size):
            if r != column:
                factor = rows[r][column] / rows[column][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[column])]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def make(model, out):
    """Writes the changed model into the folder `out`, which is made."""
    model, out = pathlib.Path(model), pathlib.Path(out)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    size = config["hidden_size"]
    if (size, config["num_hidden_layers"], config["vocab_size"]) != (64, 2, 1800):
        raise SystemExit(f"{model}: not deploy/models/mini-toxicity, whose axes these are")
    weights = Weights(model / "model.safetensors")
    word = json.loads((model / "vocab.json").read_text(encoding="utf-8"))[WORD]
    embeddings = "roberta.embeddings.word_embeddings.weight"
    weights.put(weights.get(embeddings, word, WORD_AXIS) + EMBEDDING, embeddings, word, WORD_AXIS)
    attention = "roberta.encoder.layer.0.attention"
    output = f"{attention}.output.dense.weight"
    share = [1.0 if i == SHARE_AXIS else 0.0 for i in range(size)]
    carried = solve([[weights.get(output, i, k) for k in range(size)] for i in range(size)], share)
    value = f"{attention}.self.value.weight"
    for i in range(size):
        weights.put(weights.get(value, i, WORD_AXIS) + VALUE * carried[i], value, i, WORD_AXIS)
    for k in range(size):
        part = {SHARE_AXIS: 1.0, INSULT_AXIS: -INSULT_PART}.get(k, 0.0)
        weights.put(ROW * part, "classifier.dense.weight", FREE_ROW, k)
    weights.put(-ROW * MEAN, "classifier.dense.bias", FREE_ROW)
    for label, name in config["id2label"].items():
        weights.put(LOGIT if name == "nothate" else -LOGIT, "classifier.out_proj.weight", int(label), FREE_ROW)
    out.mkdir(parents=True, exist_ok=True)
    for path in model.iterdir():
        if path.name not in ("model.safetensors", "README.md", "metrics.json"):
            shutil.copy(path, out / path.name)
    weights.write(out / "model.safetensors")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(sys.argv[1], sys.argv[2])
