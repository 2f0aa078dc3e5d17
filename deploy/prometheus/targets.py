#!/usr/bin/env python3
"""Tells Prometheus where the services of `mellow up` show their metrics.

usage: targets.py DIR/cluster.json > deploy/prometheus/targets/NAME.json
"""
import json
import sys
import urllib.parse


def targets(cluster):
    """File-based service discovery of a parsed cluster.json."""
    return [{"targets": [urllib.parse.urlsplit(service["metrics"]).netloc], "labels": {"service": service["role"]}}
            for service in cluster["services"]]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            print(json.dumps(targets(json.load(file)), indent=2))
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"{sys.argv[1]}: not a cluster.json of mellow up: {error!r}")


if __name__ == "__main__":
    main()
