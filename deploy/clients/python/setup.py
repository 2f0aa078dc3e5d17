"""The build step that pyproject.toml cannot say: stubs from proto/, and the service config, both of which lie outside of this folder.

In a checkout they are found from this file's place; an sdist carries them with it, so that it builds anywhere.
"""
import pathlib
import re
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
# What the client calls, and what that imports.
PROTOS = [
    "mellow/common/v1/common.proto",
    "mellow/common/v1/data_spec.proto",
    "mellow/learner/v1/ppo_config.proto",
    "mellow/learner/v1/sft.proto",
    "mellow/learner/v1/sft_spec.proto",
    "mellow/orchestrator/v1/orchestrator.proto",
    "mellow/orchestrator/v1/run_spec.proto",
    "mellow/policy/v1/policy.proto",
    "mellow/reward/v1/reward.proto",
]


def source(name: str, in_checkout: str) -> pathlib.Path:
    """A file or folder of the repository: beside this file in an sdist, else at its place in the checkout."""
    for place in (HERE / name, HERE / in_checkout):
        if place.exists():
            return place
    raise SystemExit(
        f"mellow: no {name} in {HERE} or {HERE / in_checkout}: build from a checkout of the repository, in place (pip 21.3 or newer), or from an sdist"
    )


def proto() -> pathlib.Path:
    return source("proto", "../../../proto")


def service_config() -> pathlib.Path:
    return source("service_config.json", "../service_config.json")


def make_stubs(package: pathlib.Path) -> list[str]:
    """Writes into mellow/_proto one descriptor set, and for each proto a module that loads it and the .pyi with its types; returns all paths.

    The modules are ours, not protoc's: generated ones register with protobuf's default pool, where they would meet stubs that the user has made.
    """
    import grpc_tools
    from grpc_tools import protoc

    folder = package / "_proto"
    scratch = folder / "pyi"
    scratch.mkdir(parents=True, exist_ok=True)
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    descriptors = folder / "mellow.desc"
    flags = [f"-I{proto()}", f"-I{well_known}", "--include_imports", f"--descriptor_set_out={descriptors}", f"--pyi_out={scratch}"]
    code = protoc.main(["protoc", *flags, *PROTOS])
    if code != 0:
        raise SystemExit(f"mellow: protoc ended with {code}")
    written = [str(descriptors)]
    for name in PROTOS:
        stem = pathlib.Path(name).stem + "_pb2"
        types = (scratch / name).with_name(f"{stem}.pyi").read_text()
        types = re.sub(r"^from mellow\.[\w.]+ import", "from mellow._proto import", types, flags=re.MULTILINE)
        (folder / f"{stem}.pyi").write_text('# mypy: disable-error-code="type-arg"\n' + types)
        (folder / f"{stem}.py").write_text(f'"""Generated from {name}."""\nfrom mellow._proto import load\n\nload("{name}", globals())\n')
        written += [str(folder / f"{stem}.pyi"), str(folder / f"{stem}.py")]
    shutil.rmtree(scratch)
    return written


class BuildPy(build_py):
    made: list[str] = []

    def run(self) -> None:
        super().run()
        # An editable install runs from the source folder.
        package = HERE / "src/mellow" if self.editable_mode else pathlib.Path(self.build_lib) / "mellow"
        config = package / "service_config.json"
        shutil.copyfile(service_config(), config)
        self.made = [str(config), *make_stubs(package)]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *self.made]


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for name in PROTOS:
            target = pathlib.Path(base_dir) / "proto" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(proto() / name, target)
        shutil.copyfile(service_config(), pathlib.Path(base_dir) / "service_config.json")


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
