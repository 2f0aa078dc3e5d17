#!/usr/bin/env bash
# Saves and restores what a cluster of docker-compose.yml must not lose: ledger, adapters, checkpoints, and results.
#
#   deploy/docker/backup.sh save FILE.tar.gz       stops orchestrator and learner for the time of the copy; summaries are served on, a run waits
#   deploy/docker/backup.sh restore FILE.tar.gz    into a project that is down: replaces what its volumes hold
#
# COMPOSE_PROJECT_NAME   the project (default: that of .env)
set -euo pipefail
die() { printf 'backup.sh: %s\n' "$*" >&2; exit 1; }
if (($# != 2)) || [[ "$1" != save && "$1" != restore ]]; then
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
readonly ACTION=$1
FILE=$(realpath -m -- "$2")  # as seen from where we were called
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compose=(docker compose)
if ! docker compose version >/dev/null 2>&1; then compose=(docker-compose); fi
# Policy and learner may run on either: what is stopped for the copy, and seen to be up, must not depend on what .env says now.
export COMPOSE_PROFILES=cpu,gpu
setting() { if [[ -n "${!1:-}" ]]; then printf '%s' "${!1}"; else sed -n "s/^$1=//p" .env; fi; }
project=$(setting COMPOSE_PROJECT_NAME)
image="$(setting MELLOW_REGISTRY)/orchestrator:$(setting MELLOW_VERSION)"
readonly VOLUMES=(orchestrator learner results)
mounts=()
for volume in "${VOLUMES[@]}"; do mounts+=(--volume "${project}_$volume:/data/$volume"); done

running=()
for service in orchestrator learner learner-gpu; do
  if [[ -n "$("${compose[@]}" ps -q "$service" 2>/dev/null)" ]]; then running+=("$service"); fi
done

if [[ "$ACTION" == save ]]; then
  partial="$FILE.partial"
  trap 'rm -f "$partial"; if ((${#running[@]})); then "${compose[@]}" start "${running[@]}" >/dev/null; fi' EXIT
  # What they write is complete at any moment, but only together are ledger and checkpoints of one moment.
  if ((${#running[@]})); then "${compose[@]}" stop "${running[@]}" >/dev/null; fi
  docker run --rm --network none "${mounts[@]}" --entrypoint tar "$image" -C /data -cz "${VOLUMES[@]}" >"$partial"
  mv "$partial" "$FILE"
  printf '[backup] %s of project %s: %s\n' "${VOLUMES[*]}" "$project" "$FILE"
else
  [[ -r "$FILE" ]] || die "$FILE: no such file"
  tar -tzf "$FILE" orchestrator/ledger.db >/dev/null 2>&1 || die "$FILE: not a backup of this script, or damaged"
  [[ -z "$("${compose[@]}" ps -q 2>/dev/null)" ]] || die "project $project is up; 'docker compose down' first"
  # Labels as Compose gives them, so that it takes the volumes for its own.
  for volume in "${VOLUMES[@]}"; do
    docker volume create --label "com.docker.compose.project=$project" --label "com.docker.compose.volume=$volume" "${project}_$volume" >/dev/null
  done
  # As root in the container, for the owner of the files; nothing of it is mounted but the volumes.
  docker run --rm --network none --interactive --user 0 "${mounts[@]}" --entrypoint sh "$image" -c \
    'find /data/orchestrator /data/learner /data/results -mindepth 1 -delete && tar -C /data -xz' <"$FILE"
  printf '[backup] restored into project %s: %s\n' "$project" "$FILE"
fi
