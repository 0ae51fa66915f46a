# syntax=docker/dockerfile:1
# Homeward in one image: `serve` on SQLite by default; `web` and `work` where PostgreSQL and Redis are (compose.yaml).
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.txt requirements-dev.txt ./
# every package by its hash; the one that builds our own wheel is taken out of the same lock
RUN python -m venv /opt/homeward \
 && /opt/homeward/bin/pip install --require-hashes --only-binary :all: -r requirements.txt \
 && sed -n '/^setuptools==/,/^    # via/p' requirements-dev.txt > build.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --only-binary :all: -r build.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /opt/homeward/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/homeward/bin/python -m compileall -q /opt/homeward/lib

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 homeward \
 && useradd --system --uid 10001 --gid homeward --home-dir /data --shell /usr/sbin/nologin homeward \
 && install --directory --owner=homeward --group=homeward --mode=0700 /data
COPY --from=build /opt/homeward /opt/homeward
ENV PATH=/opt/homeward/bin:$PATH PYTHONUNBUFFERED=1 HOMEWARD_DATA=/data HOMEWARD_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# a worker has no port: compose.yaml asks it otherwise
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["homeward"]
CMD ["serve"]
