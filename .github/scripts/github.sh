# Read by the other scripts: how a job tells GitHub something. Elsewhere it is printed.
# shellcheck shell=bash

# output NAME VALUE: for later steps.
output() {
  echo "$1=$2" >> "${GITHUB_OUTPUT:-/dev/stdout}"
}

# summary: what comes in goes to the page of the run.
summary() {
  cat >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
}

# notice TITLE TEXT, warning TITLE TEXT: a line that stands on the page of the run.
notice() {
  echo "::notice title=$1::$2"
}
warning() {
  echo "::warning title=$1::$2"
}
