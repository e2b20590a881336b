#!/usr/bin/env bash
# Installs what the compatibility tests drive Larder with: the AWS CLI, boto3,
# the SDK for JavaScript, ioredis, redis-py, redis-cli, ip and openssl. Installs only what is
# missing; with everything in place it needs neither network nor root.
set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

need awscli have aws
need python3-boto3 python3 -c 'import boto3'
need python3-redis /usr/bin/python3 -c 'import redis.cluster'
need redis-tools have redis-cli
need redis-tools have redis-benchmark
need iproute2 have ip
need openssl have openssl
need nodejs have node
need npm have npm
# The race detector is linked by a C compiler.
need gcc have gcc
need libc6-dev test -e /usr/include/stdlib.h

install_needed

# npm writes the installed state beside the modules; a lock that is newer than
# it has not been installed yet.
js="$(dirname "${BASH_SOURCE[0]}")/../test/compat/js"
if [ -e "$js/package-lock.json" ] && [ ! "$js/node_modules/.package-lock.json" -nt "$js/package-lock.json" ]; then
  say "installing the packages of test/compat/js"
  (cd "$js" && npm ci --no-audit --no-fund --silent && touch node_modules/.package-lock.json)
fi
say "all test tools are there"
