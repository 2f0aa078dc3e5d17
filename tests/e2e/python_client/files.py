"""What the package does without a cluster: files, names, commands, types."""
import asyncio
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

import harness
import mellow
from mellow import calls, commands, connection, names, progress, records, specs
from mellow._proto import orchestrator_pb2
from python_client.fakes import RUNS, kept_messages, run_message


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
