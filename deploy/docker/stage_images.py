#!/usr/bin/env python3
"""Collects what goes into each image, inside the Dockerfile's build stage: the programs, the shared libraries that they load and the base
image does not have, and a bill of materials (SPDX 2.3, /usr/share/mellow/sbom.spdx.json).

    OUT/torch/      libtorch and what it is linked to, one layer for every image that computes; GPU=1: with the CUDA libraries
    OUT/SERVICE/    the rest of that image
"""
import argparse
import datetime
import functools
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import uuid

BIN = pathlib.Path("build/release/bin")
PREFIX = pathlib.Path("/opt/mellow")
IMAGES = {
    "policy": ["mellow_policy_server", "mellow_health_check"],
    "reward": ["mellow_reward_server", "mellow_health_check"],
    "learner": ["mellow_learner_server", "mellow_health_check"],
    "orchestrator": ["mellow_orchestrator_server", "mellow_health_check"],
    "review": ["mellow_review_server", "mellow_health_check"],
    "cli": ["mellow"],
}
WITH_TORCH = {"policy", "reward", "learner", "cli"}
# These are of the NVIDIA driver, which belongs to the host; the container toolkit brings them in.
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
# Compiled into the programs: headers and static libraries of these Debian packages.
COMPILED_IN = ["libcli11-dev", "libcpp-httplib-dev", "nlohmann-json3-dev"]


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


@functools.cache
def loaded(program):
    """The files that the dynamic linker maps for `program`."""
    found = set()
    for line in output("ldd", program).splitlines():
        if "not found" in line and line.split()[0] not in DRIVER:
            raise SystemExit(f"{program}: {line.strip()}")
        match = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if match:
            found.add(pathlib.Path(match[1]))
    return found


@functools.cache
def package_of(path):
    """The Debian package that owns `path` (merged /usr: dpkg may know it under either name)."""
    real = path.resolve()
    for name in (real, pathlib.Path(str(real).removeprefix("/usr")), path):
        done = subprocess.run(["dpkg", "-S", str(name)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    raise SystemExit(f"{path}: neither of libtorch nor of a Debian package")


def debian_packages(text):
    """{name: (version, architecture, source)} of what is installed according to a dpkg status file."""
    packages = {}
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = (fields["Version"], fields["Architecture"])
    return packages


def pinned_wheels(gpu):
    """{name: (version, sha256)} of what setup.sh fetched from the Python package index."""
    text = pathlib.Path("deploy/setup.sh").read_text(encoding="utf-8")
    value = dict(re.findall(r"\b([A-Z]+(?:_SHA)?)=([0-9a-f.]+)", text))
    wheels = {
        "torch": (value["TORCH"], value["TORCH_SHA"]),
        "nvidia-cuda-runtime": (value["CUDART"], value["CUDART_SHA"]),
        "nvidia-cuda-cupti": (value["CUPTI"], value["CUPTI_SHA"]),
    }
    if gpu:
        wheels.update({name: (version, sha) for name, version, sha in re.findall(r"(nvidia-[a-z0-9-]+)==(\S+) ([0-9a-f]{64})", text)})
    return wheels, ("sentencepiece", value["SPM"], value["SPM_SHA"])


def copy(path, root):
    # /lib is a link to /usr/lib, which the image's own must not be replaced by a folder.
    target = root / re.sub(r"^/(usr/)?lib/", "usr/lib/", str(path)).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target, follow_symlinks=True)


def spdx_id(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def spdx_package(name, version, purl, sha256=None):
    package = {
        "SPDXID": spdx_id(f"{name}-{version}"), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }
    if sha256:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    return package


def bill_of_materials(image, version, base, libraries, compiled_in, wheels, programs):
    """`base`, `libraries`, `compiled_in`: {Debian package: (version, architecture)}; `wheels`: [(name, version, sha256)]."""
    root = {
        "SPDXID": "SPDXRef-image", "name": f"mellow-{image}", "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "CONTAINER",
    }
    packages, relations = [root], [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    for group, relation in ((base, "CONTAINS"), (libraries, "CONTAINS"), (compiled_in, "STATIC_LINK")):
        for name, (package_version, architecture) in sorted(group.items()):
            package = spdx_package(name, package_version, f"pkg:deb/debian/{name}@{package_version}?arch={architecture}&distro=debian-12")
            packages.append(package)
            relations.append(("SPDXRef-image", relation, package["SPDXID"]))
    for name, package_version, sha256 in sorted(wheels):
        package = spdx_package(name, package_version, f"pkg:pypi/{name}@{package_version}", sha256)
        packages.append(package)
        relations.append(("SPDXRef-image", "STATIC_LINK" if name == "sentencepiece" else "CONTAINS", package["SPDXID"]))
    for path in programs:
        package = spdx_package(path.name, version, f"pkg:generic/{path.name}@{version}", hashlib.sha256(path.read_bytes()).hexdigest())
        package["licenseConcluded"] = package["licenseDeclared"] = "Apache-2.0"
        packages.append(package)
        relations.append(("SPDXRef-image", "CONTAINS", package["SPDXID"]))
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"mellow-{image}-{version}",
        "documentNamespace": f"https://mellow.invalid/sbom/{image}/{uuid.uuid4()}",
        "creationInfo": {"created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: mellow-stage_images"]},
        "packages": packages,
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations],
    }


def stage_torch(out, gpu):
    """The files of libtorch that a program of ours can load: those it is linked to and, for a GPU, those that are opened when there is one."""
    torch = PREFIX / "torch/lib"
    roots = [torch / "libtorch_cpu.so"]
    if gpu:
        roots += [torch / "libtorch_cuda.so", torch / "libtorch_cuda_linalg.so", torch / "libcaffe2_nvrtc.so"]
        # Opened by name: the engines of cuDNN, and what NVRTC compiles with.
        roots += [p for pattern in ("nvidia/cudnn/lib/*.so*", "nvidia/cu13/lib/libnvrtc*.so*", "nvidia/cu13/lib/libnvJitLink*.so*") for p in PREFIX.glob(pattern)]
    files = set(roots)
    for root in roots:
        files |= {path for path in loaded(root) if str(path).startswith(str(PREFIX))}
    for path in files:
        # A path such as /opt/mellow/torch/lib/../../nvidia/... is that of the final image once it is shortened.
        copy(pathlib.Path(re.sub(r"/[^/]+/[^/]+/\.\./\.\./", "/", str(path))), out / "torch")
    return {path.name for path in files}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", choices=["0", "1"], required=True)
    parser.add_argument("--base-packages", type=pathlib.Path, required=True, help="dpkg status file of the base image")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    gpu = options.gpu == "1"
    installed = debian_packages(pathlib.Path("/var/lib/dpkg/status").read_text(encoding="utf-8"))
    base = debian_packages(options.base_packages.read_text(encoding="utf-8"))
    wheels, sentencepiece = pinned_wheels(gpu)
    torch_root = pathlib.Path.home() / ".cache/mellow/deps-1" / f"torch-{wheels['torch'][0]}"
    PREFIX.mkdir(parents=True, exist_ok=True)
    for name in ("torch", "nvidia"):
        (PREFIX / name).symlink_to(torch_root / name)

    torch_files = stage_torch(options.out, gpu)
    for image, programs in IMAGES.items():
        root = options.out / image
        copied, staged = {}, []
        for program in programs:
            target = root / str(PREFIX / "bin" / program).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            output("strip", "--strip-unneeded", "-o", target, BIN / program)
            staged.append(target)
            for path in loaded(BIN / program):
                if str(path).startswith(str(PREFIX)):
                    if image not in WITH_TORCH or path.name not in torch_files:
                        raise SystemExit(f"{image}: {program} loads {path}, which its image has not")
                    continue
                package = package_of(path)
                if package not in base:
                    copy(path, root)
                    copied[package] = installed[package]
        in_image = [sentencepiece] + ([(name, *pin) for name, pin in wheels.items()] if image in WITH_TORCH else [])
        sbom = root / "usr/share/mellow/sbom.spdx.json"
        sbom.parent.mkdir(parents=True)
        sbom.write_text(json.dumps(bill_of_materials(image, options.version, base, copied, {name: installed[name] for name in COMPILED_IN},
                                                     in_image, staged), indent=1) + "\n", encoding="utf-8")
        shutil.copy("LICENSE", sbom.parent / "LICENSE")
        print(f"{image}: {', '.join(programs)}; libraries of {', '.join(sorted(copied)) or 'nothing'}")


if __name__ == "__main__":
    main()
