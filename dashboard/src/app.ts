// What every view shares: address, settings, the latest overview, and what was seen while the page was open.
import { connection, follow, get } from "./api";
import { Ring } from "./ring";
import { Cell } from "./store";
import type { Answer, DecisionEffect, Feed, Happened, Overview, Parameters, Sample, Surface, Terms, Whoami } from "./types";

// ---- address ---------------------------------------------------------------------------------------------------

export interface Place {
  view: string;
  query: URLSearchParams;
}

function read(): Place {
  const [view, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: view || "overview", query: new URLSearchParams(query ?? "") };
}

export const place = new Cell<Place>(read());
window.addEventListener("hashchange", () => place.set(read()));

export function href(view: string, query: Record<string, string | number | undefined> = {}): string {
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
  return `#/${view}${text ? "?" + text : ""}`;
}

/** Changes what the address says of this view, without a step back in the history. */
export function say(query: Record<string, string | number | undefined>): void {
  const here = place.get();
  const all: Record<string, string | number | undefined> = { ...Object.fromEntries(here.query), ...query };
  history.replaceState(null, "", href(here.view, all));
  place.set(read());
}

// ---- settings --------------------------------------------------------------------------------------------------

export type Theme = "dark" | "light";
export type Zone = "utc" | "local";

function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing shows what it is told now.
  }
}

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
export const theme = new Cell<Theme>((kept("plimsoll.theme") as Theme | null) ?? (dark ? "dark" : "light"));
export const zone = new Cell<Zone>((kept("plimsoll.zone") as Zone | null) ?? "utc");

/** For people at large: nothing is asked of the server but to be read. */
export const readOnly = new URLSearchParams(location.search).has("public");

export function setTheme(to: Theme): void {
  document.documentElement.dataset.theme = to;
  keep("plimsoll.theme", to);
  theme.set(to);
}

export function setZone(to: Zone): void {
  keep("plimsoll.zone", to);
  zone.set(to);
}

// ---- time ------------------------------------------------------------------------------------------------------

const pad = (n: number) => String(n).padStart(2, "0");

function fields(at: Date, in_: Zone): [number, number, number, number, number, number] {
  return in_ === "utc"
    ? [at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate(), at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()]
    : [at.getFullYear(), at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()];
}

export function date(text: string | number): string {
  const [y, m, d] = fields(new Date(text), zone.get());
  return `${y}-${pad(m)}-${pad(d)}`;
}

export function clock(text: string | number): string {
  const [, , , h, m, s] = fields(new Date(text), zone.get());
  return `${pad(h)}:${pad(m)}:${pad(s)}`;
}

export function time(text: string | number): string {
  return `${date(text)} ${clock(text)}`;
}

export function zoneName(): string {
  return zone.get() === "utc" ? "UTC" : "local";
}

export function span(seconds: number): string {
  if (!Number.isFinite(seconds)) return "\u2013";
  const size = Math.abs(seconds);
  if (size < 10) return `${size.toFixed(1)}\u202fs`;
  if (size < 120) return `${Math.round(size)}\u202fs`;
  if (size < 7200) return `${Math.round(size / 60)}\u202fmin`;
  if (size < 172_800) return `${(size / 3600).toFixed(1)}\u202fh`;
  return `${(size / 86_400).toFixed(1)}\u202fd`;
}

// ---- what is known ---------------------------------------------------------------------------------------------

export const overview = new Cell<Answer<Overview> | null>(null);
export const terms = new Cell<Answer<Terms> | null>(null);
export const parameters = new Cell<Answer<Parameters> | null>(null);

/** What this page may see; nothing until the server has said. */
export const who = new Cell<Whoami | null>(null);

/** The accounts that it may see, where it may not see all. */
export function mine(): string[] | null {
  const of = who.get();
  return of && !of.everybody && of.accounts.length ? of.accounts : null;
}

/** How far feeds may be relied on, from whichever answer said so last. */
export const feeds = new Cell<Feed[]>([]);

/** Whether views of all accounts are for others. */
export function alone(): boolean {
  const of = who.get();
  return of !== null && !of.everybody;
}

export interface Event {
  sequence: number;
  at: string;
  channel: string;
  what: Record<string, unknown>;
}

/** Kept of what was seen: an hour of totals at one a second, and the latest events. */
export const totals = new Ring<Sample>(3_600);
export const totalsSeen = new Cell(0);
export const events = new Ring<Event>(500);
export const eventsSeen = new Cell(0);
/** Kept of parameters' readings. */
export const readings = new Ring<{ at: number; of: Parameters["readings"] }>(720);
/** Kept of surfaces, by underlying: the time slider. */
export const surfaces = new Map<string, Ring<Answer<Surface>>>();
export const surfacesSeen = new Cell(0);

function sample(answer: Answer<Overview>): void {
  const last = totals.last();
  // One a second of the market's time, and of ours.
  if (last && Date.parse(answer.as_of) - Date.parse(last.at) < 1_000) return;
  const of = answer.data;
  totals.push({
    at: answer.as_of,
    accounts: of.valued,
    equity: of.equity,
    im: of.im,
    mm: of.mm,
    call: of.standings.call ?? 0,
    unvalued: of.standings.unvalued ?? 0,
    liquidatable: of.standings.liquidatable ?? 0,
    insolvent: of.standings.insolvent ?? 0,
    insurance: of.insurance,
  });
  totalsSeen.set(totalsSeen.get() + 1);
}

export const parametersHistory = new Cell<Happened<DecisionEffect>[]>([]);

/** Kept of decisions. */
const DECISIONS = 200;

/** Read at once: in a storm every change tells the whole announced path, hundreds of legs. */
const DECISIONS_AT_ONCE = 25;

/** A decision without all but the end of its paths: those in force are said by the parameters themselves. */
function brief(of: Happened<DecisionEffect>): Happened<DecisionEffect> {
  const { decision, endangered } = of.what;
  const changes = decision.changes.map((change) => ({ ...change, maintenance: { ...change.maintenance, legs: change.maintenance.legs.slice(-1) } }));
  return { ...of, what: { effect: "parameters", endangered, decision: { ...decision, changes } } };
}

async function readHistory(): Promise<void> {
  let all: Happened<DecisionEffect>[] = [];
  for (let skip = 0; skip < DECISIONS; skip += DECISIONS_AT_ONCE) {
    const { data } = await get<Happened<DecisionEffect>[]>(`/v1/parameters/history?limit=${DECISIONS_AT_ONCE}&skip=${skip}`);
    const last = all[all.length - 1]?.sequence ?? Infinity;
    all = [...all, ...data.filter((of) => of.sequence < last).map(brief)];
    parametersHistory.set(all);
    if (data.length < DECISIONS_AT_ONCE) break;
  }
}

let reading = false;

/** What the latest decisions rested on: the socket says the decision, and the server keeps what was read. */
async function readEvidence(): Promise<void> {
  if (reading) return;
  reading = true;
  try {
    await new Promise((done) => setTimeout(done, 1_000));
    const { data } = await get<Happened<DecisionEffect>[]>("/v1/parameters/history?limit=5");
    const read = new Map(data.map((of) => [of.sequence, of.readings]));
    parametersHistory.set(parametersHistory.get().map((of) => (of.readings || !read.has(of.sequence) ? of : { ...of, readings: read.get(of.sequence) ?? {} })));
  } catch {
    // The decision is shown without it until the next.
  } finally {
    reading = false;
  }
}

export async function readParameters(): Promise<void> {
  const answer = await get<Parameters>("/v1/parameters");
  const last = readings.last();
  const at = Date.parse(answer.as_of);
  if (!last || at > last.at) readings.push({ at, of: answer.data.readings });
  parameters.set(answer);
}

/** A journal that begins anew: what was seen before is of another course. */
function forget(): void {
  for (const ring of [totals, events, readings, ...surfaces.values()]) ring.clear();
  terms.set(null);
  void readHistory().catch(() => undefined);
}

export function start(): void {
  follow("overview", (message) => {
    const answer = message as unknown as Answer<Overview>;
    const last = overview.get();
    if (last && answer.sequence < last.sequence) forget();
    overview.set(answer);
    feeds.set(answer.data.feeds);
    sample(answer);
  });
  for (const channel of ["params", "validity", "liquidations"]) {
    follow(channel, (message) => {
      const what = message.data as Record<string, unknown>;
      // A decision is kept with the others of its kind, and is large.
      events.push({ sequence: message.sequence, at: message.as_of, channel, what: channel === "params" ? { effect: what.effect } : what });
      eventsSeen.set(eventsSeen.get() + 1);
      if (what.effect === "parameters") {
        const decision = brief({ sequence: message.sequence, at: message.as_of, what: what as unknown as DecisionEffect });
        const known = parametersHistory.get();
        if (known[0]?.sequence !== decision.sequence) parametersHistory.set([decision, ...known].slice(0, DECISIONS));
        void readEvidence();
      }
    });
  }
  let link = "";
  connection.subscribe(() => {
    // What happened while nobody listened is read again.
    if (connection.get().link === "live" && link !== "live") void readHistory().catch(() => undefined);
    link = connection.get().link;
  });
  const again = () => {
    if (!document.hidden) {
      void readParameters().catch(() => undefined);
      if (!who.get()) void get<Whoami>("/v1/whoami").then((answer) => who.set(answer.data), () => undefined);
      // Who may not see everybody is not told the overview, and asks for the market's part of it.
      if (alone()) void get<Feed[]>("/v1/validity").then((answer) => feeds.set(answer.data), () => undefined);
      if (!terms.get()) void get<Terms>("/v1/terms").then((answer) => terms.set(answer), () => undefined);
    }
    window.setTimeout(again, 5_000);
  };
  again();
}
