# The daemon, its kernel programs and the hook's client, for the machine that builds it:
#
#     docker build --tag drainmon:0.1.0 .
#
# The client alone, for image volumes and COPY --from:
#
#     docker build --target client --tag drainmon-client:0.1.0 .
#
# With --platform=linux/arm64 they are for arm64, if this machine runs its programs by qemu-user.
#
# BASE may name a digest (debian:12-slim@sha256:...); the lock files pin packages from PyPI and npm by
# digest. WITH_BCC=yes adds bcc, for kernels without BTF.
ARG BASE=debian:12-slim

# The client comes first: builders without BuildKit build every stage above the target.
FROM ${BASE} AS build-client
WORKDIR /src
COPY Makefile ./
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make \
 && make client-tools
COPY client ./client/
RUN make build/drainmon-wait

FROM scratch AS client
COPY --from=build-client /src/build/drainmon-wait /drainmon-wait
LABEL org.opencontainers.image.title="drainmon-client" \
      org.opencontainers.image.description="The preStop hook that waits until a pod is drained" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/drainmon-wait"]

FROM ${BASE} AS run
ARG WITH_BCC=no
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 libbpf1 \
        $(test "$WITH_BCC" = no || echo python3-bpfcc) \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

FROM run AS build
WORKDIR /src
COPY Makefile ./
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make \
 && make tools
COPY requirements.lock requirements-build.lock ./
RUN python3 -m venv --without-pip /opt/npm \
 && pip --python /opt/npm install --quiet --no-cache-dir --require-hashes --only-binary :all: \
        --requirement requirements-build.lock
RUN python3 -m venv --system-site-packages --without-pip /opt/drainmon \
 && pip --python /opt/drainmon install --quiet --no-cache-dir --ignore-installed \
        --require-hashes --only-binary :all: --requirement requirements.lock
COPY . ./
RUN make wheel NPM=/opt/npm/bin/npm \
 && pip --python /opt/drainmon install --quiet --no-deps --no-index build/wheel/*.whl
COPY --from=build-client /src/build/drainmon-wait /opt/drainmon/bin/

FROM run
COPY --from=build /opt/drainmon /opt/drainmon
ENV PATH=/opt/drainmon/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.opencontainers.image.title="drainmon" \
      org.opencontainers.image.description="Drains nginx pods without losing a request" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
      org.opencontainers.image.base.name="docker.io/library/debian:12-slim"
ENTRYPOINT ["/opt/drainmon/bin/drainmon"]
CMD ["daemon"]
