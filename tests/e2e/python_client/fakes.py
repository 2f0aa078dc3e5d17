"""Services in the process of a test, and what they tell of."""
import concurrent.futures
import inspect

import grpc

from mellow import calls
from mellow._proto import orchestrator_pb2, policy_pb2

DIALOGUE = "#Person1#: Are you free tonight? #Person2#: No, I have to work."


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
