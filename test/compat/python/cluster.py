"""Writes and reads in a group in cluster mode with redis-py, without a pause; see cluster_clients_test.go for what is said."""

import json
import logging
import os
import sys
import threading
import time

from redis.cluster import RedisCluster
from redis.exceptions import RedisError

logging.disable()  # what a client tries again is no error of the application
secured = {"ssl": True, "ssl_ca_certs": os.environ["LARDER_CA_FILE"], "password": os.environ["TOKEN"]} if os.environ.get("TOKEN") else {}
client = RedisCluster(host=os.environ["HOST"], port=int(os.environ["PORT"]), socket_timeout=5, **secured)
acknowledged = {}
phases, turn = [], threading.Condition()


def listen():
    for line in sys.stdin:
        with turn:
            phases.append(line.split())
            turn.notify()


def write(key, i):
    client.set(key, i)
    assert int(client.get(key)) == i, f"{key} is not what was written"


def replicated(key):
    # A client of one thread has one connection to a node, which is what WAIT is about.
    try:
        node = client.get_redis_connection(client.get_node_from_key(key))
        return node.execute_command("WAIT", 1, 1000) >= 1
    except RedisError:
        return False


def say(**what):
    print(json.dumps(what), flush=True)


i = 0


def run(name, mode):
    """One phase, up to the line that begins the next."""
    global i
    done, errors, stumbled, slowest = 0, [], 0, 0
    while not phases:
        i += 1
        key = f"redis-py-{i % 1000}"
        began = time.monotonic()
        while True:
            try:
                write(key, i)
                if mode == "plain" or replicated(key):
                    break
            except AttributeError:  # 4.3 stumbles over ASK to a node that it has not met
                stumbled += 1
            except Exception as e:  # whatever an application would see
                errors.append(f"{type(e).__name__}: {e}")
            time.sleep(0.01)
        acknowledged[key] = i
        done += 1
        slowest = max(slowest, time.monotonic() - began)
        if done == 50:
            say(begun=name)
        time.sleep(0.005)
    say(phase=name, operations=done, errors=len(errors), first=(errors or [""])[0], stumbled=stumbled, slowest_ms=round(slowest * 1000))


threading.Thread(target=listen, daemon=True).start()
while True:
    with turn:
        turn.wait_for(lambda: phases)
        phase = phases.pop(0)
    if phase == ["end"]:
        break
    run(*phase)
lost = [k for k, v in acknowledged.items() if int(client.get(k) or 0) < v]
say(phase="end", operations=len(acknowledged), lost=len(lost), first=(lost or [""])[0])
