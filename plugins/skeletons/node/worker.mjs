// SPDX-License-Identifier: Apache-2.0
// Skeleton of an environment plugin on the SDK (docs/plugins.md). Let its hooks call your provider;
// here a lease is a folder, and a command is a process in it, without isolation.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";
import { definePlugin, runWorker } from "@paperclipai/plugin-sdk";

const ROOT = process.env.PLUGIN_DATA_DIR || os.tmpdir();
const OUTPUT_LIMIT = 64 << 20; // bytes of one command
const running = new Set(); // of {folder, end(), done}, one for each command
console.log = console.error; // Standard output is the protocol.
let ctx;

/** Id and folder. The company is in the name, so that no other company reaches the lease. */
function leaseOf(params, mustExist = true) {
  const lease = String((params.lease ?? params).providerLeaseId);
  const company = params.companyId ?? "";
  const places = [company, ""].map((c) => path.join(ROOT, `${lease}@${c}`));
  const folder = places.find((place) => existsSync(place));
  if (/^$|^\.|[/@]/.test(lease) || /[/@]/.test(company) || (mustExist && !folder)) {
    throw new Error(`Lease "${lease}" does not exist.`);
  }
  return { lease, folder: folder ?? places[0] };
}

/** Of release, too. The receipt comes when nothing runs; the lease may be gone already. */
async function destroy(params) {
  const { lease, folder } = leaseOf(params, false);
  const mine = [...running].filter((job) => job.folder === folder);
  mine.forEach((job) => job.end());
  await Promise.all(mine.map((job) => job.done));
  await rm(folder, { recursive: true, force: true });
  return { providerLeaseId: lease, state: "destroyed" };
}

function execute(params) {
  const child = spawn(params.command, params.args ?? [], {
    cwd: path.resolve(leaseOf(params).folder, params.cwd ?? "."),
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", ...params.env },
    detached: true, // a process group of its own
  });
  const said = { stdout: "", stderr: "" };
  const job = { folder: leaseOf(params).folder };
  let size = 0;
  let timedOut = false;
  job.end = () => {
    try { process.kill(-child.pid, "SIGKILL"); } catch { /* It has ended. */ }
    child.stdout.destroy(); // Somebody else may hold them open.
    child.stderr.destroy();
  };
  for (const stream of ["stdout", "stderr"]) {
    const decoder = new StringDecoder("utf8");
    const add = (text) => { said[stream] += text; ctx.execution.log(stream, text); };
    child[stream].on("data", (data) => {
      add(decoder.write(data));
      if ((size += data.length) > OUTPUT_LIMIT) job.end();
    });
    child[stream].on("end", () => add(decoder.end()));
  }
  child.stdin.on("error", () => {}); // It need not read all of it.
  child.stdin.end(params.stdin ?? "");
  const limit = params.timeoutMs ?? params.config.timeoutMs ?? 300000;
  const timer = setTimeout(() => { timedOut = true; job.end(); }, Math.min(limit, 2147483647));
  job.done = new Promise((resolve) => child.on("error", resolve).on("close", resolve));
  running.add(job);
  job.done.then(() => { clearTimeout(timer); running.delete(job); });
  return new Promise((resolve, reject) => child.on("error", reject).on("close", (exitCode, signal) => {
    resolve({ exitCode, signal, timedOut, ...said, metadata: { outputCut: size > OUTPUT_LIMIT } });
  }));
}

const plugin = definePlugin({
  async setup(context) { ctx = context; },
  async onShutdown() { running.forEach((job) => job.end()); },
  async onEnvironmentProbe() { return { ok: true, summary: `Leases lie in ${ROOT}.` }; },
  async onEnvironmentAcquireLease(params) {
    const { lease, folder } = leaseOf({ ...params, providerLeaseId: `node-${randomUUID()}` }, false);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return { providerLeaseId: lease, metadata: { remoteCwd: folder } };
  },
  onEnvironmentReleaseLease: destroy,
  onEnvironmentDestroyLease: destroy,
  async onEnvironmentExecute(params) { return execute(params); },
});
export default plugin;
runWorker(plugin, import.meta.url);
