// What the tests and the long run share: the program, a browser, and how frames and updates are counted.
import { existsSync, statSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const root = path.dirname(here);
export const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");

/** The word after `--name`, or what is said otherwise. */
export function argument(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** PLIMSOLL, or the newest that is built. */
export function program() {
  if (process.env.PLIMSOLL) return process.env.PLIMSOLL;
  const found = ["release", "debug"].map((kind) => path.join(target, kind, "plimsoll")).filter(existsSync);
  if (!found.length) throw new Error("no plimsoll is built: cargo build -p plimsoll-app");
  return found.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc"];

/** CHROMIUM, or Debian's. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** Counts updates of all accounts together as they come; to be called before the page connects. */
export function updates(page) {
  const seen = { count: 0, newest: 0 };
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
    const found = /"channel":"overview".*?"sequence":(\d+)/.exec(String(payload));
    // One that says what the last one said is no update.
    if (found && Number(found[1]) > seen.newest) {
      seen.newest = Number(found[1]);
      seen.count += 1;
    }
  }));
  return seen;
}

/** Frames while the longest table is scrolled and everything goes on: a second, and the gaps between them in ms, rising. */
export async function scrolled(page, ms) {
  const times = await page.evaluate((ms) => new Promise((done) => {
    const times = [];
    const box = document.querySelector(".far");
    const frame = (at) => {
      times.push(at);
      box.scrollTop = (box.scrollTop + 7) % (box.scrollHeight - box.clientHeight);
      if (at - times[0] < ms) requestAnimationFrame(frame);
      else done(times);
    };
    requestAnimationFrame(frame);
  }), ms);
  const gaps = times.slice(1).map((at, i) => at - times[i]).sort((a, b) => a - b);
  return { rate: gaps.length / ((times.at(-1) - times[0]) / 1_000), gaps };
}

/** The heap after a collection, bytes. */
export async function heap(session) {
  await session.send("HeapProfiler.collectGarbage");
  return (await session.send("Runtime.getHeapUsage")).usedSize;
}
