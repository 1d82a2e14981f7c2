#!/usr/bin/env bash
# Import the data sets that DVC files track, and say what is in them.
# usage: data_change.sh [FILE.dvc...]      without any: those that differ from BASE, or all if there is no such commit
# environment: BASE  commit to compare with; SHARE_PICTURES  true if reports may show faces to whoever sees the run
# Reports to upload are put into reports/shared/.
set -euo pipefail
here=$(dirname "$0")
source "$here/github.sh"
python=${PYTHON:-python}
before=$(mktemp)
trap 'rm -f "$before"' EXIT

files=("$@")
if [[ $# == 0 ]] && git cat-file -e "${BASE:-none}^{commit}" 2> /dev/null; then
  mapfile -t files < <(git diff --name-only --diff-filter=d "$BASE" -- '*.dvc')
elif [[ $# == 0 ]]; then
  mapfile -t files < <(git ls-files '*.dvc')
fi
if [[ ${#files[@]} == 0 ]]; then
  notice "No data" "No data set has changed."
fi

for file in "${files[@]}"; do
  folder=${file%.dvc}
  name=$(basename "$folder")
  "$python" -m dvc pull --quiet "$file"
  # A data set that is tracked as it was imported, such as data/fer2013.dvc, needs no import.
  if [[ ! -f "data/$name/import.json" ]]; then
    "$python" -m mlopsproject.import_data "source=$folder" "name=$name" progress=false
  fi
  "$python" -m mlopsproject.data_report "name=$name"

  : > "$before"
  if [[ -n "${BASE:-}" ]]; then
    git show "$BASE:$file" > "$before" 2> /dev/null || true
  fi
  "$python" "$here/data_summary.py" "data/$name/import.json" --tracked "$file" --before "$before" | summary

  # The faces of these are drawn.
  if [[ "$name" == train_data || "$name" == drift_data || "${SHARE_PICTURES:-}" == true ]]; then
    mkdir -p reports/shared
    cp "reports/data-$name.html" reports/shared/
  else
    notice "Report not uploaded" "data-$name.html shows faces; the variable SHARE_PICTURES=true uploads it."
  fi
done
