#!/usr/bin/env bash
# The whole story on this machine, offline after set-up, with the two small models that ship: build, start a cluster, fine-tune by PPO, see
# whether the summaries became less toxic and no worse, make the adapter what users get if they did, and write the report. Ends with the
# cluster stopped, however it ends.
#
#   deploy/demo.sh
#
# MELLOW_BUILD_JOBS   compilers at once (default: all cores)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RUN=deploy/runs/mini.json EVAL=deploy/runs/mini-eval.json
readonly MELLOW=build/release/bin/mellow
readonly STAGES=6
readonly BEGIN=$SECONDS
stage_number=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/mellow-demo.XXXXXX")
readonly dir

stage() {
  stage_number=$((stage_number + 1))
  printf '\n== [%d/%d] %s (%d s since the start)\n' "$stage_number" "$STAGES" "$1" "$((SECONDS - BEGIN))"
}

# shellcheck disable=SC2317  # the trap calls it
stop_cluster() {
  local code=$?
  if [[ -x "$MELLOW" ]]; then "$MELLOW" down --dir "$dir"; fi
  if ((code == 0)); then rm -rf "$dir"; else printf '\nThe demo failed; logs of the services: %s/logs\n' "$dir" >&2; fi
  exit "$code"
}
trap stop_cluster EXIT
trap 'exit 130' INT TERM

# The value after the last "key": of a JSON line.
json_text() { sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }

stage "set-up and build (the first time: several minutes)"
deploy/setup.sh
cmake --preset release >"$dir/configure.log" || { cat "$dir/configure.log" >&2; exit 1; }
cmake --build --preset release -j "${MELLOW_BUILD_JOBS:-$(nproc)}" \
  --target mellow mellow_orchestrator_server mellow_learner_server mellow_reward_server mellow_policy_server mellow_review_server

stage "start a cluster: orchestrator, learner, reward, policy"
"$MELLOW" up --dir "$dir" --drain-seconds 2
"$MELLOW" status --dir "$dir"

stage "fine-tune the summarizer by PPO against the hate-speech classifier"
"$MELLOW" train "$RUN" --dir "$dir"

stage "evaluate: held-out dialogues before and after, with the same random numbers"
status=$("$MELLOW" status --dir "$dir" --json)
adapter=$(json_text path <<<"$status")
version=$(sed -n 's/.*"run":.*"version":\([0-9]*\).*/\1/p' <<<"$status")
verdict=0
"$MELLOW" evaluate "$EVAL" --dir "$dir" --out "$dir/evaluation" --pairs 10 --require-drop 0.8 --max-rouge-loss 0.02 || verdict=$?
((verdict == 0 || verdict == 3)) || exit "$verdict"

stage "promote: the gates decide whether users get this adapter"
promoted=0
"$MELLOW" promote "$version" --dir "$dir" --evaluation "$dir/evaluation/evaluation.json" --reason "the demo" || promoted=$?
((promoted == 0 || promoted == 3)) || exit "$promoted"

stage "report, and where things are"
kept="$PWD/build/demo-adapter" report="$PWD/build/demo-report"
rm -rf "$kept" && cp -r "$adapter" "$kept"
"$MELLOW" report "$dir/evaluation/evaluation.json" --dir "$dir" --out "$report"
cp "$dir/evaluation/evaluation.json" "$report/"
metrics=$(grep -o 'http://[0-9.:]*/metrics' "$dir/cluster.json" | head -n 1)
cat <<TEXT
The report (open it in a browser):  $report/report.html
The adapter (a PEFT folder):  $kept
KL, returns and advantages, while a cluster runs:
  curl -s ${metrics:-http://HOST:PORT/metrics} | grep mellow_ppo_
TEXT
if command -v curl >/dev/null && [[ -n "$metrics" ]]; then
  curl -s "$metrics" | grep -E '^mellow_ppo_(objective_kl|returns_mean|advantages_mean|score_mean)' | sed 's/^/    /' || true
fi
cat <<TEXT
What to try next:
  $MELLOW up                                                       # a cluster of your own in .mellow; then
  $MELLOW promote build/demo-adapter --force --reason 'the demo'   # users of it get what the demo trained:
  echo '{"dialogue": "#Person1#: Where is my parcel? #Person2#: The depot is full, you moron. I promise to send it on Friday."}' | $MELLOW summarize
  $MELLOW train $RUN --set seed=2                 # another seed
  $MELLOW review new $report/evaluation.json --out review.sqlite   # ask people; then build/release/bin/mellow_review_server --study review.sqlite
  deploy/tools/fetch_models.sh                                     # the real models; then see deploy/runs/README.md
Total time: $((SECONDS - BEGIN)) s
TEXT
# What was asked of the run, or what the gates ask before users get it, did not hold.
exit "$((verdict != 0 ? verdict : promoted))"
