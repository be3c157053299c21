# One image for every service, the gateway's service, the one-shot that prepares the database, and the emulators.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/gospablik
COPY requirements.lock ./
RUN /opt/gospablik/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY migrations migrations
COPY emulators emulators
COPY cli cli
RUN /opt/gospablik/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --home-dir /app --create-home --uid 10001 gospablik \
    && install -d -o gospablik -g gospablik -m 0700 /keys /data /attachments /etc/traefik /acme \
       /keys/registry /keys/ingest /keys/appeals /keys/metrics /keys/webhooks
COPY --chmod=755 cli/deployment/ready.bash /usr/local/bin/ready
COPY --from=build /opt/gospablik /opt/gospablik
ENV PATH=/opt/gospablik/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GOSPABLIK_HOST=0.0.0.0 \
    GOSPABLIK_PORT=8000 \
    GOSPABLIK_KEYS_DIR=/keys
USER gospablik
WORKDIR /app
EXPOSE 8000
ENTRYPOINT ["gospablik"]
CMD ["--help"]
