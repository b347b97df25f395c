// The public interface, as anybody else has it.
import type { Answer, Problem } from "./types";
import { claim, head, key } from "./key";
import { Cell } from "./store";

export type Link = "connecting" | "live" | "lost";

export interface Connection {
  link: Link;
  /** When the last message came, of this machine's clock, ms. */
  heard: number;
  /** Since when it is lost. */
  since: number;
  attempts: number;
}

export const connection = new Cell<Connection>({ link: "connecting", heard: 0, since: Date.now(), attempts: 0 });

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(`${problem.code}: ${problem.detail}`);
  }
}

/** An answer, or {@link Refused}. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<Answer<T>> {
  return ask<T>(path, { signal: signal ?? null });
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<Answer<T>> {
  const headers = { "content-type": "application/json" };
  return ask<T>(path, { method: "POST", headers, body: JSON.stringify(body), signal: signal ?? null });
}

async function ask<T>(path: string, init: RequestInit): Promise<Answer<T>> {
  const response = await fetch(path, { ...init, headers: { ...init.headers, ...head() } });
  const text = await response.text();
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    throw new Refused(response.status, { code: "unreadable", detail: text.slice(0, 120) });
  }
  if (!response.ok) throw new Refused(response.status, said as Problem);
  return said as Answer<T>;
}

/** Long computations: the server does one at a time, so we ask for one at a time, and wait while others ask. */
let tail: Promise<unknown> = Promise.resolve();
export function long<T>(path: string, signal?: AbortSignal): Promise<Answer<T>> {
  const run = async (): Promise<Answer<T>> => {
    for (let attempt = 0; ; attempt++) {
      if (signal?.aborted) throw new DOMException("no longer asked for", "AbortError");
      try {
        return await get<T>(path, signal);
      } catch (error) {
        const busy = error instanceof Refused && error.status === 503 && error.problem.code === "busy";
        if (!busy || attempt > 20) throw error;
        await new Promise((done) => setTimeout(done, 150 + 50 * attempt));
      }
    }
  };
  const mine = tail.then(run, run);
  tail = mine.catch(() => undefined);
  return mine;
}

/** Why the server lets the page see less than it asks for; nothing while it does not. */
export const closed = new Cell("");

/** A proof too near to the server's start is refused, since nonces do not outlive it: so it is told again. */
const AGAIN_MS = 2_500;

/** Tells a socket whose it is, where the server asks for keys. */
async function prove(to: WebSocket): Promise<void> {
  const of = key();
  if (!of || to !== socket) return;
  try {
    const { data } = await get<{ audience: string }>("/v1/terms");
    to.send(JSON.stringify(await claim(of, data.audience)));
  } catch (error) {
    closed.set(String(error instanceof Error ? error.message : error));
  }
}

export type Message = Answer<unknown> & { channel: string };

const wanted = new Map<string, Set<(message: Message) => void>>();
let socket: WebSocket | null = null;
let attempts = 0;
let ping = 0;

/** Follows a channel; the same again after a break. */
export function follow(channel: string, listener: (message: Message) => void): () => void {
  const known = wanted.get(channel);
  if (known) known.add(listener);
  else {
    wanted.set(channel, new Set([listener]));
    say({ op: "subscribe", channels: [channel] });
  }
  return () => {
    const listeners = wanted.get(channel);
    listeners?.delete(listener);
    if (listeners && listeners.size === 0) {
      wanted.delete(channel);
      say({ op: "unsubscribe", channels: [channel] });
    }
  };
}

/** One by one: a channel that is not known any more must not take the others with it. */
function all(): void {
  wanted.forEach((_, channel) => say({ op: "subscribe", channels: [channel] }));
}

function say(what: unknown): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what));
}

function state(link: Link): void {
  const before = connection.get();
  const since = link === before.link ? before.since : Date.now();
  connection.set({ link, heard: link === "live" ? Date.now() : before.heard, since, attempts });
}

/** Nothing for so long, answers to our own pings included: the line is dead even if nobody said so. */
const SILENCE_MS = 6_000;
const PING_MS = 2_000;

export function connect(): void {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}/v1/ws`);
  socket = mine;
  let heard = Date.now();
  mine.onopen = () => {
    attempts = 0;
    heard = Date.now();
    state("live");
    closed.set("");
    if (key()) void prove(mine);
    else all();
    clearInterval(ping);
    ping = window.setInterval(() => {
      if (Date.now() - heard > SILENCE_MS) mine.close();
      else say({ op: "ping" });
    }, PING_MS);
  };
  mine.onmessage = (event: MessageEvent<string>) => {
    heard = Date.now();
    const now = connection.get();
    if (now.link !== "live") state("live");
    else now.heard = heard;
    const message = JSON.parse(event.data) as Message & { op?: string; code?: string; detail?: string };
    if (message.op === "known") closed.set(""), all();
    if (message.op === "error" && message.code === "unauthorised" && key()) window.setTimeout(() => void prove(mine), AGAIN_MS);
    if (message.op === "error" && ["unauthorised", "forbidden"].includes(message.code ?? "")) closed.set(`${message.code}: ${message.detail}`);
    if (message.channel) for (const listener of wanted.get(message.channel) ?? []) listener(message);
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    clearInterval(ping);
    socket = null;
    attempts += 1;
    state("lost");
    window.setTimeout(connect, Math.min(250 * 2 ** (attempts - 1), 4_000));
  };
}
