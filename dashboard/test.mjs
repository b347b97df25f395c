// The dashboard in a real browser, on a running demonstration. `npm test`; `npm run soak` is the long one.
//
// PLIMSOLL is the program (target/release or target/debug otherwise), CHROMIUM the browser. Pictures go to target/dashboard/.
import { spawn, execFileSync } from "node:child_process";
import { createServer, connect } from "node:net";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { sentences } from "./tests/format.mjs";
import { argument, freePort, heap, here, launch, program, root, scrolled, sleep, target, updates } from "./tests/running.mjs";

const shots = path.join(target, "dashboard");
const minutes = Number(argument("minutes", "0.6"));
const accounts = Number(argument("accounts", "10000"));
const only = argument("only", "");

const figures = {};
let failures = 0;

async function test(name, of) {
  if (only && !name.includes(only)) return;
  const begun = Date.now();
  try {
    const said = await of();
    console.log(`ok   ${name}${said ? `: ${said}` : ""} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}: ${error.stack ?? error}`);
  }
}

function check(holds, why) {
  if (!holds) throw new Error(why);
}

function same(a, b, why) {
  check(a === b, `${why}: ${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
}

async function until(of, why, ms = 15_000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const found = await of();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await sleep(50);
  }
  throw new Error(`${why} within ${ms} ms${last ? `; ${last.message}` : ""}`);
}

// ---- the server ------------------------------------------------------------------------------------------------

const running = new Set();

function demo(port, more) {
  const child = spawn(program(), ["demo", "--headless", "--alone", "--listen", `127.0.0.1:${port}`, ...more], { stdio: ["ignore", "ignore", "inherit"] });
  running.add(child);
  const gone = new Promise((done) => child.once("exit", () => { running.delete(child); done(); }));
  const base = `http://127.0.0.1:${port}`;
  return { base, port, stop: async () => { child.kill("SIGINT"); const late = setTimeout(() => child.kill("SIGKILL"), 4_000); await gone; clearTimeout(late); } };
}

async function api(base, what, init) {
  const response = await fetch(base + what, init);
  const said = await response.json();
  check(response.ok, `${what}: ${JSON.stringify(said)}`);
  return said;
}

/** Up, with so many accounts that have something to margin. */
async function ready(base, count) {
  await until(async () => {
    const { data } = await api(base, "/v1/overview");
    return data.accounts >= count && Number(data.im) > 0 && data.distance.reduce((n, bucket) => n + bucket.accounts, 0) > count / 2;
  }, `${base} is ready`, 120_000);
}

/** A line that can be cut. */
async function line(to) {
  const sockets = new Set();
  let cut = false;
  const server = createServer((near) => {
    if (cut) return near.destroy();
    const far = connect(to, "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => { sockets.delete(one); other.destroy(); });
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut: () => { cut = true; sockets.forEach((socket) => socket.destroy()); },
    mend: () => { cut = false; },
    close: () => { cut = true; sockets.forEach((socket) => socket.destroy()); server.close(); },
  };
}

// ---- the browser -----------------------------------------------------------------------------------------------

/** Opens a page of which every error is kept. While a line is cut, that is what is expected. */
async function open(browser, base, hash = "", { theme = "dark", view = { width: 1440, height: 900 }, query = "" } = {}) {
  const context = await browser.newContext({ viewport: view, acceptDownloads: true, permissions: [] });
  const page = await context.newPage();
  page.wrong = [];
  page.expected = false;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !page.expected) page.wrong.push(`${message.type()}: ${message.text()} ${message.location().url}`);
  });
  // What the server told the page, by route and event.
  page.told = new Map();
  page.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.startsWith("/v1/accounts/") || !response.ok()) return;
    try {
      const answer = await response.json();
      page.told.set(`${decodeURIComponent(pathname)}#${answer.sequence}`, answer);
    } catch {
      // The page has gone on.
    }
  });
  page.on("pageerror", (error) => page.wrong.push(`${error.stack ?? error.message}`));
  await page.addInitScript((theme) => localStorage.setItem("plimsoll.theme", theme), theme);
  await page.goto(`${base}/${query}#/${hash}`);
  return page;
}

async function goTo(page, hash) {
  await page.evaluate((hash) => { location.hash = `#/${hash}`; }, hash);
}

const text = (page, selector) => page.locator(selector).first().innerText();
const value = (page, selector) => page.locator(selector).first().getAttribute("data-value");

/** Reads the page and the server until both speak of the same event. */
async function together(page, panel, read, ask, ms = 20_000) {
  return until(async () => {
    const before = await page.locator(`[data-panel="${panel}"]`).getAttribute("data-sequence");
    const shown = await read();
    const after = await page.locator(`[data-panel="${panel}"]`).getAttribute("data-sequence");
    if (before !== after) return null;
    const answer = await ask();
    return String(answer.sequence) === before ? { shown, answer } : null;
  }, `${panel} and the server speak of one event`, ms);
}

/** Reads the page, and what the server said at the event that it shows: for what is asked too seldom to be asked again in time. */
async function asTold(page, panel, read, path) {
  return until(async () => {
    const sequence = () => page.locator(`[data-panel="${panel}"]`).getAttribute("data-sequence");
    const before = await sequence();
    const shown = await read();
    const answer = page.told.get(`${path}#${before}`);
    return before === (await sequence()) && answer ? { shown, answer } : null;
  }, `${panel} shows what the server said`);
}

// ---- what is built ---------------------------------------------------------------------------------------------

await test("the lock file names no host and no machine", () => {
  const lock = readFileSync(path.join(here, "package-lock.json"), "utf8");
  check(!lock.includes('"resolved"'), "`resolved` is in package-lock.json");
  check(!lock.includes(root) && !/registry\.|file:\/\//.test(lock), "an address is in package-lock.json");
});

await test("the built files are those of the sources", () => {
  const out = mkdtempSync(path.join(tmpdir(), "plimsoll-dashboard-"));
  try {
    execFileSync("npx", ["vite", "build", "--outDir", out, "--emptyOutDir", "--logLevel", "error"], { cwd: here, stdio: ["ignore", "inherit", "inherit"] });
    const [ours, built] = [path.join(here, "dist"), out];
    same(readdirSync(built).sort().join(), readdirSync(ours).sort().join(), "files");
    for (const name of readdirSync(built)) {
      check(readFileSync(path.join(built, name)).equals(readFileSync(path.join(ours, name))), `${name} is not what its sources make: npm run build`);
    }
  } finally {
    rmSync(out, { recursive: true });
  }
});

await test("the types hold", () => {
  execFileSync("npx", ["tsc", "--noEmit"], { cwd: here, stdio: ["ignore", "inherit", "inherit"] });
});

await test("at most 300 kB gzipped in all", () => {
  const sizes = readdirSync(path.join(here, "dist")).map((name) => gzipSync(readFileSync(path.join(here, "dist", name)), { level: 9 }).length);
  figures.gzipped_bytes = sizes.reduce((a, b) => a + b, 0);
  check(figures.gzipped_bytes <= 300_000, `${figures.gzipped_bytes} bytes`);
  return `${(figures.gzipped_bytes / 1000).toFixed(1)} kB`;
});

await test("decimals are written from their text", async () => sentences(here));

// ---- what is shown ---------------------------------------------------------------------------------------------

mkdirSync(shots, { recursive: true });
const browser = await launch();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const port = await freePort();
let world = demo(port, ["--accounts", "1000", "--for", "90m"]);
await ready(world.base, 1000);
const rows = (await api(world.base, "/v1/accounts?order=risk&limit=300")).data;
const counts = await Promise.all(rows.slice(0, 60).map(async (row) => [row.account, (await api(world.base, `/v1/accounts/${row.account}`)).data.positions.length]));
// The one of the riskiest with most positions has most to show.
const id = counts.sort((a, b) => b[1] - a[1])[0][0];
const legs = "BTC_USDC-PERPETUAL:-0.25,ETH_USDC-PERPETUAL:2";

const VIEWS = {
  overview: ["overview", ["headline", "distance", "feeds", "greeks", "accounts"]],
  margin: ["margin", ["series", "methods", "compare", "changes"]],
  "margin-underlying": ["margin?scope=underlying&underlying=BTC", ["series", "rates", "compare", "changes"]],
  "margin-account": [`margin?scope=account&id=${id}`, ["series", "compare"]],
  scenarios: ["heatmap", ["heat", "cell", "book-split", "tails"]],
  behind: ["overview?greek=delta_cash&underlying=BTC", ["greeks", "behind", "accounts"]],
  "scenarios-account": [`heatmap?scope=account&id=${id}`, ["heat", "cell", "tails"]],
  account: [`account?id=${id}&legs=${legs}`, ["account", "waterfall", "positions", "boundary", "ladder", "what-if", "explain", "series"]],
  surface: ["surface", ["smile", "term", "expiries", "marks"]],
  policy: ["policy", ["parameters", "path", "regime", "readings", "decisions", "decision", "proposals"]],
  liquidations: ["liquidations", ["map", "queue", "lately", "replay"]],
  system: ["feeds", ["feeds", "validity-log", "journal", "steps", "requests", "refused"]],
};

await test("first paint on loopback", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Equity"]');
  figures.first_paint_ms = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  check(figures.first_paint_ms < Number(argument("paint", "1000")), `${figures.first_paint_ms} ms`);
  await page.context().close();
  return `${Math.round(figures.first_paint_ms)} ms`;
});

await test("axe would find a fault", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Equity"]');
  await page.evaluate(() => document.querySelector("main h1").insertAdjacentHTML("afterend", '<img src="data:,"><p style="color:#888;background:#777">hardly to be read</p>'));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map((of) => of.id);
  check(found.includes("image-alt") && found.includes("color-contrast"), found.join());
  await page.context().close();
});

for (const theme of ["dark", "light"]) {
  await test(`every view renders live data, ${theme}`, async () => {
    const page = await open(browser, world.base, "overview", { theme });
    const found = [];
    for (const [name, [hash, panels]] of Object.entries(VIEWS)) {
      await goTo(page, hash);
      for (const panel of panels) await page.waitForSelector(`main [data-panel="${panel}"]`, { timeout: 15_000 });
      await until(async () => (await page.locator("main .nothing").allInnerTexts()).every((text) => !/waiting|computing|is not|refused|error/i.test(text)), `${name} has all its answers`, 20_000);
      const numbers = await page.locator("main .num").count();
      check(numbers > 3, `${name} shows ${numbers} numbers`);
      const sequences = await page.locator("main [data-sequence]").evaluateAll((all) => all.map((one) => Number(one.dataset.sequence)));
      check(sequences.length > 0 && sequences.every((n) => n > 0), `${name} says of which event it is`);
      await page.mouse.move(2, 700);
      await page.screenshot({ path: path.join(shots, `${name}-${theme}.png`), fullPage: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      for (const of of violations) {
        const where = of.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? node.all[0]?.message ?? ""}`);
        if (["serious", "critical"].includes(of.impact)) found.push(`${name}: ${of.impact} ${of.id} at ${where.join("; ")} (${of.nodes.length})`);
      }
    }
    const wrong = page.wrong;
    await page.context().close();
    same(wrong.join("\n"), "", "no console error");
    check(found.length === 0, `axe finds\n${found.join("\n")}`);
    return `${Object.keys(VIEWS).length} pictures, axe finds nothing serious`;
  });
}

await test("every view at 390 pixels: nothing is wider than the page, and what is to be touched is there", async () => {
  const page = await open(browser, world.base, "overview", { view: { width: 390, height: 844 } });
  const wide = [];
  for (const [name, [hash, panels]] of Object.entries(VIEWS)) {
    await goTo(page, hash);
    for (const panel of panels) await page.waitForSelector(`main [data-panel="${panel}"]`, { timeout: 15_000 });
    await until(async () => (await page.locator("main .nothing").allInnerTexts()).every((text) => !/waiting|computing|being made|is not|refused|error/i.test(text)), `${name} has all its answers`, 30_000);
    const found = await page.evaluate(() => {
      const most = document.documentElement.clientWidth;
      const over = (one) => one.getBoundingClientRect().right > most + 1 || one.getBoundingClientRect().left < -1;
      return {
        page: document.documentElement.scrollWidth - most,
        panels: [...document.querySelectorAll("main .panel, main .bar-top, .status, .alarm")].filter(over).map((one) => one.dataset.panel ?? one.className),
        buttons: [...document.querySelectorAll("main .tools > *")].filter((one) => over(one) && !one.closest(".scroll")).map((one) => one.textContent),
      };
    });
    if (found.page > 0 || found.panels.length || found.buttons.length) wide.push(`${name}: ${JSON.stringify(found)}`);
    await page.screenshot({ path: path.join(shots, `narrow-${name}.png`), fullPage: true });
  }
  same(wide.join("\n"), "", "what is wider than the page");
  // Every view can be gone to from the bar, though it scrolls.
  for (const text of ["System", "Overview"]) {
    await page.locator(`nav a:text-is("${text}")`).click();
    await until(async () => (await page.evaluate(() => document.title)).startsWith(text), `${text} opens`);
  }
  same(page.wrong.join("\n"), "", "no console error");
  await page.context().close();
  return `${Object.keys(VIEWS).length} pictures`;
});

await test("margin by underlying, splits of the book, accounts behind a Greek and evidence are the server's", async () => {
  const page = await open(browser, world.base, "margin?scope=underlying&underlying=BTC");
  await page.waitForSelector('[data-number="underlying-im"]', { timeout: 30_000 });
  const at = await together(page, "series", () => value(page, '[data-number="underlying-im"]'), () => api(world.base, "/v1/history/totals?limit=1000"), 30_000).catch(() => null);
  const history = at?.answer ?? (await api(world.base, "/v1/history/totals?limit=1000"));
  const shown = at?.shown ?? (await value(page, '[data-number="underlying-im"]'));
  check(history.data.some((sample) => sample.underlyings.some((of) => of.asset === "BTC" && of.im === shown)), `${shown} is a sample of the server's`);
  await goTo(page, "heatmap");
  await page.waitForSelector('[data-panel="book-split"] [data-table="By underlying"] tbody tr');
  const split = await until(() => page.evaluate(() => {
    const one = (selector) => document.querySelector(selector)?.dataset.value;
    return { sum: one('[data-panel="book-split"] [data-table="By underlying"] tr.total [data-value]'), losses: one('[data-panel="cell"] [data-table="cell"] tbody tr [data-value]') };
  }), "a cell is split");
  same(Number(split.sum), -Number(split.losses), "parts of the losses");
  await goTo(page, "overview");
  await page.locator('[data-table="net-greeks"] a.opens').first().click();
  await page.waitForSelector('[data-panel="behind"] tbody tr');
  const order = await page.locator('[data-table="behind"] tbody tr').evaluateAll((all) => all.map((row) => Math.abs(Number(row.querySelector('[data-term="delta"]').dataset.value))));
  check(order.length > 3 && order.every((size, at) => at === 0 || order[at - 1] >= size), `the largest first: ${order.slice(0, 5)}`);
  await goTo(page, "policy");
  await page.waitForSelector('[data-table="evidence"] [data-value]', { timeout: 15_000 });
  const sequence = Number(/event (\d+)/.exec(await text(page, '[data-panel="decision"] .count'))[1]);
  const read = await page.locator('[data-table="evidence"] [data-value]').evaluateAll((all) => all.map((one) => one.dataset.value).filter(Boolean));
  const decided = (await api(world.base, "/v1/parameters/history?limit=200")).data.find((of) => of.sequence === sequence);
  const known = new Set(Object.values(decided.readings).flatMap((of) => Object.values(of).map(String)));
  check(read.length > 3 && read.every((value) => known.has(value)), `readings of event ${sequence}: ${read.slice(0, 4)}`);
  await page.context().close();
  return `${order.length} accounts behind a Greek, ${read.length} readings`;
});

await test("numbers of the overview are the server's", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Equity"]');
  const read = () => page.evaluate(() => ({
    numbers: Object.fromEntries([...document.querySelectorAll("[data-number]")].map((one) => [one.dataset.number, one.dataset.value])),
    standings: Object.fromEntries([...document.querySelectorAll("[data-standing]")].map((one) => [one.dataset.standing, Number(one.dataset.value)])),
    buckets: [...document.querySelectorAll('[data-table="distance"] tbody tr')].map((row) => row.querySelector("[data-value]").dataset.value),
    feeds: [...document.querySelectorAll('[data-table="feeds-brief"] tbody tr')].map((row) => row.querySelector("[data-value]").dataset.value),
  }));
  const { shown, answer } = await together(page, "headline", read, () => api(world.base, "/v1/overview"));
  const { data } = answer;
  for (const [name, field] of [["Equity", "equity"], ["Initial margin", "im"], ["Maintenance margin", "mm"], ["Insurance fund", "insurance"]]) same(shown.numbers[name], data[field], name);
  same(JSON.stringify(shown.buckets), JSON.stringify(data.distance.map((bucket) => String(bucket.accounts))), "distance");
  for (const [standing, count] of Object.entries(data.standings)) same(shown.standings[standing], count, standing);
  same(JSON.stringify(shown.feeds), JSON.stringify(data.feeds.map((feed) => String(feed.price))), "prices");
  const first = await together(page, "accounts", () => page.evaluate(() => [...document.querySelectorAll('[data-table="accounts"] tbody tr[data-at]')].slice(0, 5).map((row) => [row.children[1].textContent, ...[...row.querySelectorAll("[data-value]")].map((one) => one.dataset.value)])), () => api(world.base, "/v1/accounts?order=risk&limit=5"));
  first.answer.data.forEach((row, at) => {
    const { equity, im, mm, im_excess, mm_excess } = row.totals;
    same(first.shown[at].join(), [row.account, equity, im, mm, im_excess, mm_excess].join(), `row ${at}`);
  });
  await page.context().close();
  return `event ${answer.sequence}`;
});

await test("an account's margin is the server's, adds up, and a link reproduces a what-if", async () => {
  const page = await open(browser, world.base, `account?id=${id}&legs=${legs}`);
  await page.waitForSelector('[data-table="waterfall"]');
  const { shown, answer } = await together(page, "waterfall", () => page.evaluate(() => {
    const table = document.querySelector('[data-table="waterfall"]');
    const total = table.querySelector("tr.total");
    return { sum: table.dataset.sum, im: total.querySelectorAll("[data-value]")[0].dataset.value, mm: total.querySelectorAll("[data-value]")[1].dataset.value };
  }), () => api(world.base, `/v1/accounts/${id}/margin`));
  same(shown.im, answer.data.totals.im, "im");
  same(shown.mm, answer.data.totals.mm, "mm");
  same(Number(shown.sum), Number(answer.data.totals.im), "parts add up to the requirement");
  await page.waitForSelector('[data-table="what-if"]');
  const said = { legs: legs.split(",").map((leg) => ({ instrument: leg.split(":")[0], quantity: leg.split(":")[1] })) };
  const ask = () => api(world.base, `/v1/accounts/${id}/what-if`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said) });
  const would = await together(page, "what-if", () => page.evaluate(() => [...document.querySelectorAll('[data-table="what-if"] tbody tr:not(.total)')].map((row) => row.querySelectorAll("[data-value]")[1].dataset.value)), ask);
  const after = would.answer.data.after.totals;
  same(would.shown.join(), [after.equity, after.im, after.mm, after.im_excess, after.mm_excess].join(), "after the trades");
  await page.context().close();
  return `event ${answer.sequence}, ${id}`;
});

await test("scenarios are the server's, and a cell splits into its legs", async () => {
  const page = await open(browser, world.base, `heatmap?scope=account&id=${id}`);
  await page.waitForSelector('table.heat td.worst');
  const { shown, answer } = await asTold(page, "heat", () => page.evaluate(() => ({ worst: document.querySelector("td.worst").dataset.cell, cells: document.querySelectorAll("table.heat td").length })), `/v1/accounts/${id}/heatmap`);
  same(shown.worst, answer.data.worst.join(), "the worst cell");
  same(shown.cells, answer.data.spot.length * answer.data.vol.length, "cells");
  // The keyboard walks the grid, and the panel beside it follows.
  await page.focus("table.heat td[tabindex='0']");
  const before = await text(page, '[data-panel="cell"] h2');
  await page.keyboard.press(answer.data.worst[1] > 0 ? "ArrowLeft" : "ArrowRight");
  await until(async () => (await text(page, '[data-panel="cell"] h2')) !== before, "the split follows the keyboard");
  const { shown: legs_, answer: split } = await asTold(page, "cell", () => page.evaluate(() => ({
    at: document.querySelector("td.chosen").dataset.cell,
    legs: [...document.querySelectorAll('[data-table="By leg"] tbody tr:not(.total)')].map((row) => [row.children[0].textContent, row.querySelector("[data-value]").dataset.value]),
  })), `/v1/accounts/${id}/heatmap/legs`);
  const [v, s] = legs_.at.split(",").map(Number);
  for (const [name, pnl] of legs_.legs) same(pnl, split.data.find((leg) => leg.instrument === name).pnl[v][s], name);
  await page.context().close();
  return `event ${answer.sequence}, ${legs_.legs.length} legs`;
});

await test("the surface and the parameters are the server's; causes add up", async () => {
  const page = await open(browser, world.base, "surface?underlying=ETH");
  await page.waitForSelector('[data-table="expiries"] tbody tr');
  await until(async () => {
    const shown = await page.evaluate(() => [...document.querySelectorAll('[data-table="expiries"] tbody tr')].map((row) => row.querySelectorAll("[data-value]")[1].dataset.value));
    const answer = await api(world.base, "/v1/surface/ETH");
    return shown.join() === answer.data.expiries.map((of) => String(of.atm)).join();
  }, "volatilities at the forward");
  await until(async () => (await page.locator("circle.mark").count()) > 8, "quotes are drawn");
  await goTo(page, "policy");
  const { shown, answer } = await together(page, "parameters", () => page.evaluate(() => [...document.querySelectorAll('[data-table="parameters"] tbody tr')].map((row) => [row.children[0].textContent, ...[...row.querySelectorAll("[data-value]")].map((one) => one.dataset.value)].join())), () => api(world.base, "/v1/parameters"));
  same(shown.join("\n"), answer.data.values.map((of) => [of.name, of.initial, of.maintenance].join()).join("\n"), "parameters");
  await page.locator('[data-table="decisions"] tbody tr').nth(1).click();
  const sums = await page.locator('[data-table="causes"] tbody tr').evaluateAll((all) => all.map((row) => [Number(row.dataset.sum), Number(row.dataset.log)]));
  check(sums.length > 0 && sums.every(([sum, log]) => Math.abs(sum - log) < 1e-6), `causes ${JSON.stringify(sums.slice(0, 3))}`);
  await page.context().close();
  return `event ${answer.sequence}, ${sums.length} changes`;
});

await test("every number defines itself, under the pointer and the focus", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Initial margin"]');
  await page.hover('[data-number="Initial margin"]');
  const hover = await until(() => text(page, ".hover"), "a hover");
  for (const word of ["initial margin", "99 % over 1", "As of", "Event", "Validity"]) check(hover.replace(/\u202f/g, " ").includes(word), `the hover says no “${word}”: ${hover}`);
  await page.mouse.move(2, 700);
  await page.focus('[data-panel="distance"] .term');
  check((await text(page, ".hover")).includes("mm_excess / mm"), "the hover follows the focus");
  const bare = await page.evaluate(() => [...document.querySelectorAll("main td .num, main .tile-num")].filter((one) => !one.closest("[data-term]") && !one.querySelector("[data-term]") && !one.classList.contains("none")).map((one) => one.outerHTML).slice(0, 5));
  same(bare.join("\n"), "", "numbers that say nothing of themselves");
  await page.context().close();
});

await test("tables go by keyboard, and 10,000 rows are not drawn at once", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-table="accounts"] tr[data-at="3"]');
  await page.focus('[data-table="accounts"] tr[data-at="0"]');
  await page.keyboard.press("End");
  await until(async () => (await page.evaluate(() => document.activeElement?.dataset.at)) === "1000", "End goes to the last account");
  const drawn = await page.locator('[data-table="accounts"] tbody tr').count();
  check(drawn < 60, `${drawn} rows are drawn`);
  await until(async () => !(await text(page, '[data-table="accounts"] tr[data-at="1000"]')).includes("·"), "the last account is read");
  await page.keyboard.press("Enter");
  await until(async () => (await page.evaluate(() => location.hash)).startsWith("#/account"), "Enter opens it");
  await page.context().close();
});

await test("CSV and PNG, UTC and local time, colours, read only", async () => {
  const page = await open(browser, world.base, "margin");
  await page.waitForSelector('[data-panel="series"] .uplot canvas');
  const save = async (button) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`[data-panel="series"] button:text-is("${button}")`).click()]);
    return readFileSync(await download.path());
  };
  const csv = (await save("CSV")).toString();
  check(csv.startsWith("at,equity,im,mm,") && csv.split("\n").length > 2, csv.slice(0, 80));
  const png = await save("PNG");
  check(png.subarray(1, 4).toString() === "PNG" && png.length > 2_000, `${png.length} bytes are no picture`);
  await page.locator('nav button:text-is("UTC")').click();
  await until(async () => (await text(page, ".status")).includes("local"), "local time is said");
  await page.locator('nav button:text-is("Dark")').click();
  same(await page.evaluate(() => document.documentElement.dataset.theme), "light", "theme");
  await page.context().close();
  const readOnly = await open(browser, world.base, `account?id=${id}`, { query: "?public" });
  await readOnly.waitForSelector('[data-panel="waterfall"]');
  same(await readOnly.locator('[data-panel="what-if"]').count(), 0, "what-if when read only");
  check((await text(readOnly, "nav")).includes("read only"), "read only is said");
  await readOnly.context().close();
});

await test("a line that is cut shows and heals", async () => {
  const wire = await line(port);
  const page = await open(browser, wire.base);
  await page.waitForSelector('[data-link="live"]');
  await page.waitForSelector('[data-number="Equity"]');
  page.expected = true;
  wire.cut();
  await page.waitForSelector('[data-link="lost"]', { timeout: 8_000 });
  check((await text(page, '[role="alert"]')).includes("Connection lost"), "the loss is said in words");
  await page.screenshot({ path: path.join(shots, "lost.png") });
  const before = Number(await text(page, '[data-status="sequence"]'));
  wire.mend();
  await page.waitForSelector('[data-link="live"]', { timeout: 8_000 });
  await until(async () => Number(await text(page, '[data-status="sequence"]')) > before, "numbers go on");
  same(await page.locator('[role="alert"]').count(), 0, "alarms after it healed");
  page.expected = false;
  await sleep(1_500);
  same(page.wrong.join("\n"), "", "errors after it healed");
  await page.context().close();
  wire.close();
});

await test("a server that is stopped shows, and one that is started heals it", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Equity"]');
  page.expected = true;
  await world.stop();
  await page.waitForSelector('[data-link="lost"]', { timeout: 8_000 });
  world = demo(port, ["--accounts", "300", "--seed", "2", "--for", "90m"]);
  await ready(world.base, 300);
  await page.waitForSelector('[data-link="live"]', { timeout: 10_000 });
  await until(async () => (await value(page, '[data-number="Accounts"]')) === "301", "the accounts are those of the other server");
  page.expected = false;
  await page.context().close();
});

await test("an invalid feed is visible", async () => {
  const page = await open(browser, world.base);
  await page.waitForSelector('[data-number="Equity"]');
  same(await page.locator('[data-alarm="feeds"]').count(), 0, "alarms while all is well");
  // The clock of the wall is months after the demonstration's: every price is stale at once.
  await api(world.base, "/v1/events", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ events: [{ event: { type: "clock" } }] }) });
  await page.waitForSelector('[data-alarm="feeds"]', { timeout: 8_000 });
  const alarm = await text(page, '[data-alarm="feeds"]');
  check(alarm.includes("BTC") && alarm.includes("halted"), alarm);
  await goTo(page, "feeds");
  await page.waitForSelector('[data-table="feeds"] .state.bad');
  const { shown, answer } = await together(page, "feeds", () => page.locator('[data-table="feeds"] tbody tr').evaluateAll((all) => all.map((row) => `${row.children[0].textContent} ${row.children[1].textContent.slice(1)}`)), () => api(world.base, "/v1/overview"));
  same(shown.join(), answer.data.feeds.map((feed) => `${feed.asset} ${feed.validity}`).join(), "validity");
  await page.waitForSelector('[data-table="validity-log"] tbody tr');
  await page.screenshot({ path: path.join(shots, "halted.png"), fullPage: true });
  same(page.wrong.join("\n"), "", "no console error");
  await page.context().close();
  return alarm.split("\n")[0];
});
await world.stop();

await test("a server with keys opens to a key, and to everybody where it says so", async () => {
  const dir = mkdtempSync(path.join(tmpdir(), "plimsoll-doors-"));
  const said = execFileSync(program(), ["keys", "create", "--role", "reader", "--everybody", "--keys", "keys.json"], { cwd: dir }).toString();
  const key = `${/\| key +\| (\w+)/.exec(said)[1]}.${/plim_[0-9a-f]+/.exec(said)[0]}`;
  const serve = async (open_) => {
    const port = await freePort();
    const text = readFileSync(path.join(root, "plimsoll.toml"), "utf8").replace("127.0.0.1:8080", `127.0.0.1:${port}`).replace('# keys = "keys.json"', 'keys = "keys.json"').replace('public = "nothing"', `public = "${open_}"`);
    writeFileSync(path.join(dir, "plimsoll.toml"), text);
    const child = spawn(program(), ["serve", "--config", "plimsoll.toml"], { cwd: dir, stdio: "ignore" });
    running.add(child);
    const base = `http://127.0.0.1:${port}`;
    await until(async () => (await fetch(`${base}/v1/health`)).ok, "it serves");
    const gone = new Promise((done) => child.once("exit", () => { running.delete(child); done(); }));
    return { base, stop: async () => { child.kill("SIGINT"); await gone; } };
  };
  try {
    const closed = await serve("nothing");
    const page = await open(browser, closed.base);
    page.expected = true;
    await page.waitForSelector('[data-alarm="closed"]');
    same(await page.locator("[data-number]").count(), 0, "numbers without a key");
    await page.fill("input[name=key]", key);
    await page.keyboard.press("Enter");
    await page.waitForSelector('[data-number="Equity"]');
    same(await page.locator('[data-alarm="closed"]').count(), 0, "alarms with a key");
    await page.context().close();
    await closed.stop();
    const alone = execFileSync(program(), ["keys", "create", "--role", "reader", "--account", "alice", "--keys", "keys.json"], { cwd: dir }).toString();
    const own = `${/\| key +\| (\w+)/.exec(alone)[1]}.${/plim_[0-9a-f]+/.exec(alone)[0]}`;
    const market = await serve("market");
    const one = await open(browser, market.base);
    one.expected = true;
    await one.waitForSelector('[data-own="0"]');
    same((await one.locator("nav li a").allInnerTexts()).join(), "Surface,Policy", "views of the market");
    await one.fill("input[name=key]", own);
    await one.keyboard.press("Enter");
    await one.waitForSelector('[data-own="1"]');
    same((await one.locator("nav li a").allInnerTexts()).join(), "Account,Margin,Scenarios,Surface,Policy", "views of one's own account");
    same(await one.evaluate(() => document.querySelector("main").dataset.view), "account", "where it begins");
    await until(async () => (await one.evaluate(() => location.hash)).includes("id=alice"), "its own account is chosen");
    same(await one.locator('[data-alarm="closed"]').count(), 0, "alarms");
    for (const view of ["margin", "heatmap", "surface", "policy"]) {
      await goTo(one, view);
      await sleep(700);
      const refused = (await one.locator("main").innerText()).match(/forbidden|unauthorised|needs a key/i);
      same(refused, null, `${view} shows what is refused`);
    }
    await goTo(one, "overview");
    await until(async () => (await one.evaluate(() => document.querySelector("main").dataset.view)) === "account", "views of all accounts are not there");
    await one.screenshot({ path: path.join(shots, "own.png"), fullPage: true });
    await one.context().close();
    await market.stop();
    const public_ = await serve("everything");
    const other = await open(browser, public_.base);
    await other.waitForSelector('[data-number="Equity"]');
    await sleep(1_000);
    same(other.wrong.join("\n"), "", "no console error");
    await other.context().close();
    await public_.stop();
  } finally {
    rmSync(dir, { recursive: true });
  }
});

// ---- how it holds ----------------------------------------------------------------------------------------------

await test(`${accounts} accounts, ten updates a second`, async () => {
  const busy = demo(await freePort(), ["--accounts", String(accounts), "--speed", "120", "--for", `${Math.ceil(minutes + 4)}m`]);
  await ready(busy.base, accounts);
  const page = await open(browser, busy.base);
  const seen = updates(page);
  await page.reload();
  await page.waitForSelector('[data-table="accounts"] tr[data-at="3"]');
  const session = await page.context().newCDPSession(page);
  await sleep(4_000);
  const [before, begun] = [seen.count, Date.now()];
  const { rate: fps, gaps } = await scrolled(page, 10_000);
  const rate = (seen.count - before) / ((Date.now() - begun) / 1000);
  figures.accounts = accounts;
  figures.frames_per_second = Number(fps.toFixed(1));
  figures.frame_p95_ms = Number(gaps[Math.floor(gaps.length * 0.95)].toFixed(1));
  figures.updates_per_second = Number(rate.toFixed(1));
  const sizes = [[0, await heap(session)]];
  const start = Date.now();
  const every = Math.max(5_000, (minutes * 60_000) / 12);
  const hashes = ["overview", "liquidations", "policy", "heatmap", "feeds", "margin", "surface", "overview"];
  // Every view again and again, so that what one leaves behind would show.
  for (let turn = 0; Date.now() - start < minutes * 60_000; turn++) {
    await goTo(page, hashes[turn % hashes.length]);
    await sleep(Math.min(every, 5_000));
    if (turn % hashes.length === hashes.length - 1) sizes.push([(Date.now() - start) / 60_000, await heap(session)]);
  }
  figures.heap_mb = sizes.map(([at, size]) => [Number(at.toFixed(1)), Number((size / 1e6).toFixed(2))]);
  const wrong = page.wrong.join("\n");
  await page.context().close();
  await busy.stop();
  same(wrong, "", "no console error");
  figures.frame_median_ms = Number(gaps[gaps.length >> 1].toFixed(1));
  const least = Number(argument("frames", "45"));
  // Who asks for less than usual is on a machine that others are on too.
  check((least < 45 || figures.frame_median_ms < 17.5) && figures.frames_per_second >= least, `${figures.frames_per_second} frames a second, half of them within ${figures.frame_median_ms} ms`);
  check(rate >= (least < 45 ? 4 : 8), `${rate} updates a second`);
  // What is kept is bounded, and full within the first half of an hour: from then on nothing is added.
  const [last, half] = [sizes[sizes.length - 1][1], sizes[sizes.length >> 1][1]];
  check(last < 24e6, `the heap is ${last} bytes`);
  if (minutes >= 30) check(last < half * 1.15 + 1e6, `the heap grows from ${half} to ${last}`);
  return `${figures.frames_per_second} frames a second (95 % within ${figures.frame_p95_ms} ms), ${figures.updates_per_second} updates a second, heap ${figures.heap_mb.map(([at, mb]) => `${mb} MB at ${at} min`).join(", ")}`;
});

await browser.close();
writeFileSync(path.join(shots, "figures.json"), JSON.stringify(figures, null, 2) + "\n");
console.log(JSON.stringify(figures));
for (const child of running) child.kill("SIGKILL");
console.log(failures ? `${failures} failed` : "all passed");
process.exit(failures ? 1 : 0);
