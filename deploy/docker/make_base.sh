#!/usr/bin/env bash
# Makes the base image debian:bookworm-slim from Debian's own packages, where Debian can be reached and no image registry can. As root.
#
#   deploy/docker/make_base.sh [NAME]        (default: debian:bookworm-slim)
#
# Needs debootstrap. Certificates of this host's own authorities (/usr/local/share/ca-certificates) go in, so that a build behind an
# inspecting proxy works; images made from such a base are for this site.
set -euo pipefail

readonly NAME="${1:-debian:bookworm-slim}"
command -v debootstrap >/dev/null || { echo "make_base.sh: debootstrap is needed (apt-get install debootstrap)" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
rm -f "$root.log"
# As the official slim image does: nobody reads them in a container.
rm -rf "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
cp /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/" 2>/dev/null && rm -f "$root/etc/apt/sources.list"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  install -d "$root/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
fi
tar -C "$root" --exclude=./dev -c . | docker import --change 'CMD ["bash"]' - "$NAME"
