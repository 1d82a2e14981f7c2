#!/usr/bin/env bash
# Build an image on the layers of its last build: build_image.sh NAME REPOSITORY TAG
set -euo pipefail
name=$1 image=$2/mlopsproject-$1 tag=$3

build() {
    DOCKER_BUILDKIT=1 docker build --file "dockerfiles/$name.dockerfile" --build-arg BUILDKIT_INLINE_CACHE=1 \
        --cache-from "$image:packages" --cache-from "$image:latest" "$@" .
}

# An image keeps the layers of its last stage only; the installed packages, most of the work, are in an earlier one.
build --target packages --tag "$image:packages"
build --build-arg "REVISION=$tag" --tag "$image:$tag" --tag "$image:latest"
