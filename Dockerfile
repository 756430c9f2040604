# Builds tend and leaves nothing else: COPY --from=tend /sbin/ /sbin/ puts it into any
# image, and an image of jobs that need no shell may begin FROM tend.
ARG BASE=golang:1.26-bookworm
FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN mkdir -p /out/sbin \
 && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/sbin/tend ./cmd/tend \
 && /out/sbin/tend install /out/sbin

FROM scratch
COPY --from=build /out/ /
ENTRYPOINT ["/sbin/tend"]
