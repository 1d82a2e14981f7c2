#!/usr/bin/env bash
# The drift job, and what follows from it.
# usage: drift.sh OVERRIDE...          overrides of configs/drift.yaml, such as current=log since=7d
# output: retrain  true if the chain goes on
# environment: DATABASE_URL  where the log is; NEW_DATA  labelled faces for a retraining
# exit code: 0, also with too little data; 3 for drift or decay that nothing here can answer; 1 for an error
set -euo pipefail
here=$(dirname "$0")
source "$here/github.sh"
python=${PYTHON:-python}
folder=${DRIFT_FOLDER:-runs/drift/ci}

if [[ " $* " == *" current=log "* && -z "${DATABASE_URL:-}" ]]; then
  notice "No prediction log" "The secret DATABASE_URL is not set, so that nothing was checked."
  echo "**Not checked:** the secret \`DATABASE_URL\` is not set. See docs/automation.md." | summary
  output retrain false
  exit 0
fi

code=0
"$python" -m mlopsproject.drift "hydra.run.dir=$folder" progress=false "$@" || code=$?
if [[ "$code" != [034] ]]; then
  exit "$code"
fi

jq --raw-output --from-file "$here/drift.jq" "$folder/drift.json" | summary
case "$code" in
  0)
    output retrain false
    ;;
  4)
    notice "Not enough data" "Too few different faces to tell whether there is drift."
    output retrain false
    ;;
  3)
    if [[ -n "${NEW_DATA:-}" ]]; then
      warning "Drift" "A retraining on $NEW_DATA begins."
      output retrain true
    else
      output retrain false
      echo "::error title=Drift::The variable NEW_DATA names no labelled faces to learn from. Label some, then run: retrain"
      exit 3
    fi
    ;;
esac
