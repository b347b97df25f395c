// One place for what the page knows. What arrives is taken at once; what is drawn is drawn once a frame.
import { useEffect, useReducer, useRef } from "preact/hooks";

type Listener = () => void;

const dirty = new Set<Cell<unknown>>();
let scheduled = false;

function flush(): void {
  scheduled = false;
  const cells = [...dirty];
  dirty.clear();
  const listeners = new Set<Listener>();
  for (const cell of cells) for (const listener of cell.listeners) listeners.add(listener);
  for (const listener of listeners) listener();
}

/** A value that views follow. Setting it any number of times within a frame draws once. */
export class Cell<T> {
  readonly listeners = new Set<Listener>();
  private value: T;
  constructor(value: T) {
    this.value = value;
  }
  get(): T {
    return this.value;
  }
  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    this.touch();
  }
  /** Says that what is inside has changed. */
  touch(): void {
    dirty.add(this as Cell<unknown>);
    if (!scheduled) {
      scheduled = true;
      // A page that nobody sees gets no frames, and draws nothing.
      requestAnimationFrame(flush);
    }
  }
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The value of a cell, drawn again when it changes. */
export function useCell<T>(cell: Cell<T>): T {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => cell.subscribe(() => draw(undefined as never)), [cell]);
  return cell.get();
}

/** Calls again and again while it is shown, one call after the other. */
export function useEvery(ms: number, of: (signal: AbortSignal) => Promise<void> | void, on: unknown[]): void {
  const latest = useRef(of);
  latest.current = of;
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const run = async () => {
      try {
        if (!document.hidden) await latest.current(stop.signal);
      } catch {
        // Said where it was asked; the next turn tries again.
      }
      if (!stop.signal.aborted) timer = window.setTimeout(run, ms);
    };
    void run();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, on);
}
