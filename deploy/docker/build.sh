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

die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

gpu=0 targets=()
for argument in "$@"; do
  case "$argument" in
    --gpu) gpu=1 ;;
    policy | reward | learner | orchestrator | review | cli) targets+=("$argument") ;;
    *) printf "build.sh: unknown argument '%s'\n" "$argument" >&2; exit 2 ;;
  esac
done

command -v docker >/dev/null || die "there is no docker on the PATH"
# Up to version 22 the client builds with BuildKit by itself, from 23 on by its plugin buildx, which some packages leave out. Docker's message
# then names neither the package nor this.
client=$(docker version --format '{{.Client.Version}}' 2>/dev/null || true)
if [[ "$client" =~ ^([0-9]+)\. ]] && ((BASH_REMATCH[1] >= 23)) && ! docker buildx version >/dev/null 2>&1; then
  die "docker $client has no buildx, and the Dockerfile needs BuildKit: install docker-buildx-plugin (Docker's packages) or docker-buildx" \
    "(Debian, Ubuntu), or put the plugin into ~/.docker/cli-plugins (https://docs.docker.com/go/buildx/)"
fi
docker info >/dev/null 2>&1 || die "no container engine answers (docker info)"
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
