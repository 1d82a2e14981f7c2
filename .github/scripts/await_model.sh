#!/usr/bin/env bash
# Wait until an API answers, with a bundle if one is named.
# usage: await_model.sh URL [NAME]       environment: SECONDS_LEFT (300)
set -euo pipefail
url=$1 name=${2:-}
end=$((SECONDS + ${SECONDS_LEFT:-300}))

while true; do
  answers=$(curl --silent --max-time 10 "$url/ready" | jq --raw-output '.model_version // empty' 2> /dev/null || true)
  if [[ -n "$answers" && ( -z "$name" || "$answers" == "$name" ) ]]; then
    echo "$url answers with $answers."
    exit 0
  fi
  if ((SECONDS >= end)); then
    echo "error: $url answers with ${answers:-nothing}, not with ${name:-a bundle}. Does its MODEL_STORE hold the alias?" >&2
    exit 1
  fi
  sleep 5
done
