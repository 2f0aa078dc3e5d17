#!/usr/bin/env python3
"""deploy/clients/python: the package as pip installs it from its sdist, against clusters with and without TLS, and its notebook.

Skipped where pip reaches no registry. The tests run in a virtual environment of their own: this file makes it and then runs itself in there.
"""
import asyncio
import concurrent.futures
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

import harness
from harness import MINI_RUN, SMALL
from secure_cluster import TOKENS, SecureCluster

PACKAGE = harness.SOURCE / "deploy/clients/python"
NOTEBOOK = PACKAGE / "detoxify.ipynb"
DIALOGUE = "#Person1#: Are you free tonight? #Person2#: No, I have to work."
OVERRIDES = {name: float(value) if "." in value else int(value) for name, value in (assignment.split("=") for assignment in SMALL)}
# What the tests need besides the package. What finds fault with types does so by its version.
TOOLS = ["build", "grpcio-tools", "ipykernel", "mypy==2.4.1", "nbclient", "pandas", "tensorboard", "types-grpcio==1.85.0.20261028", "types-protobuf==7.35.1.20260906"]

try:
    import grpc

    import mellow
    from mellow import calls, commands, connection, progress, specs
    from mellow._proto import policy_pb2
except ImportError:
    pass  # outside of the environment


class FakeService:
    """A server in this process with one method, which answers what `answer` returns or aborts with what it raises."""

    def __init__(self, method, answer, stream=False):
        def handle(request, context):
            return answer(method_request(request), context)

        def method_request(data):
            return policy_pb2.SummarizeRequest.FromString(data)

        kind = grpc.unary_stream_rpc_method_handler if stream else grpc.unary_unary_rpc_method_handler
        handler = kind(handle, response_serializer=lambda message: message.SerializeToString())
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(calls.POLICY, {method: handler}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()


class FilesTest(unittest.TestCase):
    """What needs no cluster."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="mellow-python.")))

    def write(self, name, value):
        file = self.folder / name
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file

    def test_paths_of_a_run_file_are_relative_to_it_and_overrides_to_the_current_folder(self):
        file = self.write("small.json", {"steps": 3, "data": {"path": "rows.jsonl"}, "start_adapter": "/adapters/a", "ppo": {"lora": {"r": 4}}})
        spec = specs.run_spec(file, {"ppo.batch_size": 8, "ppo.lora": None, "ppo.value_head_file": "head"})
        self.assertEqual((spec.name, spec.steps, spec.ppo.batch_size, spec.ppo.HasField("lora")), ("small", 3, 8, False))
        self.assertEqual((spec.data.path, spec.start_adapter), (str(self.folder / "rows.jsonl"), "/adapters/a"))
        self.assertEqual(spec.ppo.value_head_file, str(pathlib.Path.cwd() / "head"))

    def test_a_dict_says_what_a_file_says_and_stays_as_it_is(self):
        run = {"steps": 2, "data": {"path": "rows.jsonl"}}
        spec = specs.run_spec(run, {"data.min_chars": 5})
        self.assertEqual((spec.data.path, spec.data.min_chars), (str(pathlib.Path.cwd() / "rows.jsonl"), 5))
        self.assertEqual(run, {"steps": 2, "data": {"path": "rows.jsonl"}})

    def test_supervised_settings_are_a_run_file_or_a_part_of_one(self):
        file = self.write("sft.json", {"data": {"path": "rows.jsonl", "dev_path": "dev.jsonl"}, "epochs": 2})
        for spec in (specs.run_spec(file, {"epochs": None, "max_steps": 3}, "sft"),
                     specs.run_spec({"name": "sft", "sft": {"data": {"path": str(self.folder / "rows.jsonl"), "dev_path": str(self.folder / "dev.jsonl")}}},
                                    {"sft.max_steps": 3}, "sft")):
            self.assertEqual((spec.name, spec.sft.max_steps, spec.sft.HasField("epochs")), ("sft", 3, False))
            self.assertEqual((spec.sft.data.path, spec.sft.data.dev_path), (str(self.folder / "rows.jsonl"), str(self.folder / "dev.jsonl")))

    def test_wrong_files_are_told_by_file_and_field(self):
        for run, overrides, parts in (
                (self.folder / "none.json", {}, ["none.json", "No such file"]),
                (self.write("text.json", "{"), {}, ["text.json", "not JSON"]),
                (self.write("list.json", []), {}, ["list.json", "not a JSON object"]),
                (self.write("word.json", {"stepz": 1}), {}, ["word.json", "stepz"]),
                ({"steps": "many"}, {}, ["steps"]),
                ({"steps": 1}, {"ppo.batch": 1}, ["overrides", "batch"]),
                ({}, {"ppo": 1, "ppo.batch_size": 1}, ["ppo is a value"])):
            with self.assertRaises(mellow.SpecError) as caught:
                specs.run_spec(run, overrides)
            for part in parts:
                self.assertIn(part, str(caught.exception))

    def test_cluster_files(self):
        services = [{"role": "policy", "address": "127.0.0.1:1"}, {"role": "policy", "address": "127.0.0.1:2"}, {"role": "reward", "address": "127.0.0.1:3"}]
        file = self.write("cluster.json", {"services": services})
        for place in (file, self.folder, str(self.folder)):
            folder, found = connection.read_cluster(place)
            self.assertEqual((folder, found["policy"]), (self.folder, ["127.0.0.1:1", "127.0.0.1:2"]))
        self.assertEqual(connection.target_of(found["policy"], "policy"), "ipv4:127.0.0.1:1,127.0.0.1:2")
        with self.assertRaisesRegex(mellow.SpecError, "no cluster runs in"):
            mellow.Mellow.connect(self.folder / "elsewhere")
        with self.assertRaisesRegex(mellow.SpecError, "DNS name"):
            connection.target_of(["a:1", "b:1"], "policy")
        with self.assertRaisesRegex(mellow.SpecError, "orchestrator"):
            mellow.Mellow.connect(self.folder).runs()
        file.write_text("{}")
        with self.assertRaisesRegex(mellow.SpecError, "not a cluster file"):
            mellow.Mellow.connect(self.folder)

    def test_connections_that_contradict_themselves(self):
        with self.assertRaisesRegex(ValueError, "TLS only"):
            mellow.Mellow.connect(policy="127.0.0.1:1", token="secret")
        with self.assertRaisesRegex(ValueError, "not both"):
            mellow.Mellow.connect(self.folder, policy="127.0.0.1:1")
        with self.assertRaisesRegex(ValueError, "belong together"):
            mellow.Tls("ca.pem", cert="user.pem")

    def test_every_call_has_the_deadline_of_the_service_config_unless_told(self):
        plain = connection.Connection(None, {"policy": "127.0.0.1:1"}, None, None, None)
        config = json.loads((harness.SOURCE / "deploy/clients/service_config.json").read_text())
        for methods in config["methodConfig"]:
            seconds = float(methods.pop("timeout").removesuffix("s"))
            for name in methods["name"]:
                self.assertEqual(plain.timeout_of(f"{name['service']}/{name['method']}", None), seconds)
        self.assertEqual(json.loads(dict(plain.options("127.0.0.1:1"))["grpc.service_config"]), config)
        self.assertEqual(plain.timeout_of(calls.SUMMARIZE.path, 7), 7)
        self.assertEqual(connection.Connection(None, {"policy": "a:1"}, None, None, 5).timeout_of(calls.SUMMARIZE.path, None), 5)

    def test_evaluations_of_a_dict_find_their_files_from_anywhere(self):
        with contextlib.chdir(self.folder):
            pathlib.Path("adapter").mkdir()
            spec = specs.evaluation_spec({"data": {"path": "rows.jsonl"}, "arms": ["base", 3, "adapter", "org/name"], "judges": [{"model": "adapter"}]})
        self.assertEqual(spec["arms"], ["base", "3", str(self.folder / "adapter"), "org/name"])
        self.assertEqual((spec["data"]["path"], spec["judges"][0]["model"]), (str(self.folder / "rows.jsonl"), str(self.folder / "adapter")))

    def test_without_the_program_evaluations_say_so(self):
        with unittest.mock.patch.dict(os.environ, {"MELLOW": "/no/such/mellow"}), self.assertRaisesRegex(mellow.ProgramError, "/no/such/mellow"):
            commands.find_program(None)

    def test_the_terminal_bar_is_one_line(self):
        with contextlib.redirect_stderr(io.StringIO()) as out:
            bar = progress.TerminalBar()
            bar.show(1, 4, "toxicity 0.5\x1b[2J")
            bar.show(2, 4, "")
            bar.close()
            self.assertIsInstance(progress.make(None), progress.Silence)
        self.assertIn("1/4  toxicity 0.5[2J", out.getvalue())
        self.assertIn("2/4  ", out.getvalue())
        self.assertEqual(out.getvalue().count("\n"), 1)

    def test_steps_go_to_mlflow_and_what_is_missing_is_named(self):
        logged = []
        fake = types.SimpleNamespace(
            active_run=lambda: None, start_run=lambda run_name: logged.append(run_name), end_run=lambda: logged.append("end"),
            log_metrics=lambda metrics, step: logged.append((step, metrics["objective_kl"], metrics["ppo/loss/total"], metrics["phase_seconds/train"])))
        steps = [mellow.Step(1, mellow.Adapter(1), 0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 20.0, 100.0, {"ppo/loss/total": 2.0}, {"train": 0.7})]
        with unittest.mock.patch.dict(sys.modules, {"mlflow": fake}):
            self.assertEqual(mellow.to_mlflow(steps, "mine"), 1)
        self.assertEqual(logged, ["mine", (1, 0.5, 2.0, 0.7), "end"])
        for module, call in (("mlflow", lambda: mellow.to_mlflow(steps)), ("tensorboard.compat.proto.event_pb2", lambda: mellow.to_tensorboard(steps, self.folder)),
                             ("pandas", mellow.Records(steps).frame)):
            with unittest.mock.patch.dict(sys.modules, {module: None}), self.assertRaisesRegex(mellow.MissingPackage, f"pip install {module.split('.')[0]}"):
                call()

    def test_mypy_is_content(self):
        result = subprocess.run([sys.executable, "-m", "mypy", "--strict", "-p", "mellow"], cwd=self.folder, capture_output=True, text=True, timeout=600)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_stubs_of_the_users_own_live_beside_ours(self):
        result = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", "-I", harness.SOURCE / "proto", f"--python_out={self.folder}", f"--grpc_python_out={self.folder}",
             "mellow/common/v1/common.proto", "mellow/policy/v1/policy.proto"], capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        # Theirs may be of another version of the protos.
        theirs = self.folder / "mellow/policy/v1/policy_pb2.py"
        theirs.write_text(theirs.read_text().replace("max_new_tokens", "may_new_tokens"))
        code = ("import mellow._proto.policy_pb2 as ours; import mellow.policy.v1.policy_pb2 as theirs; from mellow.policy.v1 import policy_pb2_grpc; "
                "print(ours.SummarizeRequest(max_new_tokens=7).SerializeToString() == theirs.SummarizeRequest(may_new_tokens=7).SerializeToString())")
        for line in (code, "import mellow.policy.v1.policy_pb2; " + code):
            result = subprocess.run([sys.executable, "-c", line], env={**os.environ, "PYTHONPATH": str(self.folder)}, capture_output=True, text=True, timeout=120)
            self.assertEqual(result.stdout.strip(), "True", result.stderr)


class TransportTest(unittest.TestCase):
    """Answers that a healthy cluster does not give."""

    def test_a_full_queue_is_asked_again(self):
        asked = []

        def answer(request, context):
            asked.append(request.dialogue)
            if len(asked) < 3:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED if len(asked) == 1 else grpc.StatusCode.UNAVAILABLE, "full")
            return policy_pb2.SummarizeResponse(summary="short")

        with FakeService("Summarize", answer) as service, mellow.Mellow.connect(policy=service.address) as client:
            self.assertEqual(str(client.summarize(DIALOGUE)), "short")
        self.assertEqual(len(asked), 3)

    def test_every_status_code_is_a_class(self):
        def answer(request, context):
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "1500"),) if request.dialogue == "RESOURCE_EXHAUSTED" else ())
            context.abort(grpc.StatusCode[request.dialogue], f"the message of {request.dialogue}")

        with FakeService("Summarize", answer) as service, mellow.Mellow.connect(policy=service.address, timeout=20) as client:
            for code in grpc.StatusCode:
                if code is grpc.StatusCode.OK:
                    continue
                # No pause of five tries for those two.
                timeout = 1 if code is grpc.StatusCode.RESOURCE_EXHAUSTED else None
                with self.assertRaises(mellow.RpcError) as caught:
                    client.summarize(code.name, timeout=timeout)
                expected = "DeadlineExceeded" if timeout else "".join(word.capitalize() for word in code.name.split("_"))
                self.assertEqual(type(caught.exception).__name__, expected)
                if not timeout:
                    self.assertEqual(caught.exception.message, f"the message of {code.name}")
                    self.assertIn(service.address, str(caught.exception))

    def test_a_stream_without_its_rpc_is_unimplemented(self):
        def answer(request, context):
            return policy_pb2.SummarizeResponse(summary="whole")

        with FakeService("Summarize", answer) as service, mellow.Mellow.connect(policy=service.address) as client:
            with self.assertRaises(mellow.Unimplemented):
                list(client.stream(DIALOGUE))

    def test_pieces_come_as_they_are_sent(self):
        response = policy_pb2.SummarizeStreamResponse

        def answer(request, context):
            for piece in ("a ", "", "b"):
                yield response(text=piece)
            yield response(result=policy_pb2.SummarizeResponse(summary="a b"))

        async def collect(address):
            async with mellow.AsyncMellow.connect(policy=address) as client:
                return [piece async for piece in client.stream(DIALOGUE)]

        with FakeService("SummarizeStream", answer, stream=True) as service, mellow.Mellow.connect(policy=service.address) as client:
            self.assertEqual(list(client.stream(DIALOGUE)), ["a ", "b"])
            self.assertEqual(asyncio.run(collect(service.address)), ["a ", "b"])


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(harness.cluster("--policies", "2"))
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="mellow-python.")))
        cls.client = cls.enterClassContext(mellow.Mellow.connect(cls.cluster.folder, program=harness.MELLOW))

    def test_users_calls(self):
        one = self.client.summarize(DIALOGUE, adapter="base")
        self.assertTrue(one.text)
        self.assertEqual((str(one), one.adapter, one.truncated), (one.text, mellow.Adapter(0), False))
        short, same = self.client.summarize([DIALOGUE, DIALOGUE], adapter=0, max_new_tokens=5)
        self.assertEqual((short, short.summary_tokens), (same, 5))
        self.assertEqual(self.client.summarize([]), [])
        with self.assertRaises(mellow.NotFound):
            self.client.summarize(DIALOGUE, adapter=10**6)
        with self.assertRaisesRegex(ValueError, "adapter 'best'"):
            self.client.summarize(DIALOGUE, adapter="best")
        with self.assertRaisesRegex(mellow.InvalidArgument, "dialogue: is empty"):
            self.client.summarize("")
        with self.assertRaises(mellow.DeadlineExceeded):
            self.client.summarize(DIALOGUE, timeout=1e-4)

        rude = self.client.score("You are an idiot.")
        self.assertEqual((rude.label, round(sum(rude.probabilities.values()), 5), rude.probabilities["hate"]), ("hate", 1, rude.toxicity))
        many = self.client.score(["You are kind.", "You are an idiot."] * 20)
        self.assertEqual((len(many), many[39].label), (40, "hate"))
        self.assertLess(many[38].toxicity, 0.5)
        pair, alone = self.client.score([("You are kind.", "You are an idiot."), "You are an idiot."])
        self.assertNotEqual(pair.toxicity, alone.toxicity)
        self.assertAlmostEqual(alone.toxicity, rude.toxicity, places=5)
        self.assertEqual(self.client.score(("You are kind.", "You are an idiot.")), pair)
        self.assertEqual(list(many.frame().columns), ["toxicity", "label", "logits/nothate", "logits/hate", "probabilities/nothate", "probabilities/hate", "truncated"])
        self.assertIn("<td", many._repr_html_())

    def test_streams(self):
        text = self.client.summarize(DIALOGUE, adapter="base").text
        # Words that come faster than they are read come together; on a busy machine all of them may.
        for _ in range(20):
            pieces = list(self.client.stream(DIALOGUE, adapter="base"))
            self.assertEqual("".join(pieces), text)
            if len(pieces) > 1:
                return
        self.fail("no stream came in pieces")

    def test_with_asyncio(self):
        async def use():
            async with mellow.AsyncMellow.connect(self.cluster.folder) as client:
                with self.assertRaisesRegex(mellow.InvalidArgument, "dialogue: is empty"):
                    await client.summarize([DIALOGUE, ""])
                return await asyncio.gather(client.summarize([DIALOGUE] * 20, adapter="base"), client.score("You are an idiot."))
        summaries, score = asyncio.run(use())
        self.assertEqual(summaries, [self.client.summarize(DIALOGUE, adapter="base")] * 20)
        self.assertEqual(score, self.client.score("You are an idiot."))

    def test_a_run_from_start_to_promotion(self):
        request_id = os.urandom(8).hex()
        training = self.client.train(MINI_RUN, OVERRIDES, request_id=request_id)
        again = self.client.train(MINI_RUN, OVERRIDES, request_id=request_id)
        self.assertEqual(training.run_id, again.run_id, "one request, one run")
        with self.assertRaises(mellow.FailedPrecondition):
            self.client.train(MINI_RUN, OVERRIDES)

        numbers = []
        for step in training:
            if step.step == 2:
                pid = self.cluster.kill("orchestrator")
                self.cluster.wait_restarted("orchestrator", pid)
            numbers.append(step.step)
        self.assertEqual(numbers, [1, 2, 3, 4, 5], "each step once, over the death of the orchestrator")
        run = training.wait()
        self.assertEqual((run.state, run.committed_steps, run.spec["data"]["path"]), ("DONE", 5, str(MINI_RUN.parent / "mini/train.jsonl")))
        self.assertEqual((training.steps, run.adapter), (again.wait() and again.steps, training.steps[-1].adapter))
        self.assertEqual(self.client.steps(run.run_id), training.steps)
        self.assertEqual([step.step for step in self.client.watch(run.run_id, after_step=3)], [4, 5])
        listed = self.client.runs()[0]
        self.assertEqual((listed.run_id, listed.method), (run.run_id, "ppo"))
        self.assertGreater(listed.created.year, 2020)
        self.assertIn((run.run_id, listed.committed_steps), [(kept.run_id, kept.step) for kept in self.client.adapters() if kept.has_files])
        frame = training.frame()
        self.assertEqual((list(frame["step"]), list(frame["ppo/loss/policy"])), (numbers, [step.stats["ppo/loss/policy"] for step in training.steps]))
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="newest").adapter, run.adapter)

        self.assertEqual(mellow.to_tensorboard(training, self.folder / "events"), 5)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        events = EventAccumulator(str(self.folder / "events"))
        events.Reload()
        self.assertEqual([event.step for event in events.Scalars("objective/kl")], numbers)
        self.assertAlmostEqual(events.Scalars("toxicity_mean")[-1].value, training.steps[-1].toxicity_mean, places=5)

        with contextlib.redirect_stderr(io.StringIO()) as err:
            few = {"data.limit": 6, "arms": ["base", run.adapter.version], "statistics.resamples": 100, "statistics.permutations": 100}
            evaluation = self.client.evaluate(harness.SOURCE / "deploy/runs/mini-eval.json", self.folder / "evaluation", few, require_drop=0.99)
            self.assertIn("6/6", err.getvalue())
            self.assertFalse(evaluation.demands_met)
            self.assertEqual((len(evaluation.data["rows"]), evaluation.arms[0]), (6, "base"))
            self.assertIn("toxicity, summary (reward)", list(evaluation.frame()["measure"]))
            with self.assertRaisesRegex(mellow.ProgramError, "no-such-file"):
                self.client.evaluate(self.folder / "no-such-file.json", self.folder / "nothing")

            with self.assertRaises(mellow.GateFailed) as refused:
                self.client.promote(run, evaluation)
            self.assertIn("statistics", [gate.name for gate in refused.exception.gates if not gate.passed], "six prompts are too few")
            with self.assertRaisesRegex(mellow.GateFailed, "none was given"):
                self.client.promote(run)
            report = self.client.report(evaluation, self.folder / "report")
            self.assertIn("<!doctype html>", report.html)
            self.assertIn("srcdoc=", report._repr_html_())
        promotion = self.client.promote(run, force=True, reason="for the test")
        self.assertEqual((promotion.champion, promotion.forced, promotion.reason), (run.adapter, True, "for the test"))
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="champion").adapter, run.adapter)
        self.assertEqual(self.client.roll_back("enough").champion, mellow.Adapter(0))
        self.assertEqual([event.action for event in self.client.promotions()], ["PROMOTE", "ROLL_BACK"])
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="champion").adapter, mellow.Adapter(0))

        stopped = self.client.train(json.loads(MINI_RUN.read_text()) | {"data": {"path": str(MINI_RUN.parent / "mini/train.jsonl")}}, {**OVERRIDES, "steps": 1000})
        next(stopped)
        stopped.stop()
        with self.assertRaisesRegex(mellow.RunFailed, "was stopped after step") as ended:
            stopped.wait()
        self.assertEqual(ended.exception.run.state, "STOPPED")

    def test_supervised_fine_tuning(self):
        training = self.client.sft(harness.SOURCE / "deploy/runs/mini-sft.json", {"epochs": None, "max_steps": 4, "eval_every": 2}, progress=False)
        numbers = []
        for step in training:
            if step.step == 2:
                pid = self.cluster.kill("orchestrator")
                self.cluster.wait_restarted("orchestrator", pid)
            numbers.append(step.step)
        self.assertEqual(numbers, [0, 1, 2, 3, 4], "step 0 is the dev loss before the first")
        run = training.wait()
        self.assertEqual((run.method, run.state, run.committed_steps, run.score_mean), ("sft", "DONE", 4, None))
        self.assertEqual(run.loss, training.steps[-1].sft.loss)
        dev = [step.sft.dev_loss for step in training.steps]
        self.assertEqual([loss is None for loss in dev], [False, True, False, True, False])
        self.assertLess(dev[-1], dev[0])
        frame = training.frame()
        self.assertEqual((list(frame["step"]), list(frame["tokens"])), (numbers, [step.sft.tokens for step in training.steps]))
        self.assertEqual({"step", "adapter", "seconds", "epoch", "loss", "learning_rate", "gradient_norm", "tokens", "dev_loss"}, set(frame.columns))
        self.assertIn("dev_loss", training.steps._repr_html_())
        self.assertEqual(self.client.steps(run.run_id), training.steps)
        self.assertEqual(mellow.to_tensorboard(training, self.folder / "sft-events"), 5)
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="newest").adapter, run.adapter)

    def test_the_program_reaches_what_addresses_name(self):
        services = self.cluster.services()
        addresses = {"policy": [services["policy-0"]["address"], services["policy-1"]["address"]], "reward": services["reward-0"]["address"],
                     "orchestrator": services["orchestrator"]["address"]}
        few = {"data": {"path": str(harness.HELDOUT), "limit": 4}, "arms": ["base"], "statistics": {"resamples": 100, "permutations": 100}}
        with contextlib.redirect_stderr(io.StringIO()):
            with mellow.Mellow.connect(**addresses, program=harness.MELLOW) as client:
                self.assertTrue(client.summarize([DIALOGUE] * 4, adapter="base"))
                evaluation = client.evaluate(few, self.folder / "by-address")
                self.assertEqual(evaluation.data["config"]["name"], "evaluation")
                without = client.report(evaluation, self.folder / "report-without")
            with mellow.Mellow.connect(**addresses, learner=services["learner"]["address"], program=harness.MELLOW) as client:
                whole = client.report(evaluation, self.folder / "report-with")
        self.assertIn("<!doctype html>", without.html)
        self.assertGreater(whole.html.count("<mark"), without.html.count("<mark"), "the cluster's reward model marks words")

    def test_the_lines_of_the_readme_run(self):
        (block,) = re.findall(r"^```python\n(.*?)^```", (PACKAGE.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        for printed, here in (('".mellow"', repr(str(self.cluster.folder))), ('{"steps": 50}', repr({**OVERRIDES, "steps": 2})),
                              ('"evaluation")', repr(str(self.folder / "of-the-readme")) + ', {"data.limit": 8})')):
            self.assertIn(printed, block)
            block = block.replace(printed, here)
        with unittest.mock.patch.dict(os.environ, {"MELLOW": harness.MELLOW}), contextlib.chdir(harness.SOURCE):
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
                # Two steps and eight prompts pass no gate.
                with self.assertRaisesRegex(mellow.GateFailed, "statistics: 8 pairs"):
                    exec(compile(block, "README.md", "exec"), {})
        self.assertRegex(out.getvalue(), r"(?m)^1 0\.\d+ .*\n2 0\.\d+")

    def test_the_notebook_runs(self):
        import nbclient
        import nbformat
        notebook = nbformat.read(NOTEBOOK, 4)
        self.assertEqual([cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs], [], "committed without outputs")
        settings = {"MELLOW_DIR": str(self.cluster.folder), "MELLOW": harness.MELLOW, "MELLOW_STEPS": "2", "MELLOW_PROMPTS": "8"}
        with unittest.mock.patch.dict(os.environ, settings):
            nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(PACKAGE)}}).execute()
        shown = json.dumps([cell.get("outputs") for cell in notebook.cells])
        for part in ("toxicity before: mean", "2/2 toxicity", "toxicity after: mean", "not promoted: statistics: 8 pairs", "srcdoc="):
            self.assertIn(part, shown)


class SecureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = SecureCluster()
        try:
            cls.cluster.start_all()
        except BaseException:
            cls.cluster.stop(failed=True)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop(failed=False)

    def connect(self, role, **options):
        return self.enterContext(mellow.Mellow.connect(self.cluster.folder, tls=mellow.Tls.folder(self.cluster.certs, role), program=harness.MELLOW, **options))

    def test_roles_by_certificate(self):
        user = self.connect("user")
        self.assertTrue(user.summarize(DIALOGUE, adapter="base").text)
        self.assertTrue("".join(user.stream(DIALOGUE, adapter="base")))
        self.assertEqual(user.score("You are an idiot.").label, "hate")
        with self.assertRaisesRegex(mellow.PermissionDenied, "role user"):
            user.runs()
        with self.assertRaises(mellow.PermissionDenied):
            user.train(MINI_RUN, OVERRIDES)

    def test_operators_train_and_evaluate(self):
        operator = self.connect("operator")
        self.assertEqual([step.step for step in operator.train(MINI_RUN, {**OVERRIDES, "steps": 2})], [1, 2])
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stderr(io.StringIO()):
            file = json.loads((harness.SOURCE / "deploy/runs/mini-eval.json").read_text())
            file["data"] = {"path": str(harness.HELDOUT), "limit": 4}
            evaluation = operator.evaluate(file, pathlib.Path(out) / "evaluation", {"statistics.resamples": 100, "statistics.permutations": 100})
        self.assertTrue(evaluation.demands_met)
        self.assertEqual(evaluation.arms, ["base", "newest"])

    def test_several_addresses_with_one_certificate(self):
        policy = self.cluster.address("policy")
        with mellow.Mellow.connect(policy=[policy, policy], tls=mellow.Tls.folder(self.cluster.certs)) as client:
            self.assertTrue(client.summarize(DIALOGUE).text)

    def test_tokens(self):
        authorities = mellow.Tls(self.cluster.certs / "ca.pem")
        policy = self.cluster.address("policy")
        with mellow.Mellow.connect(policy=policy, tls=authorities, token=TOKENS["user"]) as client:
            self.assertTrue(client.summarize(DIALOGUE).text)
        for token in ("token-that-nobody-has", None):
            with mellow.Mellow.connect(policy=policy, tls=authorities, token=token) as client, self.assertRaises(mellow.Unauthenticated):
                client.summarize(DIALOGUE)

        async def use():
            async with mellow.AsyncMellow.connect(policy=policy, tls=authorities, token=TOKENS["user"]) as client:
                return await client.summarize(DIALOGUE)
        self.assertTrue(asyncio.run(use()).text)


def outside():
    """Makes the environment, runs this file in it, and returns the exit code."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-python."))
    try:
        python = folder / "venv/bin/python"
        made = subprocess.run([sys.executable, "-m", "venv", folder / "venv"], capture_output=True, text=True, timeout=300)
        if made.returncode != 0:
            print(f"skipped: Python makes no virtual environment: {made.stdout[-300:]}")
            return 77
        required = re.search(r"^requires = \[(.*)\]", (PACKAGE / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        for command in ([*pip, "download", "-q", "--no-deps", "-d", folder / "wheels", *re.findall(r'"([^"]+)"', required)], [*pip, "install", "-q", *TOOLS]):
            reached = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if reached.returncode != 0:
                print(f"skipped: pip cannot get what the Python client needs: {reached.stderr[-300:]}")
                return 77
        version = re.search(r'^version = "(.*)"', (PACKAGE / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        for command in ([python, "-m", "build", "--sdist", "--outdir", folder, PACKAGE], [*pip, "install", "-q", folder / f"mellow-{version}.tar.gz"]):
            built = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if built.returncode != 0:
                print(f"{command}: {built.stdout[-2000:]}\n{built.stderr[-2000:]}")
                return 1
        environment = {**os.environ, "MELLOW_PYTHON_CLIENT": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "jupyter")}
        return subprocess.run([python, "-B", __file__, *sys.argv[1:]], env=environment).returncode
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if "MELLOW_PYTHON_CLIENT" not in os.environ:
        sys.exit(outside())
    harness.main()
