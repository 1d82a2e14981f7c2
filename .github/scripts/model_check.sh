#!/usr/bin/env bash
# Test a bundle the way `promote` does, measure it, and hold its figures against bounds.
# usage: model_check.sh BUNDLE
# environment: DATA  an imported data set, or a folder that is tracked by DVC, to measure it on; without one, the
#              figures count that the bundle brings along, which its name vouches for
#              MIN_ACCURACY  0-1; MAX_MS  milliseconds per face on one core; STORE  where bundles are (models)
set -euo pipefail
here=$(dirname "$0")
source "$here/github.sh"
python=${PYTHON:-python}
store=${STORE:-models}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A damaged bundle ends here.
"$python" -m mlopsproject.promote "bundle=$store/$1" alias=checked "store.uri=$scratch/models"
name=$(cat "$scratch/models/aliases/checked")

if [[ -n "${DATA:-}" ]]; then
  if [[ ! -d "$DATA" && -f "$DATA.dvc" ]]; then
    "$python" -m dvc pull --quiet "$DATA.dvc"
  fi
  measured="on the test split of $DATA"
  figures=runs/evaluate/ci/metrics.json
  "$python" -m mlopsproject.evaluate "bundle=$name" "data.name=$DATA" "store.uri=$scratch/models" examples=false \
    hydra.run.dir=runs/evaluate/ci
else
  measured="as its metrics.json has them"
  figures=$scratch/models/$name/metrics.json
fi
"$python" -m mlopsproject.benchmark what=latency "latency.bundle=$name" "latency.store=$scratch/models" \
  hydra.run.dir=runs/benchmark/ci

"$python" "$here/model_check.py" "$figures" runs/benchmark/ci/benchmark.json --title "$1: $name, figures $measured" \
  --least "accuracy=$MIN_ACCURACY" --most "fp32_ms=$MAX_MS" > "$scratch/summary.md" || code=$?
summary < "$scratch/summary.md"
exit "${code:-0}"
