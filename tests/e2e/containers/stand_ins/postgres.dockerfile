# Stands in for docker.io/library/postgres where no registry is reached: Debian's PostgreSQL with the same variables.
FROM docker.io/library/debian:bookworm-slim
# hadolint ignore=DL3008
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \
    && apt-get update && apt-get install --yes --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner postgres /var/lib/postgresql/data
COPY postgres.sh /postgres.sh
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
USER 999:999
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "/postgres.sh"]
