/** Bundles the launcher, the chat page and the console into dist/; run by build.py, or `npm run build`. */

import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { build } from "esbuild";

const OUT = "dist";
const FRESH = "dist.new";
const TARGET = ["es2022", "chrome120", "firefox121", "safari17.4"];
const shared = { bundle: true, minify: true, write: false, target: TARGET, legalComments: "none", logLevel: "warning" };

const textOf = async (options) => (await build({ ...shared, ...options })).outputFiles[0].text;

/** Style sheets that a script puts into a shadow tree come as minified text. */
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => ({
      contents: await textOf({ entryPoints: [path], plugins: [] }),
      loader: "text",
    }));
  },
};

await rm(FRESH, { recursive: true, force: true });
await mkdir(`${FRESH}/assets`, { recursive: true });

/** Write an asset under a name that changes with its content; returns the name. */
async function asset(name, text) {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const [stem, ending] = basename(name).split(".");
  const hashed = `${stem}-${hash}.${ending}`;
  await writeFile(`${FRESH}/assets/${hashed}`, text);
  return hashed;
}

const script = { format: "iife", plugins: [styles] };
await writeFile(`${FRESH}/kefu.js`, await textOf({ ...script, entryPoints: ["src/launcher/main.ts"] }));
const names = {
  "chat.js": await asset("chat.js", await textOf({ ...script, format: "esm", entryPoints: ["src/chat/main.ts"] })),
  "chat.css": await asset("chat.css", await textOf({ entryPoints: ["src/chat/page.css"] })),
  "console.js": await asset("console.js", await textOf({ ...script, format: "esm", entryPoints: ["src/console/main.ts"] })),
  "charts.js": await asset("charts.js", await textOf({ ...script, format: "esm", entryPoints: ["src/console/charts.ts"] })),
  "console.css": await asset("console.css", await textOf({ entryPoints: ["src/console/console.css"] })),
  "demo.css": await asset("demo.css", await textOf({ entryPoints: ["src/demo/demo.css"] })),
};
for (const page of ["chat/widget.html", "demo/demo.html"]) {
  let html = await readFile(`src/${page}`, "utf8");
  for (const [name, hashed] of Object.entries(names)) html = html.replaceAll(`assets/${name}`, `assets/${hashed}`);
  await writeFile(`${FRESH}/${basename(page)}`, html);
}
await writeFile(`${FRESH}/manifest.json`, `${JSON.stringify(names, null, 2)}\n`);
await rm(OUT, { recursive: true, force: true });
await rename(FRESH, OUT);
