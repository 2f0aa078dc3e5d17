# Debian's Prometheus, for tests where prom/prometheus cannot be pulled.
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
