# nginx's image with drainmon's client, for nginx-own-image.yaml:
#
#     docker build --file nginx-own-image.Dockerfile --tag registry.example.com/web:1.31 .
FROM nginx:1.31-alpine-slim
COPY --from=registry.example.com/drainmon-client:0.1.0 /drainmon-wait /usr/local/bin/drainmon-wait
