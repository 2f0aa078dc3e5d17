#!/usr/bin/env bash
# Fetches what deploy/runs/dialogsum-flan-t5-base.json trains with, by the Hugging Face Hub's own client:
#
#   deploy/models/flan-t5-base           google/flan-t5-base                                     the summarizer
#   deploy/models/roberta-hate-speech    facebook/roberta-hate-speech-dynabench-r4-target        the reward model
#   deploy/runs/dialogsum/               knkarthick/dialogsum (train.csv, validation.csv, test.csv; CC BY-NC-SA 4.0)
#
#   deploy/tools/fetch_models.sh                    everything (1.5 GB)
#   deploy/tools/fetch_models.sh --start-adapter    and what the notebook's PPO starts from, the LoRA adapter that its course gives away, as somebody put it on
#                                                   the Hub: deploy/models/peft-dialogue-summary    intotheverse/peft-dialogue-summary-checkpoint
#                                                   (or make one: mellow sft deploy/runs/dialogsum-flan-t5-base-sft.json)
#   deploy/tools/fetch_models.sh --check            only say what is there
#   deploy/tools/fetch_models.sh ORG/NAME[@REVISION]...
#                                            these models or adapters instead, into the Hub's cache, where flags and run files find them by that name
#
# What is there is kept. HF_TOKEN, HF_ENDPOINT and HF_HOME mean what they mean to the client.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly CLIENT_VERSION=0.26.2
readonly VENV="${MELLOW_CACHE:-$HOME/.cache/mellow}/hub-client-$CLIENT_VERSION"

say() { printf '[fetch] %s\n' "$*"; }
die() { printf '[fetch] error: %s\n' "$*" >&2; exit 1; }

# download REPOSITORY TYPE FOLDER FILE...
download() {
  local repository=$1 type=$2 folder=$3 file missing=(); shift 3
  for file in "$@"; do [[ -s "$folder/$file" ]] || missing+=("$file"); done
  if ((${#missing[@]} == 0)); then say "$repository: present in $folder"; return; fi
  if [[ "$check" == true ]]; then say "$repository: missing in $folder: ${missing[*]}"; return; fi
  say "$repository: fetching ${missing[*]} into $folder"
  "$VENV/bin/huggingface-cli" download --quiet --repo-type "$type" --local-dir "$folder" "$repository" "${missing[@]}" >/dev/null ||
    die "could not fetch $repository from the Hub; offline, put its files into $folder by hand"
}

# download_adapter REPOSITORY FOLDER: PEFT has written its weights under two names.
download_adapter() {
  local repository=$1 folder=$2
  if [[ -s "$folder/adapter_config.json" && ( -s "$folder/adapter_model.safetensors" || -s "$folder/adapter_model.bin" ) ]]; then
    say "$repository: present in $folder"; return
  fi
  if [[ "$check" == true ]]; then say "$repository: missing in $folder (--start-adapter fetches it)"; return; fi
  say "$repository: fetching adapter_* into $folder"
  "$VENV/bin/huggingface-cli" download --quiet --include 'adapter_*' --local-dir "$folder" "$repository" >/dev/null ||
    die "could not fetch $repository from the Hub; offline, put its files into $folder by hand"
}

install_client() {
  [[ -x "$VENV/bin/huggingface-cli" ]] && return
  say "installing the Hub's client $CLIENT_VERSION into $VENV"
  { python3 -m venv "$VENV" && "$VENV/bin/pip" install -q "huggingface_hub[cli]==$CLIENT_VERSION"; } ||
    die "could not install huggingface_hub (on Debian: apt-get install python3-venv)"
}

# cache ORG/NAME[@REVISION]: what Mellow reads of a repository, without the weights of other frameworks. PyTorch's only where there are no
# safetensors.
cache() {
  local repository=${1%%@*} revision=main
  [[ "$1" != *@* ]] || revision=${1#*@}
  local get=("$VENV/bin/huggingface-cli" download --quiet --revision "$revision" "$repository") snapshot
  say "$1: fetching into the Hub's cache"
  snapshot=$("${get[@]}" --include '*.json' '*.txt' '*.model' '*.safetensors') || die "could not fetch $1 from the Hub"
  compgen -G "$snapshot/*.safetensors" >/dev/null || "${get[@]}" --include 'pytorch_model*' 'adapter_model.bin' >/dev/null ||
    die "could not fetch the weights of $1 from the Hub"
  say "$1: $snapshot"
}

check=false adapter=false
case "${1:-}" in
  "") ;;
  --check) check=true ;;
  --start-adapter) adapter=true ;;
  [!-]*)
    install_client
    for name in "$@"; do cache "$name"; done
    exit ;;
  *) die "unknown argument '$1' (--check, --start-adapter, or ORG/NAME[@REVISION]...)" ;;
esac
[[ "$check" == true ]] || install_client
download google/flan-t5-base model deploy/models/flan-t5-base \
  config.json generation_config.json spiece.model tokenizer.json tokenizer_config.json special_tokens_map.json model.safetensors
download facebook/roberta-hate-speech-dynabench-r4-target model deploy/models/roberta-hate-speech \
  config.json vocab.json merges.txt tokenizer_config.json special_tokens_map.json pytorch_model.bin
download knkarthick/dialogsum dataset deploy/runs/dialogsum train.csv validation.csv test.csv
if [[ "$check" == true || "$adapter" == true ]]; then
  download_adapter intotheverse/peft-dialogue-summary-checkpoint deploy/models/peft-dialogue-summary
fi
say "ready; train with: build/release/bin/mellow up --policy-model deploy/models/flan-t5-base --reward-model deploy/models/roberta-hate-speech && build/release/bin/mellow train deploy/runs/dialogsum-flan-t5-base.json"
