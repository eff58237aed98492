# The app in a container that needs no network once it is built:
#
#     docker build -t fracture-reader .
#     docker run --rm -p 127.0.0.1:8501:8501 -v fracture-reader:/data fracture-reader
#
# Its steps, and the app as its user, were tried in a bare Debian 12 with Python 3.11; Docker itself has not built it yet.
# It is published on the host's loopback address only: whoever can reach the port can use the app. README says how to put
# it behind a proxy with a login. /data keeps runs, new models, the dataset and caches.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt requirements.lock ./
RUN python -m venv /opt/fracture-reader \
 && /opt/fracture-reader/bin/pip install --no-cache-dir --requirement requirements.txt --constraint requirements.lock
COPY . .
RUN /opt/fracture-reader/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim-bookworm
COPY --from=build /opt/fracture-reader /opt/fracture-reader
RUN useradd --create-home --uid 10001 reader && install -d -o reader -g reader /data
USER reader
ENV PATH=/opt/fracture-reader/bin:$PATH \
    XDG_DATA_HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_HEADLESS=true
VOLUME /data
WORKDIR /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["fracture-reader"]
CMD ["app"]
