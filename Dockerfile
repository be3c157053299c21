# One image for every service, the gateway's service, the one-shots, and the emulators.
#
# What changes least comes first: a change of the code ships the last layer again, and nothing else. A mirror of the
# package index, and the authority of its certificate, are secrets of the build: they stay in no layer.
#   docker build --secret id=pip,src=pip.conf --secret id=ca,src=ca.pem -t gospablik .
# where pip.conf has `index-url`, and `cert = /run/secrets/ca`.
ARG PYTHON_IMAGE=python:3.11.16-slim-trixie

FROM ${PYTHON_IMAGE} AS packages
RUN python -m venv --without-pip /opt/gospablik
COPY requirements.lock ./
# Of the packages, what nothing here runs is left out: their tests, and natasha but for its word vectors.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca,required=false \
    pip --python /opt/gospablik/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes -r requirements.lock \
    && cd /opt/gospablik/lib/python3.11/site-packages \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && rm -rf natasha/data/model natasha/data/dict

# Without what no container runs, and without the names of symbols in libraries, which only debuggers read.
FROM packages AS services
COPY cli/deployment/strip_symbols.py /opt/
RUN cd /opt/gospablik/lib/python3.11/site-packages \
    && rm -rf holidays* numpy/f2py \
    && rm -rf sqlalchemy/testing sqlalchemy/dialects/mssql sqlalchemy/dialects/mysql sqlalchemy/dialects/oracle \
    && find pygments/lexers -type f ! -name '__init__*' ! -name '_mapping*' -delete \
    && find . -regex '.*\.\(a\|c\|h\|cpp\|hpp\|pyx\|pxd\|pxi\|pyi\|f\|f90\)' -delete \
    && python /opt/strip_symbols.py .

# What teaches the classifier: it reads no network.
FROM packages AS teaching
COPY requirements-training.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca,required=false \
    pip --python /opt/gospablik/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes -r requirements-training.lock

# The code and its command, for the Python of the packages. Migrations run once: nothing is compiled for them.
FROM packages AS code
WORKDIR /src
COPY requirements-embedded.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca,required=false \
    python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
        -r requirements-embedded.lock
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY migrations migrations
COPY emulators emulators
COPY cli cli
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --disable-pip-version-check --wheel-dir /wheels . \
    && pip --python /opt/gospablik/bin/python install --no-deps --no-index --disable-pip-version-check \
        --target /opt/code /wheels/*.whl \
    && rm -rf /opt/code/cli/demo /opt/code/*.dist-info/RECORD /opt/code/services/appeals/classification/model/data \
    && find /opt/code/migrations -name __pycache__ -prune -exec rm -rf {} +

FROM ${PYTHON_IMAGE} AS base
# The image of Python has no bytecode, and the root of a container is read-only: each process would compile.
RUN python -m compileall -q -x '/(test|idlelib|lib2to3|tkinter|turtledemo|ensurepip|site-packages)/' /usr/local/lib/python3.11 \
    && groupadd --gid 10001 gospablik \
    && useradd --no-log-init --home-dir /app --create-home --uid 10001 --gid 10001 gospablik \
    && install -d -o gospablik -g gospablik -m 0700 /keys /data /attachments /etc/traefik /acme \
       /keys/registry /keys/ingest /keys/appeals /keys/metrics /keys/webhooks
ENV PATH=/opt/code/bin:/opt/gospablik/bin:$PATH \
    PYTHONPATH=/opt/code \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    GOSPABLIK_HOST=0.0.0.0 \
    GOSPABLIK_PORT=8000 \
    GOSPABLIK_KEYS_DIR=/keys
USER gospablik
WORKDIR /app
EXPOSE 8000
ENTRYPOINT ["gospablik"]
CMD ["--help"]
COPY --chmod=755 cli/deployment/ready.bash /usr/local/bin/ready

# `docker build --target training -t gospablik-training .`: the command `gospablik topics train` and its packages.
FROM base AS training
COPY --from=teaching /opt/gospablik /opt/gospablik
COPY services/appeals/classification/model/data /opt/code/services/appeals/classification/model/data
COPY --from=code /opt/code /opt/code

FROM base
COPY --from=services /opt/gospablik /opt/gospablik
# The built-in model changes more rarely than the code, so it has its own layer.
COPY services/appeals/classification/model/data /opt/code/services/appeals/classification/model/data
COPY --from=code /opt/code /opt/code
