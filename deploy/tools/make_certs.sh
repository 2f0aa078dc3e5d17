#!/usr/bin/env bash
# A private certificate authority for one Mellow cluster, and a certificate for each role, by openssl alone.
#
#   deploy/tools/make_certs.sh DIR [--host NAME_OR_IP]... [--user NAME]... [--days N] [--namespace NAMESPACE]
#
#   DIR/ca.pem                  what everybody trusts (--tls-ca); 10 years
#   DIR/ca-key.pem              signs the others: keep it off the servers
#   DIR/ROLE.pem ROLE-key.pem   --tls-cert and --tls-key of: orchestrator (the orchestrator), node (policy, reward, learner, review),
#                               operator (the person with the `mellow` command), user (whoever wants summaries and scores)
#   DIR/user-NAME.pem ...       with --user: one more user, with limits and log lines of their own
#
#   --host       another name or address of the servers, for clients that check it (grpcurl, Python, browsers); several times
#   --days       how long the roles' certificates are valid; 90
#   --namespace  of Kubernetes, in the servers' names there; mellow
#
# Running it again makes new certificates and keeps the authority, and every file's owner and mode; the services take them while they run. Keys are
# readable by their owner alone: make that the user (or group, with chmod 640) that the service runs as. For Kubernetes:
#
#   kubectl -n mellow create secret generic mellow-tls --from-file=DIR/ca.pem \
#     --from-file=DIR/orchestrator.pem --from-file=DIR/orchestrator-key.pem --from-file=DIR/node.pem --from-file=DIR/node-key.pem \
#     --from-file=DIR/operator.pem --from-file=DIR/operator-key.pem --from-file=DIR/user.pem --from-file=DIR/user-key.pem
#
# (with `--dry-run=client -o yaml | kubectl apply -f -` behind it to renew what is there).
set -euo pipefail
umask 077

readonly CA_DAYS=3650
readonly SERVICES=(policy reward learner orchestrator review)

die() { printf '[certs] error: %s\n' "$*" >&2; exit 2; }

# quietly COMMAND...: its output only when it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || { printf '%s\n' "$output" >&2; die "$1 ${2:-} failed"; }
}

# server_names: the subjectAltName entries of servers.
server_names() {
  local service host names="DNS:localhost,IP:127.0.0.1,IP:::1"
  for service in "${SERVICES[@]}"; do
    names+=",DNS:$service,DNS:mellow-$service"
    local suffix
    for suffix in "$namespace" "$namespace.svc" "$namespace.svc.cluster.local"; do
      names+=",DNS:mellow-$service.$suffix,DNS:*.mellow-$service.$suffix"
    done
  done
  for host in "${hosts[@]}"; do
    if [[ "$host" == *:* || "$host" =~ ^[0-9.]+$ ]]; then names+=",IP:$host"; else names+=",DNS:$host"; fi
  done
  printf '%s' "$names"
}

make_authority() {
  if [[ -e "$dir/ca.pem" || -e "$dir/ca-key.pem" ]]; then
    [[ -e "$dir/ca.pem" && -e "$dir/ca-key.pem" ]] || die "$dir has only one of ca.pem and ca-key.pem: put the other one back, or remove it"
    return
  fi
  quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days "$CA_DAYS" -subj "/O=Mellow/CN=Mellow private CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$staging/ca-key.pem" -out "$staging/ca.pem"
  put ca
}

# put NAME: moves what was made into the folder. What was there keeps its owner and mode, so that the services can still read it.
put() {
  local file mode
  for file in "$1.pem" "$1-key.pem"; do
    mode=644
    [[ "$file" == *-key.pem ]] && mode=600
    chmod "$mode" "$staging/$file"
    if [[ -e "$dir/$file" ]]; then
      chown --reference="$dir/$file" "$staging/$file"
      chmod --reference="$dir/$file" "$staging/$file"
    fi
    mv "$staging/$file" "$dir/$file"
  done
}

# make_certificate FILE ROLE NAME
make_certificate() {
  local file=$1 role=$2 name=$3 usage=clientAuth names=URI:spiffe://mellow/$2/$3
  if [[ "$role" == node || "$role" == orchestrator ]]; then
    usage=serverAuth,clientAuth
    names+=",$(server_names)"
  fi
  printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" "extendedKeyUsage=$usage" \
    "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" "subjectAltName=$names" >"$staging/extensions"
  quietly openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/O=Mellow/OU=$role/CN=$name" \
    -keyout "$staging/$file-key.pem" -out "$staging/request"
  quietly openssl x509 -req -in "$staging/request" -CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem" -set_serial "0x$(openssl rand -hex 16)" \
    -days "$days" -sha256 -extfile "$staging/extensions" -out "$staging/$file.pem"
  # A service that looks between the two keeps what it has until both are there.
  put "$file"
}

dir="" hosts=() users=() days=90 namespace=mellow
while (($# > 0)); do
  case "$1" in
    -h | --help) sed -n '2,/^set -e/{/^set -e/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --host | --user | --days | --namespace)
      (($# > 1)) || die "$1 needs a value"
      case "$1" in
        --host) [[ "$2" =~ ^[A-Za-z0-9.:*-]+$ ]] || die "--host $2: a DNS name or an address"; hosts+=("$2") ;;
        --user) [[ "$2" =~ ^[A-Za-z0-9._-]+$ ]] || die "--user $2: letters, digits, '.', '_' and '-'"; users+=("$2") ;;
        --days) [[ "$2" =~ ^[0-9]{1,5}$ && "$2" -gt 0 ]] || die "--days $2: a number of days"; days=$2 ;;
        --namespace) [[ "$2" =~ ^[a-z0-9-]+$ ]] || die "--namespace $2: not a name of Kubernetes"; namespace=$2 ;;
      esac
      shift 2 ;;
    -*) die "unknown argument '$1' (try --help)" ;;
    *) [[ -z "$dir" ]] || die "one folder, not '$dir' and '$1'"; dir=$1; shift ;;
  esac
done
[[ -n "$dir" ]] || die "a folder is needed (try --help)"
command -v openssl >/dev/null || die "there is no openssl on the PATH"

(umask 022 && mkdir -p "$dir")
staging=$(mktemp -d "$dir/.making.XXXXXX")
trap 'rm -rf "$staging"' EXIT
make_authority
for role in operator orchestrator node user; do make_certificate "$role" "$role" "$role"; done
for user in "${users[@]}"; do make_certificate "user-$user" user "$user"; done
printf '[certs] %s: ca.pem, and certificates of operator, orchestrator, node and user for %s days\n' "$dir" "$days"
