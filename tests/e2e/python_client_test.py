#!/usr/bin/env python3
"""deploy/clients/python: the package as pip installs it from its sdist, against clusters with and without TLS, and its notebook.

Skipped where pip reaches no registry. The tests run in a virtual environment of their own: this file makes it and then runs itself in there.
"""
import asyncio
import concurrent.futures
import contextlib
import inspect
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
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
TOOLS = ["alembic", "build", "grpcio-tools", "ipykernel", "mlflow-skinny", "mypy==2.4.1", "nbclient", "pandas", "sqlalchemy", "tensorboard",
         "types-grpcio==1.85.0.20261028", "types-protobuf==7.35.1.20260906"]

try:
    import grpc

    import mellow
    from mellow import calls, commands, connection, names, progress, records, specs
    from mellow._proto import orchestrator_pb2, policy_pb2
except ImportError:
    pass  # outside of the environment


class FakeService:
    """A server in this process with a few methods of a service: each answers what its function returns (of a stream: yields), or aborts."""

    def __init__(self, messages, **answers):
        handlers = {}
        for method, answer in answers.items():
            kind = grpc.unary_stream_rpc_method_handler if inspect.isgeneratorfunction(answer) else grpc.unary_unary_rpc_method_handler
            kind = grpc.stream_unary_rpc_method_handler if method == "PromoteAdapter" else kind
            request = getattr(messages, method.removesuffix("Stream") + "Request")
            handlers[method] = kind(answer, request.FromString, lambda message: message.SerializeToString())
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        service = calls.POLICY if messages is policy_pb2 else calls.ORCHESTRATOR
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()


RUNS = (("run-20240103-000000-aaaa0001", "mini", "FAILED", 0), ("run-20240102-000000-bbbb0001", "mini", "STOPPED", 5),
        ("run-20240102-000000-bbbb0002", "other", "RUNNING", 2))


def run_message(run_id, name, state, committed, total=5):
    run = orchestrator_pb2.Run(run_id=run_id, state=f"RUN_STATE_{state}", committed_steps=committed, total_steps=total, spec={"name": name})
    if committed:
        run.last_step.step = committed
    return run


def kept_messages():
    """Of the stopped run."""
    return [orchestrator_pb2.KeptAdapter(adapter={"version": step + 10, "sha256": f"{step}"}, run_id=RUNS[1][0], step=step, has_files=step != 5,
                                         learner_path=f"/learner/{step}" if step else "") for step in (0, 1, 2, 3, 5)]


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

    def test_supervised_settings_have_a_name_as_their_run_has(self):
        spec = specs.run_spec(self.write("mine.json", {"sft": {"max_steps": 3}}), {})
        self.assertEqual((spec.name, spec.sft.name), ("mine", "mine"))

    def test_a_start_brings_its_own_shape(self):
        ppo = specs.run_spec({"start_adapter": "/old", "ppo": {"lora": {"r": 4}, "seed": 3}}, {})
        specs.start_from(ppo, "/new")
        self.assertEqual((ppo.start_adapter, ppo.ppo.HasField("lora"), ppo.ppo.seed), ("/new", False, 3))
        bare = specs.run_spec({"steps": 1}, {})
        specs.start_from(bare, "/new")
        self.assertEqual((bare.start_adapter, bare.WhichOneof("method")), ("/new", None))
        supervised = specs.run_spec({"max_steps": 1, "lora": {"r": 4}}, {}, "sft")
        specs.start_from(supervised, "/new")
        self.assertEqual((supervised.sft.start_adapter, supervised.sft.HasField("lora"), supervised.start_adapter), ("/new", False, ""))

    def test_runs_have_the_names_that_the_program_takes(self):
        runs = [records.Run.of(run_message(*run)) for run in RUNS]

        def found(name, *prefer):
            return names.find_run(runs, name, *prefer).run_id

        for name, index in (("newest", 0), (RUNS[1][0], 1), ("run-20240103", 0), ("other", 2)):
            self.assertEqual(found(name), RUNS[index][0])
        self.assertEqual((found("newest", lambda run: run.running), found("newest", lambda run: False)), (RUNS[2][0], RUNS[0][0]))
        for name in ("run-20240102", "mini"):
            with self.assertRaisesRegex(mellow.InvalidArgument, rf"^RUN {name}: may be run-.*, run-.*\(\w+\); give more of the id$"):
                found(name)
        with self.assertRaisesRegex(mellow.NotFound, r"^RUN x: no such run; there are run-20240103-000000-aaaa0001 \(mini\), run-"):
            found("x")
        with self.assertRaisesRegex(mellow.NotFound, "^there is no run yet$"):
            names.find_run([], "newest")
        with self.assertRaisesRegex(mellow.NotFound, r"r7 \(mini\) and 4 more$"):
            names.find_run([records.Run.of(run_message(f"r{index}", "mini", "DONE", 0)) for index in range(12)], "x")

    def test_steps_have_the_names_that_the_program_takes(self):
        self.assertEqual([names.step_name(name) for name in ("newest@40", "a@b@2", "@1", "a@", "a@-1", "org/name@1", "a@99999999999", "40")],
                         [("newest", 40), ("a@b", 2), None, None, None, None, None, None])
        runs = [records.Run.of(run_message(*run)) for run in RUNS]
        adapters = [records.KeptAdapter.of(adapter) for adapter in kept_messages()]
        self.assertEqual(names.find_kept(runs, adapters, "newest", 2).adapter.version, 12, "a run without a step is not what is meant")
        for name, step, words in ((RUNS[1][0], 5, f"{RUNS[1][0]}@5 is not kept; kept are steps 0 to 3 of {RUNS[1][0]}"),
                                  ("newest", 9, f"newest@9: no such step is committed; kept are steps 0 to 3 of {RUNS[1][0]}"),
                                  ("other", 1, f"other@1 is not kept; kept are none of {RUNS[2][0]}"), ("x", 1, "x@1: RUN x: no such run; there are ")):
            with self.assertRaises(mellow.NotFound) as refused:
                names.find_kept(runs, adapters, name, step)
            self.assertTrue(str(refused.exception).startswith(words), refused.exception)
        supervised = run_message(*RUNS[1])
        supervised.spec.sft.max_steps = 5
        with self.assertRaisesRegex(mellow.InvalidArgument, "newest@1: a supervised run keeps no adapters of its steps; its result is not there yet"):
            names.find_kept([records.Run.of(supervised)], adapters, "newest", 1)

    def test_wrong_files_are_told_by_file_and_field(self):
        for run, overrides, parts in (
                (self.folder / "none.json", {}, ["none.json", "No such file"]),
                (self.write("text.json", "{"), {}, ["text.json", "not JSON"]),
                (self.write("list.json", []), {}, ["list.json", "not a JSON object"]),
                (self.write("word.json", {"stepz": 1}), {}, ["word.json", "stepz"]),
                ({"steps": "many"}, {}, ["steps"]),
                ({"steps": 1}, {"ppo.batch": 1}, ["overrides", "batch"]),
                (self.write("near.json", {"steps": 1, "data": {"pathh": "x"}}), {}, ['near.json: data.pathh: no such field (did you mean "path"?)']),
                ({"steps": 1}, {"ppo.lerning_rate": 3}, ['overrides: ppo.lerning_rate: no such field (did you mean "learning_rate"?)']),
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
            pathlib.Path("mini@2").mkdir()
            arms = ["base", 3, "adapter", "org/name", "mini@2"]
            spec = specs.evaluation_spec({"data": {"path": "rows.jsonl"}, "arms": arms, "judges": [{"model": "adapter"}]})
        self.assertEqual(spec["arms"], ["base", "3", str(self.folder / "adapter"), "org/name", "mini@2"])
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
        for columns in (80, 40):
            with contextlib.redirect_stderr(io.StringIO()) as out, unittest.mock.patch.dict(os.environ, {"COLUMNS": str(columns)}):
                progress.TerminalBar().show(1, 4, "toxicity 0.5  " * 20)
            self.assertEqual(len(out.getvalue().removeprefix("\r\x1b[K")), columns - 1, "a longer line would not be overwritten")

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

    def test_step_0_of_a_supervised_run_has_a_dev_loss_and_nothing_else(self):
        first, second = (records.Step.of(orchestrator_pb2.Step(step=number, seconds=0.5, sft=sft)) for number, sft in
                         ((0, {"dev_loss": 3.0}), (1, {"loss": 2.0, "tokens": 7, "learning_rate": 0.1, "gradient_norm": 4.0, "epoch": 0.5})))
        self.assertEqual(first.scalars(), {"dev_loss": 3.0})
        self.assertEqual(second.scalars(), {"seconds": 0.5, "loss": 2.0, "tokens": 7.0, "learning_rate": 0.1, "gradient_norm": 4.0, "epoch": 0.5})

    def program(self, lines):
        file = self.write("mellow", "#!/bin/sh\n" + lines)
        file.chmod(0o755)
        return mellow.Mellow.connect(policy="127.0.0.1:1", program=file), file

    def test_the_best_step_of_a_run_is_what_the_program_says(self):
        out = self.folder / "out"
        client, _ = self.program(f"""echo "$@" > {self.folder}/arguments
mkdir -p {out}; echo '{{"arms": []}}' > {out}/evaluation.json
echo '{{"steps": [{{"adapter": "run-1@2", "holds": false}}], "best": null}}'
exit 3
""")
        evaluation = client.evaluate("eval.json", out, steps_of="newest", every=2)
        self.assertEqual((evaluation.best, evaluation.demands_met, evaluation.steps[0]["adapter"]), (None, False, "run-1@2"))
        self.assertIn("--steps-of newest --every 2", (self.folder / "arguments").read_text())
        self.assertIsNone(client.evaluate("eval.json", out).best)
        self.assertNotIn("--steps-of", (self.folder / "arguments").read_text())

    def test_a_program_is_interrupted_with_its_task(self):
        _, program = self.program(f"""trap 'echo > {self.folder}/interrupted; exit 130' INT
echo > {self.folder}/begun
while :; do sleep 0.05; done
""")

        async def use():
            async with mellow.AsyncMellow.connect(policy="127.0.0.1:1", program=program) as client:
                task = asyncio.ensure_future(client.evaluate("eval.json", self.folder / "out"))
                await asyncio.to_thread(harness.wait_until, (self.folder / "begun").exists, "the program runs")
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
        asyncio.run(use())
        self.assertTrue((self.folder / "interrupted").exists(), "the event loop has waited for its threads")

    def test_what_has_no_version_is_not_taken_for_the_base_model(self):
        supervised = run_message(*RUNS[1])
        supervised.spec.sft.max_steps = 5
        client = mellow.Mellow.connect(policy="127.0.0.1:1", program="/no/such/mellow")
        with self.assertRaisesRegex(mellow.FailedPrecondition, "has no adapter yet"):
            client.promote(records.Run.of(supervised), force=True)
        supervised.adapter_path = "/learner/result"
        with self.assertRaisesRegex(mellow.GateFailed, "^/learner/result is not promoted: the gates need an evaluation of it .* none was given"):
            client.promote(records.Run.of(supervised))
        with self.assertRaises(mellow.ProgramError):
            client.promote(records.Run.of(supervised), force=True)

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

        with FakeService(policy_pb2, Summarize=answer) as service, mellow.Mellow.connect(policy=service.address) as client:
            self.assertEqual(str(client.summarize(DIALOGUE)), "short")
        self.assertEqual(len(asked), 3)

    def test_every_status_code_is_a_class(self):
        def answer(request, context):
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "1500"),) if request.dialogue == "RESOURCE_EXHAUSTED" else ())
            context.abort(grpc.StatusCode[request.dialogue], f"the message of {request.dialogue}")

        with FakeService(policy_pb2, Summarize=answer) as service, mellow.Mellow.connect(policy=service.address, timeout=20) as client:
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

        with FakeService(policy_pb2, Summarize=answer) as service, mellow.Mellow.connect(policy=service.address) as client:
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

        with FakeService(policy_pb2, SummarizeStream=answer) as service, mellow.Mellow.connect(policy=service.address) as client:
            self.assertEqual(list(client.stream(DIALOGUE)), ["a ", "b"])
            self.assertEqual(asyncio.run(collect(service.address)), ["a ", "b"])


    def test_only_the_newest_adapter_is_asked_for(self):
        asked = []

        def answer(request, context):
            asked.append(request.adapter_version if request.HasField("adapter_version") else None)
            return policy_pb2.SummarizeResponse(summary="short")

        def listed(request, context):
            asked.append("list")
            return policy_pb2.ListAdaptersResponse(adapters=[{"version": 0}, {"version": 7}], champion={"version": 3})

        words = (None, "champion", "base", 3, "4", "newest")
        expected = [None, None, 0, 3, 4, "list", 7]
        with FakeService(policy_pb2, Summarize=answer, ListAdapters=listed) as service:
            with mellow.Mellow.connect(policy=service.address) as client:
                for word in words:
                    client.summarize(DIALOGUE, adapter=word)
                self.assertEqual(asked, expected)
                with self.assertRaisesRegex(mellow.InvalidArgument, "^adapter best: base, newest, champion, a version or RUN@STEP is needed$"):
                    client.summarize(DIALOGUE, adapter="best")

            async def use():
                async with mellow.AsyncMellow.connect(policy=service.address) as client:
                    for word in words:
                        await client.summarize(DIALOGUE, adapter=word)
            asked.clear()
            asyncio.run(use())
            self.assertEqual(asked, expected)

    def test_the_adapter_of_a_step_is_loaded_where_it_is_not_there(self):
        loaded = []

        def missing(version, context):
            if version not in loaded:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no adapter version {version}")

        def whole(request, context):
            missing(request.adapter_version, context)
            return policy_pb2.SummarizeResponse(summary="short", adapter={"version": request.adapter_version})

        def pieces(request, context):
            missing(request.adapter_version, context)
            yield policy_pb2.SummarizeStreamResponse(text="a ")
            yield policy_pb2.SummarizeStreamResponse(text="b")

        def load(request, context):
            if request.version > 13:
                context.abort(grpc.StatusCode.NOT_FOUND, "not kept")
            loaded.append(request.version)
            return orchestrator_pb2.LoadAdapterResponse()

        def runs(request, context):
            return orchestrator_pb2.ListRunsResponse(runs=[run_message(*run) for run in RUNS])

        def kept(request, context):
            return orchestrator_pb2.ListKeptAdaptersResponse(adapters=kept_messages())

        with FakeService(policy_pb2, Summarize=whole, SummarizeStream=pieces) as policy, \
                FakeService(orchestrator_pb2, ListRuns=runs, ListKeptAdapters=kept, LoadAdapter=load) as orchestrator:
            with mellow.Mellow.connect(policy=policy.address, orchestrator=orchestrator.address) as client:
                self.assertEqual([summary.adapter.version for summary in client.summarize([DIALOGUE] * 3, adapter="newest@2")], [12] * 3)
                self.assertEqual(list(client.stream(DIALOGUE, adapter=f"{RUNS[1][0]}@3")), ["a ", "b"])
                with self.assertRaisesRegex(mellow.NotFound, "no adapter version 99"):
                    client.summarize(DIALOGUE, adapter=99)

            async def use():
                async with mellow.AsyncMellow.connect(policy=policy.address, orchestrator=orchestrator.address) as client:
                    summary = await client.summarize(DIALOGUE, adapter="newest@1")
                    loaded.clear()
                    return summary.adapter.version, [piece async for piece in client.stream(DIALOGUE, adapter="newest@1")]
            self.assertEqual(asyncio.run(use()), (11, ["a ", "b"]))
            with mellow.Mellow.connect(policy=policy.address) as client, self.assertRaisesRegex(mellow.NotFound, "no adapter version 12"):
                client.summarize(DIALOGUE, adapter=12)


class FakeRuns:
    """An orchestrator in this process with RUNS, one of which goes on when it is told to."""

    def __init__(self):
        self.runs = [run_message(*run) for run in RUNS]
        self.running = self.runs[2]
        self.watching = threading.Event()
        self.started = []
        self.orders = []
        self.fails = []
        self._more = threading.Condition()

    def commit(self, steps, state="RUNNING"):
        with self._more:
            self.running.committed_steps = steps
            self.running.state = orchestrator_pb2.RunState.Value(f"RUN_STATE_{state}")
            self._more.notify_all()

    def service(self):
        def StartRun(request, context):
            self.started.append(request.spec)
            return orchestrator_pb2.StartRunResponse(run_id=self.running.run_id)

        def GetRun(request, context):
            return orchestrator_pb2.GetRunResponse(run=next(run for run in self.runs if run.run_id == request.run_id))

        def ListRuns(request, context):
            return orchestrator_pb2.ListRunsResponse(runs=self.runs)

        def ListKeptAdapters(request, context):
            return orchestrator_pb2.ListKeptAdaptersResponse(adapters=kept_messages())

        def PromoteAdapter(requests, context):
            self.orders += [request.order for request in requests]
            return orchestrator_pb2.PromoteAdapterResponse(event={"champion": self.orders[-1].adapter})

        def StopRun(request, context):
            self.commit(self.running.committed_steps, "STOPPED")
            return orchestrator_pb2.StopRunResponse(run=self.running)

        def ResumeRun(request, context):
            return orchestrator_pb2.ResumeRunResponse(run=next(run for run in self.runs if run.run_id == request.run_id))

        def WatchRun(request, context):
            context.add_callback(self.notify)
            if self.fails:
                context.abort(self.fails.pop(), "an error of the watch")
            run = next(run for run in self.runs if run.run_id == request.run_id)
            seen = request.after_step
            while context.is_active():
                with self._more:
                    while seen < run.committed_steps:
                        seen = max(seen + 1, 0 if run.spec.HasField("sft") else 1)
                        yield orchestrator_pb2.WatchRunResponse(step={"step": seen, "seconds": 2.0, "score_mean": seen / 10})
                    if run is not self.running or run.state != orchestrator_pb2.RUN_STATE_RUNNING:
                        yield orchestrator_pb2.WatchRunResponse(ended=run)
                        return
                    self.watching.set()
                    self._more.wait(10)

        methods = (StartRun, GetRun, ListRuns, ListKeptAdapters, PromoteAdapter, StopRun, ResumeRun, WatchRun)
        return FakeService(orchestrator_pb2, **{method.__name__: method for method in methods})

    def notify(self):
        with self._more:
            self._more.notify_all()


class RunsTest(unittest.TestCase):
    """Following runs, against an orchestrator that does what a test needs."""

    def setUp(self):
        self.fake = FakeRuns()
        self.service = self.enterContext(self.fake.service())

    def connect(self):
        return self.enterContext(mellow.Mellow.connect(orchestrator=self.service.address))

    def test_runs_are_found_by_name(self):
        client = self.connect()
        self.assertEqual(client.watch().run_id, RUNS[2][0], "the newest that is running")
        self.assertEqual(client.watch("run-20240103").run_id, RUNS[0][0])
        self.assertEqual(client.resume().run_id, RUNS[0][0], "the newest that was stopped or failed")
        with self.assertRaisesRegex(mellow.RunFailed, "was stopped after step 5 of 5") as ended:
            client.steps("run-20240102-000000-bbbb0001")
        self.assertEqual(ended.exception.run.run_id, RUNS[1][0])
        with self.assertRaisesRegex(mellow.InvalidArgument, "RUN mini: may be"):
            client.watch("mini")
        stopped = client.stop("other")
        self.assertEqual((stopped.run_id, stopped.state), (RUNS[2][0], "STOPPED"))

    def test_a_run_starts_from_a_step_or_a_folder(self):
        client = self.connect()
        run = {"steps": 5, "ppo": {"lora": {"r": 4}}}
        client.train(run, start="newest@2")
        client.train(run, start=pathlib.Path("some/folder"))
        client.sft({"max_steps": 1}, start="newest@3")
        first, second, third = self.fake.started
        self.assertEqual((first.start_adapter, first.ppo.HasField("lora")), ("/learner/2", False))
        self.assertEqual(second.start_adapter, str(pathlib.Path("some/folder").resolve()))
        self.assertEqual(third.sft.start_adapter, "/learner/3")
        with self.assertRaisesRegex(mellow.FailedPrecondition, "start newest@0: is what that run started from; start from the same"):
            client.train(run, start="newest@0")

    def test_without_gates_a_promotion_needs_no_program(self):
        client = self.enterContext(mellow.Mellow.connect(orchestrator=self.service.address, program="/no/such/mellow"))
        for adapter, force in (("base", False), (0, False), ("newest", True)):
            client.promote(adapter, force=force, reason="why")
        base, zero, newest = self.fake.orders
        self.assertEqual([(order.base, order.evidence.forced, len(order.evidence.gates), order.evidence.reason) for order in (base, zero)],
                         [(True, False, 0, "why")] * 2)
        self.assertEqual((newest.adapter.version, newest.adapter.sha256, newest.evidence.forced), (15, "5", True))
        with self.assertRaisesRegex(mellow.GateFailed, r"^15 is not promoted: the gates need an evaluation of it \(evaluation=\)") as refused:
            client.promote("newest")
        self.assertEqual([gate.detail for gate in refused.exception.gates], ["none was given"])

    def test_a_run_of_the_cluster_is_exported_by_its_record_or_name(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        client = self.connect()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="mellow-python.")))
        self.fake.runs[1].ended.FromSeconds(1000)
        for at, (run, steps) in enumerate(((client.runs()[1], 5), (RUNS[1][0], 5), ("newest", 2))):
            self.assertEqual(mellow.to_tensorboard(run, folder / str(at), client), steps)
        events = EventAccumulator(str(folder / "0"))
        events.Reload()
        self.assertEqual([(event.step, event.wall_time) for event in events.Scalars("score_mean")], [(step, 990.0 + 2 * step) for step in range(1, 6)])
        with self.assertRaisesRegex(TypeError, "the steps of run newest are in the cluster: give client="):
            mellow.to_tensorboard("newest", folder)

    def test_iterating_again_goes_on(self):
        self.fake.commit(5, "DONE")
        self.fake.fails = [grpc.StatusCode.INVALID_ARGUMENT]
        training = self.connect().watch("other")
        with self.assertRaisesRegex(mellow.InvalidArgument, "an error of the watch"):
            next(training)
        self.assertEqual([step.step for step in training], [1, 2, 3, 4, 5])
        self.assertEqual(training.wait().state, "DONE")

    def test_a_supervised_run_begins_with_step_0_and_learns_its_length(self):
        self.fake.running.spec.sft.max_steps = 5
        self.fake.running.state = orchestrator_pb2.RUN_STATE_STOPPED
        self.fake.running.committed_steps = 0
        self.fake.running.total_steps = 0
        self.fake.running.ClearField("last_step")
        shown = []
        bar = types.SimpleNamespace(show=lambda done, total, text: shown.append((done, total)), close=lambda: None)
        with unittest.mock.patch.object(progress, "make", lambda wanted: bar):
            training = self.connect().resume("other")
        self.fake.running.total_steps = 2
        self.fake.commit(2, "DONE")
        self.assertEqual([step.step for step in training], [0, 1, 2])
        self.assertEqual(shown[-1], (2, 2))

    def test_with_asyncio_a_run_is_followed_and_left(self):
        async def use():
            async with mellow.AsyncMellow.connect(orchestrator=self.service.address) as client:
                training = client.train({"steps": 5}, progress=False)
                with self.assertRaisesRegex(RuntimeError, "has not begun"):
                    training.run_id
                self.assertIs(await training, training)
                self.assertEqual(training.run_id, RUNS[2][0])
                seen = [(await anext(training)).step, (await anext(training)).step]
                waiting = asyncio.ensure_future(anext(training))
                await asyncio.to_thread(self.fake.watching.wait)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
                self.assertTrue((await training.run()).running, "whoever stops waiting leaves the run")
                self.fake.commit(4)
                async for step in training:
                    seen.append(step.step)
                    if step.step == 4:
                        self.fake.commit(5, "DONE")
                self.assertEqual(seen, [1, 2, 3, 4, 5])
                self.assertEqual(len(self.fake.started), 1)
                self.assertEqual((await training.wait()).state, "DONE")
                self.assertEqual((await client.steps("other")), training.steps)
                async for step in client.watch("other", after_step=3):
                    self.assertIn(step.step, (4, 5))
                self.assertEqual([run.run_id for run in await client.runs()], [run[0] for run in RUNS])
                self.assertEqual(len(await client.adapters()), 5)
                with self.assertRaisesRegex(mellow.NotFound, "RUN x: no such run"):
                    await client.watch("x")
                with self.assertRaisesRegex(mellow.RunFailed, "was stopped"):
                    self.fake.commit(5)
                    await client.stop()
                    await client.watch("other").wait()
        asyncio.run(use())

    def test_the_end_of_the_event_loop_does_not_wait_for_the_run(self):
        async def use():
            async with mellow.AsyncMellow.connect(orchestrator=self.service.address) as client:
                task = asyncio.ensure_future(client.watch("other", progress=False).wait())
                await asyncio.to_thread(self.fake.watching.wait)
                task.cancel()
        asyncio.run(use())
        self.assertEqual(self.fake.running.state, orchestrator_pb2.RUN_STATE_RUNNING)

    def test_every_verb_is_there_for_asyncio(self):
        for name, verb in inspect.getmembers(mellow.Mellow, inspect.isfunction):
            if not name.startswith("_"):
                self.assertEqual(list(inspect.signature(getattr(mellow.AsyncMellow, name)).parameters), list(inspect.signature(verb).parameters), name)


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
        with self.assertRaisesRegex(ValueError, "adapter best: base, newest"):
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

    def test_a_run_with_asyncio(self):
        async def use():
            async with mellow.AsyncMellow.connect(self.cluster.folder, program=harness.MELLOW) as client:
                steps = [step async for step in client.train(MINI_RUN, {**OVERRIDES, "steps": 2})]
                run = (await client.runs())[0]
                self.assertEqual((await client.steps(run.run_id), (await client.summarize(DIALOGUE, adapter="newest")).adapter), (steps, run.adapter))
                self.assertEqual((await client.promote(f"{run.run_id}@1", force=True)).champion, steps[0].adapter)
                self.assertEqual((await client.roll_back()).champion, mellow.Adapter(0))
                return len(await client.promotions())
        before = len(self.client.promotions())
        self.assertEqual(asyncio.run(use()), before + 2)

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
        self.assertEqual(self.client.summarize(DIALOGUE, adapter=f"{run.run_id}@2").adapter, training.steps[1].adapter)
        for words, refused in ((["watch", "no-such-run"], lambda: self.client.watch("no-such-run")),
                               (["summarize", "--text", "--adapter", "newest@99"], lambda: self.client.summarize(DIALOGUE, adapter="newest@99"))):
            with self.assertRaises(mellow.NotFound) as here:
                refused()
            self.assertIn(here.exception.message, harness.mellow(*words, "--dir", self.cluster.folder, stdin=DIALOGUE, check=1).stderr, "as the program says it")

        self.assertEqual(mellow.to_tensorboard(training, self.folder / "events"), 5)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        events = EventAccumulator(str(self.folder / "events"))
        events.Reload()
        self.assertEqual([event.step for event in events.Scalars("objective/kl")], numbers)
        self.assertAlmostEqual(events.Scalars("toxicity_mean")[-1].value, training.steps[-1].toxicity_mean, places=5)

        import mlflow
        mlflow.set_tracking_uri(f"sqlite:///{self.folder}/mlflow.db")
        self.assertEqual(mellow.to_mlflow(training), 5)
        logged = mlflow.last_active_run()
        self.assertEqual((logged.info.run_name, logged.data.params["ppo.batch_size"], logged.data.params["steps"]), (run.run_id, "8", "5"))
        history = mlflow.MlflowClient().get_metric_history(logged.info.run_id, "ppo/loss/policy")
        self.assertEqual([(metric.step, metric.value) for metric in history], [(step.step, step.stats["ppo/loss/policy"]) for step in training.steps])

        with contextlib.redirect_stderr(io.StringIO()) as err:
            few = {"data.limit": 6, "arms": ["base", run.adapter.version], "statistics.resamples": 100, "statistics.permutations": 100}
            evaluation = self.client.evaluate(harness.SOURCE / "deploy/runs/mini-eval.json", self.folder / "evaluation", few, require_drop=0.99)
            self.assertIn("6/6", err.getvalue())
            self.assertFalse(evaluation.demands_met)
            self.assertEqual((len(evaluation.data["rows"]), evaluation.arms[0]), (6, "base"))
            self.assertIn("toxicity, summary (reward)", list(evaluation.frame()["measure"]))
            steps = self.client.evaluate(harness.SOURCE / "deploy/runs/mini-eval.json", self.folder / "steps", few, steps_of=run.run_id[:-1], every=3)
            self.assertEqual((steps.best, steps.demands_met, [step["adapter"] for step in steps.steps]),
                             (None, False, [f"{run.run_id}@3", f"{run.run_id}@5"]), "six prompts are too few")
            self.assertEqual(steps.arms, ["base", f"{run.run_id}@3", f"{run.run_id}@5"])
            with self.assertRaisesRegex(mellow.ProgramError, "no-such-file"):
                self.client.evaluate(self.folder / "no-such-file.json", self.folder / "nothing")

            with self.assertRaises(mellow.GateFailed) as refused:
                self.client.promote(run, evaluation)
            self.assertIn("statistics", [gate.name for gate in refused.exception.gates if not gate.passed], "six prompts are too few")
            with self.assertRaisesRegex(mellow.GateFailed, "none was given"):
                self.client.promote(run)
            self.assertEqual(mellow.to_tensorboard(listed, self.folder / "listed-events", self.client), 5)
            report = self.client.report(evaluation, self.folder / "report")
            self.assertIn("<!doctype html>", report.html)
            self.assertIn("srcdoc=", report._repr_html_())
        promotion = self.client.promote(run, force=True, reason="for the test")
        self.assertEqual((promotion.champion, promotion.forced, promotion.reason), (run.adapter, True, "for the test"))
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="champion").adapter, run.adapter)
        self.assertEqual(self.client.roll_back("enough").champion, mellow.Adapter(0))
        self.assertEqual(self.client.promote(f"{run.run_id}@2", force=True).champion, training.steps[1].adapter)
        self.assertEqual(self.client.roll_back().champion, mellow.Adapter(0))
        self.assertEqual([event.action for event in self.client.promotions()][-4:], ["PROMOTE", "ROLL_BACK"] * 2)
        self.assertEqual(self.client.summarize(DIALOGUE, adapter="champion").adapter, mellow.Adapter(0))

        stopped = self.client.train(json.loads(MINI_RUN.read_text()) | {"data": {"path": str(MINI_RUN.parent / "mini/train.jsonl")}}, {**OVERRIDES, "steps": 1000})
        next(stopped)
        self.assertEqual(self.client.stop().run_id, stopped.run_id)
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
        self.assertEqual(run.best_dev_loss, dev[run.best_step])
        self.assertEqual([loss is None for loss in dev], [False, True, False, True, False])
        self.assertLess(dev[-1], dev[0])
        frame = training.frame()
        self.assertEqual((list(frame["step"]), list(frame["tokens"])), (numbers, [step.sft.tokens for step in training.steps]))
        self.assertEqual({"step", "seconds", "epoch", "loss", "learning_rate", "gradient_norm", "tokens", "dev_loss"}, set(frame.columns))
        self.assertIn("dev_loss", training.steps._repr_html_())
        self.assertEqual(self.client.steps(run.run_id), training.steps)
        self.assertEqual(mellow.to_tensorboard(training, self.folder / "sft-events"), 5)
        self.assertEqual(run.adapter, mellow.Adapter(0), "the result has no version")
        ppo = self.client.train(MINI_RUN, {**OVERRIDES, "steps": 1}, start=run.adapter_path)
        self.assertEqual((ppo.wait().spec["start_adapter"], len(ppo.steps)), (run.adapter_path, 1))

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
        for adapter in ("champion", "base", 0, "newest"):
            self.assertTrue(user.summarize(DIALOGUE, adapter=adapter).text)
        with self.assertRaisesRegex(mellow.PermissionDenied, "role user"):
            user.summarize(DIALOGUE, adapter="newest@1")
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
            for adapter in ("champion", "base", 0, "newest"):
                self.assertTrue(client.summarize(DIALOGUE, adapter=adapter).text)
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
