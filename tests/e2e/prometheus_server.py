"""A real Prometheus for a test, and what its expressions consist of. Standard library only."""
import contextlib
import json
import math
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from harness import SOURCE, wait_until

RULES = SOURCE / "deploy/prometheus"


class QueryError(Exception):
    pass


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path, **parameters):
        """`data` of an answer of the HTTP API. An expression that is wrong is a QueryError with its text."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{parameters}: {error.read().decode(errors='replace')}") from error

    def ready(self):
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def instant(self, expression):
        """The samples of a vector now: [(labels, value)]."""
        data = self.get("/api/v1/query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def finite(self, expression, start, end):
        """How many finite values the expression had from `start` to `end`, second by second."""
        data = self.get("/api/v1/query_range", query=expression, start=start, end=end, step=1)
        return sum(math.isfinite(float(value)) for series in data["result"] for _, value in series["values"])

    def rules(self):
        return [rule for group in self.get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def targets(self):
        return self.get("/api/v1/targets", state="active")["activeTargets"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def prometheus(file_targets):
    """Prometheus with the configuration and rules that ship, scraping `file_targets` every second."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-prometheus."))
    shutil.copy(RULES / "recording.yml", folder)
    # Patience shrinks as the intervals do, so that an alert that wants minutes can be seen to fire, or not to, in a run of seconds.
    alerts, found = re.subn(r"\bfor: (\d+)m\b", lambda match: f"for: {2 * int(match[1])}s", (RULES / "alerts.yml").read_text())
    assert found > 0, "for"
    (folder / "alerts.yml").write_text(alerts)
    config = (RULES / "prometheus.yml").read_text()
    for interval in ("scrape_interval", "evaluation_interval"):
        config, found = re.subn(rf"{interval}: \w+", f"{interval}: 1s", config)
        assert found == 1, interval
    # A machine could have hosts of the names that a compose network has; this one no machine has (RFC 2606).
    config, found = re.subn(r"names: \[.*\]", "names: [mellow.invalid]", config)
    assert found == 2, "names of dns_sd_configs: of the services and of Alertmanager"
    (folder / "prometheus.yml").write_text(config)
    (folder / "targets").mkdir()
    (folder / "targets/cluster.json").write_text(json.dumps(file_targets))
    server = Prometheus(free_port())
    log = folder / "prometheus.log"
    with log.open("w") as output:
        process = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                    f"--web.listen-address={server.url.removeprefix('http://')}"], stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or server.ready(), "Prometheus is ready", 60)
        assert process.poll() is None, f"Prometheus ended with {process.returncode}:\n{log.read_text()[-3000:]}"
        yield server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


# Strings, label matchers and ranges are one token each; so are words and comparisons. Blanks are kept.
TOKEN = re.compile(r"""\{(?:[^}"']|"[^"]*"|'[^']*')*\}|\[[^]]*\]|"[^"]*"|'[^']*'|[\w:.]+|[<>=!]=|\s+|.""", re.DOTALL)
SET_OPERATORS = ("and", "or", "unless")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")


def without_parentheses(tokens):
    """Without the pair of parentheses around the whole, if there is one."""
    tokens = "".join(tokens).strip()
    tokens = TOKEN.findall(tokens)
    if not tokens or tokens[0] != "(":
        return tokens, False
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0:
            return (tokens[1:-1], True) if i == len(tokens) - 1 else (tokens, False)
    raise ValueError(f"unbalanced: {''.join(tokens)}")


def split(tokens, words):
    """Cut at the words outside of parentheses; without `on (...)`, `ignoring (...)` and `bool` behind one."""
    parts, depth, i = [[]], 0, 0
    while i < len(tokens):
        token = tokens[i]
        depth += (token == "(") - (token == ")")
        if depth == 0 and token in words:
            parts.append([])
            rest = re.match(r"\s*(?:bool\b|(?:on|ignoring)\s*\([^)]*\))?", "".join(tokens[i + 1:])).group()
            i += 1 + len(TOKEN.findall(rest))
            continue
        parts[-1].append(token)
        i += 1
    return parts


def operands(expression):
    """What an alert looks at: its expression cut at set operators and comparisons with a number, as deep as parentheses go.

    Each of them has to have values in a cluster where nothing is wrong, and where the alert therefore has none. A young Prometheus has
    no past, so `offset` is left out.
    """
    tokens, stripped = without_parentheses(TOKEN.findall(re.sub(r"\boffset\s+\w+", "", expression)))
    for words in (SET_OPERATORS, COMPARISONS):
        parts = split(tokens, words)
        if len(parts) > 1:
            return [inner for part in parts for inner in operands("".join(part))]
    if stripped:
        return operands("".join(tokens))
    text = "".join(tokens).strip()
    return [] if re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?", text) else [text]
