# Stands in for docker.io/library/redis where no registry is reached: Debian's Redis.
FROM docker.io/library/debian:bookworm-slim
# hadolint ignore=DL3008
RUN groupadd --gid 999 redis && useradd --uid 999 --gid redis --home-dir /data redis \
    && apt-get update && apt-get install --yes --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner redis /data
WORKDIR /data
VOLUME /data
USER 999:999
EXPOSE 6379
CMD ["redis-server"]
