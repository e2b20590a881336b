// Writes and reads in a group in cluster mode with ioredis, without a pause; see cluster_clients_test.go for what is said.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import calculateSlot from "cluster-key-slot";

const { HOST, PORT, TOKEN, LARDER_CA_FILE } = process.env;
const redisOptions = TOKEN ? { password: TOKEN, tls: { ca: readFileSync(LARDER_CA_FILE) } } : {};
const client = new Cluster([{ host: HOST, port: Number(PORT) }], { redisOptions });
client.on("error", () => {}); // what an operation does not get is no error of the application
const acknowledged = new Map();
const say = (what) => console.log(JSON.stringify(what));

async function write(key, i) {
  await client.set(key, i);
  const got = await client.get(key);
  if (got !== String(i)) throw new Error(`${key} is ${got}, not what was written`);
}

// There is one connection to a node, which is what WAIT is about.
async function replicated(key) {
  const primary = client.slots[calculateSlot(key)][0];
  const node = client.nodes().find((n) => `${n.options.host}:${n.options.port}` === primary);
  return (await node?.wait(1, 1000).catch(() => 0)) >= 1;
}

const phases = [];
let arrived = () => {};
createInterface({ input: process.stdin }).on("line", (line) => {
  phases.push(line.split(" "));
  arrived();
});

let i = 0;
// run is one phase, up to the line that begins the next.
async function run(name, mode) {
  let done = 0, slowest = 0;
  const errors = [];
  while (phases.length === 0) {
    const key = `ioredis-${++i % 1000}`;
    const began = performance.now();
    for (;;) {
      try {
        await write(key, i);
        if (mode === "plain" || await replicated(key)) break;
      } catch (e) { // whatever an application would see
        errors.push(String(e));
      }
      await sleep(10);
    }
    acknowledged.set(key, i);
    slowest = Math.max(slowest, performance.now() - began);
    if (++done === 50) say({ begun: name });
    await sleep(5);
  }
  say({ phase: name, operations: done, errors: errors.length, first: errors[0] ?? "", slowest_ms: Math.round(slowest) });
}

for (;;) {
  if (phases.length === 0) await new Promise((resolve) => { arrived = resolve; });
  const phase = phases.shift();
  if (phase[0] === "end") break;
  await run(...phase);
}
const lost = [];
for (const [key, value] of acknowledged) if (Number(await client.get(key)) < value) lost.push(key);
say({ phase: "end", operations: acknowledged.size, lost: lost.length, first: lost[0] ?? "" });
client.disconnect();
process.exit(0);
