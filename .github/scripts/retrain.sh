#!/usr/bin/env bash
# A retraining up to its decision, one step after the other; `retrain.sh promote` then carries it out.
# usage: retrain.sh learn | promote  [OVERRIDE...]     more overrides of configs/retrain.yaml, the same both times
# environment, likewise: NEW_DATA  ALIAS  STORE  TRIGGER  SINCE  MARGIN
# outputs: candidate  name of the bundle that was trained; empty if there was no reason to
#          better     true if it may take production's place
#          data       what both were measured on
#          promoted   name of the bundle that the alias holds now; empty if it was not moved
set -euo pipefail
source "$(dirname "$0")/github.sh"
python=${PYTHON:-python}
overrides=("new_data=$NEW_DATA" "alias=$ALIAS" "store.uri=$STORE" "trigger=$TRIGGER" "since=$SINCE" "gate.margin=$MARGIN")
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# run STEP OVERRIDE...: do a step; `folder` is then where its result is.
run() {
  local code=0
  "$python" -m mlopsproject.retrain "step=$1" progress=false "${overrides[@]}" "${@:2}" | tee "$said" || code=$?
  folder=$(sed -n 's/^Steps done: .* Folder: //p' "$said")
  return "$code"
}

# result STEP KEY: what a step left; nothing if it was not done.
result() {
  if [[ -f "$folder/$1.json" ]]; then
    jq --raw-output "$2 | select(. != null)" "$folder/$1.json"
  fi
}

case "$1" in
  learn)
    for step in check merge train compare; do
      code=0
      run "$step" "${@:2}" || code=$?
      # 4: too few faces to tell, which is a reason to stop like others.
      if [[ "$code" != [04] ]]; then
        exit "$code"
      fi
      reason=$(result stopped .reason)
      [[ -z "$reason" ]] || break
    done
    if [[ -n "$reason" ]]; then
      notice "Nothing to retrain" "$reason"
      echo "**Nothing to retrain.** $reason" | summary
    fi
    result comparison '"**" + .candidate + "**: " + .reason' | summary
    output candidate "$(result train .candidate)"
    output better "$(result compare .better)"
    output data "$(result merge .data)"
    ;;
  promote)
    run promote "${@:2}"
    promoted=$(result promote .promoted)
    if [[ -n "$promoted" ]]; then
      echo "**Promoted:** \`$promoted\`" | summary
    else
      echo "**Kept aside:** the candidate is not certainly better." | summary
    fi
    output promoted "$promoted"
    ;;
  *)
    echo "error: retrain.sh $1: learn or promote." >&2
    exit 1
    ;;
esac
