# The host and the headless client. Built once; the image holds two binaries, no compiler, no shell script but the demo's.
FROM node:22-bookworm-slim AS console
WORKDIR /src
COPY scripts/console scripts/node-fits scripts/
COPY api api
COPY dashboards/colours.json dashboards/
COPY crates/punktfunk-mgmt/docs crates/punktfunk-mgmt/docs
COPY web web
RUN scripts/console

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends nasm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=console /src/web/dist web/dist
COPY --from=console /src/crates/punktfunk-mgmt/docs/node_modules crates/punktfunk-mgmt/docs/node_modules
RUN cargo build --release --locked -p punktfunk-host -p punktfunk-probe

FROM debian:bookworm-slim
# The group by which Prometheus and Grafana read the secrets that are theirs.
RUN groupadd --gid 10001 punktfunk \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/punktfunk punktfunk \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/punktfunk
COPY --from=build /src/target/release/punktfunk-host /src/target/release/punktfunk-probe /usr/local/bin/
USER 10001:10001
ENV PUNKTFUNK_CONFIG_DIR=/var/lib/punktfunk
VOLUME /var/lib/punktfunk
EXPOSE 47990/tcp 47800/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["punktfunk-host", "ctl", "status"]
ENTRYPOINT ["punktfunk-host"]
CMD ["serve"]
