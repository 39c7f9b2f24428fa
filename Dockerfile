# Both programs in one image: `docker build -t REGISTRY/leat:0.1.0 .`
# The operator starts stream pods by arguments alone, so the entry point is the data plane.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package dataplane --package operator

# glibc of the same Debian release, certificates, no shell; runs as user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/leat /src/target/release/leat-operator /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/leat"]
