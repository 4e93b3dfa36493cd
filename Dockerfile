# The image of walletd: one static binary, for any user id and a read-only root. Its
# configuration is not in it, for that holds passwords: it comes by the environment, as
# from the compose files, or is mounted at /etc/walletd/config.env. It needs no feature of BuildKit, so that old builders build it too.
# Another of walletctl for operators: docker build --target walletctl.
FROM golang:1.26-bookworm AS build
WORKDIR /src
# A layer of its own: the modules are fetched again only when these two files change.
COPY go.mod go.sum ./
RUN go mod download
COPY client client
COPY cmd cmd
COPY internal internal
ARG VERSION=unversioned
RUN CGO_ENABLED=0 go build -trimpath -tags production -ldflags "-s -w -X github.com/walletd/walletd/internal/build.stamped=${VERSION}" -o /walletd ./cmd/walletd

FROM build AS build-walletctl
ARG VERSION=unversioned
RUN CGO_ENABLED=0 go build -trimpath -tags production -ldflags "-s -w -X github.com/walletd/walletd/internal/build.stamped=${VERSION}" -o /walletctl ./cmd/walletctl

# Its own image: it would nearly double that of walletd.
FROM gcr.io/distroless/static-debian12:nonroot AS walletctl
COPY --from=build-walletctl /walletctl /usr/local/bin/walletctl
WORKDIR /etc/walletd
ENTRYPOINT ["/usr/local/bin/walletctl"]

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /walletd /usr/local/bin/walletd
# walletd reads config.env where it runs, if there is one; the environment overrides it.
WORKDIR /etc/walletd
EXPOSE 8080 8081 8082
# Exit 0 while /readyz answers 200. There is no shell here.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/usr/local/bin/walletd", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/walletd"]
CMD ["serve"]
