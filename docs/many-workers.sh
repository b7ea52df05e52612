#!/bin/sh
# Train one recipe with several workers.
#   docs/many-workers.sh "127.0.0.1:4711 127.0.0.1:4712" all simple --out runs/simple
#   docs/many-workers.sh "10.0.0.1:4711 10.0.0.2:4711" 0 simple --out runs/simple   on the first
#   docs/many-workers.sh "10.0.0.1:4711 10.0.0.2:4711" 1 simple --out runs/simple   on the second
# First the addresses of all workers, in the same order everywhere; then which of them to start
# here, or "all"; then what `kws-train fit` takes.
set -eu
addresses=$1 which=$2
shift 2

list=$(printf '"%s", ' $addresses)
n=$(set -- $addresses; echo $#)

start() {
    index=$1
    shift
    TF_CONFIG="{\"cluster\": {\"worker\": [${list%, }]}, \"task\": {\"type\": \"worker\", \"index\": $index}}" \
        kws-train fit "$@"
}

if [ "$which" != all ]; then
    start "$which" "$@"
    exit
fi
index=1
while [ "$index" -lt "$n" ]; do
    start "$index" "$@" &
    index=$((index + 1))
done
start 0 "$@"
wait
