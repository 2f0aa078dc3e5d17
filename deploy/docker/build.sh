#!/usr/bin/env bash
# Builds the images of Mellow from this tree.
#
#   deploy/docker/build.sh              mellow/policy:dev, mellow/reward:dev, ... mellow/cli:dev
#   deploy/docker/build.sh --gpu        mellow/policy:dev-gpu and so on: with the CUDA libraries, of the services that use them
#   deploy/docker/build.sh policy cli   only these
#
# MELLOW_REGISTRY   what the names begin with          (default: mellow)
# MELLOW_VERSION    their tag                          (default: dev)
# MELLOW_DEBIAN     the base image                     (default: debian:bookworm-slim; make_base.sh makes one where no registry is reached)
# Further arguments for docker build, such as --network host, go into DOCKER_BUILD_ARGS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

gpu=0 targets=()
for argument in "$@"; do
  case "$argument" in
    --gpu) gpu=1 ;;
    policy | reward | learner | orchestrator | review | cli) targets+=("$argument") ;;
    *) printf "build.sh: unknown argument '%s'\n" "$argument" >&2; exit 2 ;;
  esac
done
if ((${#targets[@]} == 0)); then
  targets=(policy reward learner orchestrator review cli)
  if ((gpu)); then targets=(policy reward learner); fi
fi
version="${MELLOW_VERSION:-dev}"
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if ((gpu)); then version+="-gpu"; fi
read -ra extra <<<"${DOCKER_BUILD_ARGS:-}"

for target in "${targets[@]}"; do
  name="${MELLOW_REGISTRY:-mellow}/$target:$version"
  printf '[build] %s\n' "$name"
  DOCKER_BUILDKIT=1 docker build "${extra[@]}" --file deploy/docker/Dockerfile --target "$target" --tag "$name" \
    --build-arg "DEBIAN=${MELLOW_DEBIAN:-debian:bookworm-slim}" --build-arg "GPU=$gpu" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" .
done
docker image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}' | grep -E "^${MELLOW_REGISTRY:-mellow}/.*:$version " || true
