#!/usr/bin/env bash
# Installs the clients that the first commands use, where they are missing: the
# AWS CLI and redis-cli.
set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

need awscli have aws
need redis-tools have redis-cli
install_needed
