"""The package against real clusters, with and without TLS, and its notebook."""
import asyncio
import contextlib
import io
import json
import os
import pathlib
import re
import tempfile
import unittest
import unittest.mock

import harness
import mellow
from harness import MINI_RUN, SMALL
from python_client.fakes import DIALOGUE
from secure_cluster import TOKENS, SecureClusterTest

PACKAGE = harness.SOURCE / "deploy/clients/python"
NOTEBOOK = PACKAGE / "detoxify.ipynb"
OVERRIDES = {name: float(value) if "." in value else int(value) for name, value in (assignment.split("=") for assignment in SMALL)}


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

    def steps_over_a_kill(self, training):
        """The steps that are seen when the orchestrator is killed after step 2."""
        numbers = []
        for step in training:
            if step.step == 2:
                pid = self.cluster.kill("orchestrator")
                self.cluster.wait_restarted("orchestrator", pid)
            numbers.append(step.step)
        return numbers

    def test_a_run_from_start_to_promotion(self):
        request_id = os.urandom(8).hex()
        training = self.client.train(MINI_RUN, OVERRIDES, request_id=request_id)
        again = self.client.train(MINI_RUN, OVERRIDES, request_id=request_id)
        self.assertEqual(training.run_id, again.run_id, "one request, one run")
        with self.assertRaises(mellow.FailedPrecondition):
            self.client.train(MINI_RUN, OVERRIDES)

        numbers = self.steps_over_a_kill(training)
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
        numbers = self.steps_over_a_kill(training)
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


class SecureTest(SecureClusterTest):
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
