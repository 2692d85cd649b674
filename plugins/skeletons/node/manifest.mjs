// SPDX-License-Identifier: Apache-2.0
export default {
  id: "skeleton.node",
  apiVersion: 1,
  version: "0.1.0",
  displayName: "Skeleton in Node",
  description: "A lease is a folder on this host; commands run in it, without isolation.",
  author: "you",
  categories: ["automation"],
  capabilities: ["environment.drivers.register"],
  entrypoints: { worker: "./worker.mjs" },
  environmentDrivers: [
    {
      driverKey: "skeleton-node",
      kind: "sandbox_provider",
      displayName: "Skeleton in Node",
      configSchema: {
        type: "object",
        properties: { timeoutMs: { type: "number", minimum: 1, default: 300000 } },
      },
    },
  ],
};
