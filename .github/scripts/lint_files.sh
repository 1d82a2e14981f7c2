#!/usr/bin/env bash
# Check what ships besides Python: Dockerfiles, compose file, Cloud Build, workflows, templates, shell scripts.
# usage: lint_files.sh [--online]    --online also asks GitHub about the actions that are pinned (GH_TOKEN)
set -euo pipefail
cd "$(dirname "$0")/../.."

offline=--offline
[[ "${1:-}" == --online ]] && offline=

hadolint dockerfiles/*.dockerfile orchestration/airflow/Dockerfile
zizmor --quiet --persona=pedantic ${offline:+"$offline"} .

schema() {
  check-jsonschema --quiet --builtin-schema "vendor.$1" "${@:2}"
}
schema github-workflows .github/workflows/*.yml
schema github-actions .github/actions/*/action.yml
schema github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
schema github-issue-config .github/ISSUE_TEMPLATE/config.yml
schema dependabot .github/dependabot.yml
schema compose-spec compose.yaml orchestration/airflow/compose.yaml
schema cloudbuild cloudbuild.yaml
schema citation-file-format CITATION.cff

# Where they are installed, as on GitHub's machines; actionlint runs shellcheck on the workflows, too.
if command -v shellcheck > /dev/null; then
  shellcheck --external-sources --source-path=SCRIPTDIR .github/scripts/*.sh .ci/run
fi
if command -v actionlint > /dev/null; then
  actionlint
fi
echo "Files are clean."
