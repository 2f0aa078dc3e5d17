"""usage: summarize.py ADDRESS [CERTIFICATES] < dialogue     (CERTIFICATES: the folder of make_certs.sh; without it: no TLS)"""
import pathlib
import sys

import grpc
from mellow.policy.v1 import policy_pb2, policy_pb2_grpc

options = [("grpc.service_config", (pathlib.Path(__file__).parent / "service_config.json").read_text())]
if len(sys.argv) > 2:
    ca, key, cert = ((pathlib.Path(sys.argv[2]) / f"{name}.pem").read_bytes() for name in ("ca", "user-key", "user"))
    channel = grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(ca, key, cert), options)
else:
    channel = grpc.insecure_channel(sys.argv[1], options)
response = policy_pb2_grpc.PolicyServiceStub(channel).Summarize(policy_pb2.SummarizeRequest(dialogue=sys.stdin.read()))
print(response.summary)
