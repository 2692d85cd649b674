// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

// The echo plugin's too: to the benchmark they are the same plugin.
export const manifest = JSON.parse(
  readFileSync(new URL("./manifest.json", import.meta.url), "utf8"),
);
export default manifest;
