"""Calls, and answers that a healthy cluster does not give."""
import asyncio
import unittest

import grpc

import mellow
from mellow._proto import orchestrator_pb2, policy_pb2
from python_client.fakes import DIALOGUE, RUNS, FakeService, kept_messages, run_message


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
