# One image for each server: --target chatserver, subscriber or livesupport.
# Needs BuildKit, the default of today's Docker.
ARG GO_IMAGE=golang:1.26.8-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=devel
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X livesupport/cmd/internal/backend.version=${VERSION}" \
    -o /out/ ./cmd/chatserver ./cmd/subscriber ./cmd/livesupport

# Nothing but a static binary, certificates and a user without rights. There is
# no shell: the binary checks its own health.
FROM ${BASE_IMAGE} AS base
USER 65532:65532

FROM base AS chatserver
COPY --from=build /out/chatserver /chatserver
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["/chatserver", "--healthcheck"]
ENTRYPOINT ["/chatserver"]

FROM base AS subscriber
COPY --from=build /out/subscriber /subscriber
EXPOSE 9001
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["/subscriber", "--healthcheck"]
ENTRYPOINT ["/subscriber"]

FROM base AS livesupport
COPY --from=build /out/livesupport /livesupport
EXPOSE 9000 9001
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["/livesupport", "--healthcheck"]
ENTRYPOINT ["/livesupport"]
