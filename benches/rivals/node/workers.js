// Node's child processes: the memory of one that waits for messages.
// Each line of the input is an order, each line of the output its numbers.

const { fork } = require("node:child_process");
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const folder = mkdtempSync(join(tmpdir(), "workers-"));
const child = join(folder, "child.js");
writeFileSync(child, 'process.on("message", (n) => process.send(n + 1));');
const children = [fork(child), fork(child)];
process.on("exit", () => rmSync(folder, { recursive: true }));

const ask = (worker, n) =>
    new Promise((done) => {
        worker.once("message", done);
        worker.send(n);
    });

async function pss() {
    let sum = 0;
    for (const worker of children) {
        if ((await ask(worker, 1)) !== 2) throw new Error("a wrong result");
        const text = readFileSync(`/proc/${worker.pid}/smaps_rollup`, "utf8");
        sum += Number(/^Pss:\s+(\d+)/m.exec(text)[1]);
    }
    return sum / children.length;
}

const lines = require("node:readline").createInterface({ input: process.stdin });
lines.on("line", async (line) => {
    const result = line === "pss" ? await pss() : "! unknown order " + line;
    console.log(String(result));
});
lines.on("close", () => {
    children.forEach((worker) => worker.kill());
    process.exit();
});
