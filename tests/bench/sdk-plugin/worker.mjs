// SPDX-License-Identifier: Apache-2.0
// The least that a plugin on the real SDK does: its answer is that of echo.c.
import { definePlugin, runWorker } from "@paperclipai/plugin-sdk";

const plugin = definePlugin({
  async setup() {},
  async onHealth() {
    return { status: "ok" };
  },
  async onEnvironmentProbe(params) {
    return {
      ok: true,
      summary: "driver reachable",
      metadata: {
        driverKey: params.driverKey,
        region: "local-1",
        provider: "bench",
        latencyMs: 0,
        sandboxes: 3,
        image: "paperclip/sandbox:2026.8",
      },
    };
  },
});

export default plugin;
runWorker(plugin, import.meta.url);
