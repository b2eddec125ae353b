# SPDX-License-Identifier: Apache-2.0
#
# An image with the static program and nothing else. docs/install.md says what a
# container of it needs.
#
#   docker build --build-arg VERSION=v1.2.3 -t netprobe-xdp .
#
# The program is built where the builder runs and for where the image is to run, so
# an image for another architecture needs no emulation.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETARCH
ARG VERSION=devel
ARG REVISION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOARCH=$TARGETARCH go build -buildvcs=false -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" \
    -o /out/usr/bin/netprobe-xdp ./cmd/netprobe-xdp \
 && install -D -m 644 packaging/netprobe.yaml /out/etc/netprobe-xdp/netprobe.yaml \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /out/ /
# It runs as root with the few capabilities that the container is given, and gives
# up those that only the start needs.
ENTRYPOINT ["/usr/bin/netprobe-xdp"]
CMD ["--help"]
