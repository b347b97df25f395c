// A demonstration and its page for as long as one likes: `npm run soak -- --minutes 60`. Every so often the heap is collected and measured,
// and frames are counted while the longest table is scrolled. Nothing stands between the server and the page: updates are counted as they come.
//
// PLIMSOLL is the program (target/release or target/debug otherwise), CHROMIUM the browser. Figures go to target/dashboard/soak.json.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.join(path.dirname(here), "target");
const argument = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const minutes = argument("minutes", 60);
const accounts = argument("accounts", 10_000);
// Market seconds a second, and between two prices of a source: a story lasts a day at most, so that more than ten updates a second for an hour
// take prices that come more often.
const speed = argument("speed", 20);
const every = argument("every", 5);
// Seconds at every view.
const pause = argument("pause", 20);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function program() {
  if (process.env.PLIMSOLL) return process.env.PLIMSOLL;
  const found = ["release", "debug"].map((kind) => path.join(target, kind, "plimsoll")).filter(existsSync);
  if (!found.length) throw new Error("no plimsoll is built: cargo build -p plimsoll-app");
  return found.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function ready(base) {
  for (;;) {
    try {
      const { data } = await (await fetch(`${base}/v1/overview`)).json();
      if (data.accounts >= accounts && Number(data.im) > 0) return;
    } catch {
      // It does not listen yet.
    }
    await sleep(500);
  }
}

/** Resident memory of a process, MB. */
function resident(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1_000;
  } catch {
    return null;
  }
}

const port = await freePort();
const base = `http://127.0.0.1:${port}`;
const server = spawn(program(), ["demo", "--headless", "--alone", "--listen", `127.0.0.1:${port}`, "--accounts", String(accounts), "--speed", String(speed), "--every", String(every), "--for", `${Math.ceil(minutes + 6)}m`], { stdio: ["ignore", "ignore", "inherit"] });
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const rows = [];
try {
  await ready(base);
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  let updates = 0;
  let last = 0;
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => {
    const found = /"channel":"overview".*?"sequence":(\d+)/.exec(String(payload));
    // One that says what the last one said is no update.
    if (found && Number(found[1]) > last) {
      last = Number(found[1]);
      updates += 1;
    }
  }));
  // Not `waitForSelector`, which keeps what it found, and with it the view that was left.
  const shown = () => page.locator('[data-table="accounts"] tr[data-at="3"]').waitFor();
  await page.goto(`${base}/`);
  await shown();
  const session = await page.context().newCDPSession(page);
  const views = ["liquidations", "policy", "heatmap", "feeds", "margin", "margin?scope=underlying", "surface"];
  const begun = Date.now();
  const left = () => minutes * 60_000 - (Date.now() - begun);
  const frames = () => page.evaluate(() => new Promise((done) => {
    const times = [];
    const box = document.querySelector(".far");
    const frame = (at) => {
      times.push(at);
      box.scrollTop = (box.scrollTop + 7) % (box.scrollHeight - box.clientHeight);
      if (at - times[0] < 5_000) requestAnimationFrame(frame);
      else done(times);
    };
    requestAnimationFrame(frame);
  }));
  console.log("minute  heap MB  documents  nodes  frames/s  median ms  updates/s  server MB");
  for (;;) {
    await page.evaluate(() => { location.hash = "#/overview"; });
    await shown();
    const [before, since] = [updates, Date.now()];
    const times = await frames();
    const rate = (updates - before) / ((Date.now() - since) / 1_000);
    const gaps = times.slice(1).map((at, i) => at - times[i]).sort((a, b) => a - b);
    await session.send("HeapProfiler.collectGarbage");
    const heap = (await session.send("Runtime.getHeapUsage")).usedSize / 1e6;
    const { documents, nodes } = await session.send("Memory.getDOMCounters");
    const row = {
      minute: (Date.now() - begun) / 60_000, heap_mb: heap, documents, nodes,
      frames_per_second: gaps.length / ((times.at(-1) - times[0]) / 1_000), frame_median_ms: gaps[gaps.length >> 1],
      updates_per_second: rate, server_mb: resident(server.pid),
    };
    rows.push(row);
    console.log([row.minute.toFixed(1), heap.toFixed(2), documents, nodes, row.frames_per_second.toFixed(1), row.frame_median_ms.toFixed(1), rate.toFixed(1), row.server_mb?.toFixed(0) ?? "-"].map((text, at) => String(text).padStart([6, 8, 10, 6, 9, 10, 10, 10][at])).join(" "));
    if (left() <= 0) break;
    // Every view in turn, so that what one leaves behind shows; then back.
    for (const view of views) {
      await page.evaluate((view) => { location.hash = `#/${view}`; }, view);
      await sleep(Math.max(500, Math.min(pause * 1_000, left() / views.length)));
    }
  }
  const half = rows[rows.length >> 1];
  const end = rows.at(-1);
  const growth = end.heap_mb - half.heap_mb;
  console.log(`heap ${half.heap_mb.toFixed(2)} MB at half time, ${end.heap_mb.toFixed(2)} MB at the end; ${wrong.length} errors`);
  mkdirSync(path.join(target, "dashboard"), { recursive: true });
  writeFileSync(path.join(target, "dashboard", "soak.json"), JSON.stringify({ minutes, accounts, speed, every, wrong, rows }, null, 2) + "\n");
  process.exitCode = wrong.length || (minutes >= 30 && growth > half.heap_mb * 0.15 + 1) ? 1 : 0;
} finally {
  await browser.close();
  server.kill("SIGINT");
}
