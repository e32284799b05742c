# An image with the service and its models. It has no compiler and no PyTorch, and runs as a non-root user.
# The digest names the image for all processors; docker buildx imagetools inspect python:3.11-slim says the latest.
FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7 AS python

FROM python AS build
# signing.txt has what THIMBLE_MODEL_KEY needs as well.
ARG REQUIREMENTS=requirements.txt
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/thimble
WORKDIR /build
COPY deploy/image deploy/image
RUN pip install --require-hashes --requirement deploy/image/build.txt \
    && /opt/thimble/bin/pip install --require-hashes --requirement "deploy/image/$REQUIREMENTS"
COPY pyproject.toml README.md LICENSE ./
COPY serving serving
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/thimble/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/thimble/bin/pip uninstall --yes pip setuptools

FROM python
LABEL org.opencontainers.image.title="Thimble" \
      org.opencontainers.image.description="Classifies uploaded images over HTTP" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin thimble
COPY --from=build /opt/thimble /opt/thimble
WORKDIR /srv/thimble
COPY models models
ENV PATH=/opt/thimble/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    THIMBLE_HOST=0.0.0.0
RUN python -m serving.sbom > sbom.cdx.json
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('THIMBLE_HTTP_PORT', 8000)), timeout=2); \
connection.request('GET', '/readyz'); sys.exit(connection.getresponse().status != 200)"]
CMD ["python", "-m", "serving"]
