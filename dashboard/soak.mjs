// A demonstration and its page for as long as one likes: `npm run soak -- --minutes 60`. Every so often the heap is collected and measured,
// and frames are counted while the longest table is scrolled. Nothing stands between the server and the page: updates are counted as they come.
//
// PLIMSOLL is the program (target/release or target/debug otherwise), CHROMIUM the browser. Figures go to target/dashboard/soak.json.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { argument, freePort, heap, launch, program, scrolled, sleep, target, updates } from "./tests/running.mjs";

const minutes = Number(argument("minutes", 60));
const accounts = Number(argument("accounts", 10_000));
// Market seconds a second, and between two prices of a source: a story lasts a day at most, so that more than ten updates a second for an hour
// take prices that come more often.
const speed = Number(argument("speed", 20));
const every = Number(argument("every", 5));
// Seconds at every view.
const pause = Number(argument("pause", 20));

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
const browser = await launch();
const rows = [];
try {
  await ready(base);
  const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  const seen = updates(page);
  // Not `waitForSelector`, which keeps what it found, and with it the view that was left.
  const shown = () => page.locator('[data-table="accounts"] tr[data-at="3"]').waitFor();
  await page.goto(`${base}/`);
  await shown();
  const session = await page.context().newCDPSession(page);
  const views = ["liquidations", "policy", "heatmap", "feeds", "margin", "margin?scope=underlying", "surface"];
  const begun = Date.now();
  const left = () => minutes * 60_000 - (Date.now() - begun);
  console.log("minute  heap MB  documents  nodes  frames/s  median ms  updates/s  server MB");
  for (;;) {
    await page.evaluate(() => { location.hash = "#/overview"; });
    await shown();
    const [before, since] = [seen.count, Date.now()];
    const frames = await scrolled(page, 5_000);
    const rate = (seen.count - before) / ((Date.now() - since) / 1_000);
    const size = (await heap(session)) / 1e6;
    const { documents, nodes } = await session.send("Memory.getDOMCounters");
    const row = {
      minute: (Date.now() - begun) / 60_000, heap_mb: size, documents, nodes,
      frames_per_second: frames.rate, frame_median_ms: frames.gaps[frames.gaps.length >> 1],
      updates_per_second: rate, server_mb: resident(server.pid),
    };
    rows.push(row);
    console.log([row.minute.toFixed(1), size.toFixed(2), documents, nodes, row.frames_per_second.toFixed(1), row.frame_median_ms.toFixed(1), rate.toFixed(1), row.server_mb?.toFixed(0) ?? "-"].map((text, at) => String(text).padStart([6, 8, 10, 6, 9, 10, 10, 10][at])).join(" "));
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
