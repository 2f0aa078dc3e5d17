"""usage: summarize.py ADDRESS [CERTIFICATES] < dialogue     (CERTIFICATES: the folder of make_certs.sh; without it: no TLS)"""
import sys

import mellow

tls = mellow.Tls.folder(sys.argv[2]) if len(sys.argv) > 2 else None
with mellow.Mellow.connect(policy=sys.argv[1], tls=tls) as client:
    print(client.summarize(sys.stdin.read()))
