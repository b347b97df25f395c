// Tables that a keyboard can walk, and that hold as many rows as there are by drawing those in sight.
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Csv, Term } from "./base";
import type { Cellular } from "./base";
import type { TermName } from "../terms";

export interface Column<T> {
  name: string;
  term?: TermName;
  left?: boolean;
  of: (row: T, at: number) => ComponentChildren;
  /** What the CSV says; what is exact, not what is shown. */
  csv?: (row: T) => Cellular;
  width?: string;
  sort?: (a: T, b: T) => number;
}

interface TableProps<T> {
  name: string;
  columns: Column<T>[];
  rows: T[];
  key_: (row: T, at: number) => string | number;
  href?: (row: T) => string;
  chosen?: (row: T) => boolean;
  onChoose?: (row: T) => void;
  empty?: string;
  label: string;
}

/** Arrow keys go from row to row, Enter opens. */
function walk(event: KeyboardEvent): void {
  const row = event.currentTarget as HTMLElement;
  const to = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
  if (to instanceof HTMLElement && to.tabIndex >= 0) {
    to.focus();
    event.preventDefault();
  }
}

export function Table<T>({ name, columns, rows, key_, href, chosen, onChoose, empty, label }: TableProps<T>) {
  const [order, setOrder] = useState<{ at: number; down: boolean } | null>(null);
  let shown = rows;
  const by = order ? columns[order.at]?.sort : undefined;
  if (by && order) shown = [...rows].sort((a, b) => (order.down ? -by(a, b) : by(a, b)));
  const open = (row: T) => {
    if (onChoose) onChoose(row);
    else if (href) location.hash = href(row);
  };
  const active = onChoose ?? href;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table data-table={name}>
        <thead>
          <tr>
            {columns.map((column, at) => (
              <th scope="col" class={column.left ? "left" : ""} style={column.width ? { width: column.width } : undefined}
                aria-sort={order?.at === at ? (order.down ? "descending" : "ascending") : undefined}>
                {column.sort ? (
                  <button type="button" class="sort" data-term={column.term} onClick={() => setOrder({ at, down: order?.at === at ? !order.down : true })}>
                    {column.name}<i aria-hidden="true">{order?.at === at ? (order.down ? "▾" : "▴") : ""}</i>
                  </button>
                ) : column.term ? <Term of={column.term}>{column.name}</Term> : column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, at) => (
            <tr key={key_(row, at)} tabIndex={active ? 0 : undefined} class={(active ? "go " : "") + (chosen?.(row) ? "chosen" : "")}
              aria-selected={chosen ? chosen(row) : undefined}
              onClick={active ? () => open(row) : undefined}
              onKeyDown={active ? (event) => (event.key === "Enter" ? open(row) : walk(event)) : undefined}>
              {columns.map((column) => <td class={column.left ? "left" : ""}>{column.of(row, at)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p class="nothing">{empty ?? "nothing"}</p>}
    </div>
  );
}

export function csvOf<T>(columns: Column<T>[], rows: T[]): [string[], Cellular[][]] {
  const said = columns.filter((column) => column.csv);
  return [said.map((column) => column.name), rows.map((row) => said.map((column) => column.csv!(row)))];
}

export function TableCsv<T>({ name, columns, rows }: { name: string; columns: Column<T>[]; rows: T[] }) {
  return <Csv name={name} of={() => csvOf(columns, rows)} />;
}

const ROW = 26;
const STEP = 8;

interface FarProps<T> {
  name: string;
  columns: Column<T>[];
  /** How many rows there are. */
  count: number;
  height: number;
  /** Asked for the rows in sight; what is not here yet is `undefined`. */
  row: (at: number) => T | undefined;
  onSight: (from: number, to: number) => void;
  open: (row: T) => void;
  label: string;
}

/** A table of which only what is in sight is asked for and drawn. */
export function FarTable<T>({ name, columns, count, height, row, onSight, open, label }: FarProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  // In steps of several rows, so that most of a scroll draws nothing.
  const [step, setStep] = useState(0);
  const [focus, setFocus] = useState(0);
  const moved = useRef(false);
  const from = Math.max(0, (step - 1) * STEP);
  const to = Math.min(count, (step + 2) * STEP + Math.ceil(height / ROW));
  useEffect(() => onSight(from, to), [from, to, count]);
  useEffect(() => {
    if (focus >= count) setFocus(Math.max(0, count - 1));
  }, [count]);
  useLayoutEffect(() => {
    if (!moved.current) return;
    const head = ROW + 2;
    const at = focus * ROW;
    const view = box.current!;
    if (at < view.scrollTop) view.scrollTop = at;
    else if (at + ROW + head > view.scrollTop + height) view.scrollTop = at + ROW + head - height;
    const there = view.querySelector<HTMLElement>(`[data-at="${focus}"]`);
    // Not drawn yet: the scroll that was just made draws it.
    if (!there) return;
    moved.current = false;
    there.focus({ preventScroll: true });
  });
  const keys = (event: KeyboardEvent) => {
    const page = Math.floor(height / ROW) - 2;
    const step: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count };
    const by = step[event.key];
    if (by !== undefined) {
      event.preventDefault();
      moved.current = true;
      setFocus(Math.max(0, Math.min(count - 1, focus + by)));
    } else if (event.key === "Enter") {
      const found = row(focus);
      if (found) open(found);
    }
  };
  const latest = useRef({ keys, open });
  latest.current = { keys, open };
  // A row that says what it said is not drawn again.
  const drawn = useRef(new Map<number, { row: T | undefined; focused: boolean; node: VNode }>());
  const next: typeof drawn.current = new Map();
  const rows: VNode[] = [];
  for (let at = from; at < to; at++) {
    const found = row(at);
    const focused = at === focus;
    const old = drawn.current.get(at);
    const node = old && old.row === found && old.focused === focused ? old.node : (
      <tr key={at} data-at={at} aria-rowindex={at + 2} class="go" tabIndex={focused ? 0 : -1}
        onFocus={() => setFocus(at)} onKeyDown={(event) => latest.current.keys(event)} onClick={() => found && latest.current.open(found)}>
        {columns.map((column) => <td class={column.left ? "left" : ""}>{found ? column.of(found, at) : "·"}</td>)}
      </tr>
    );
    next.set(at, { row: found, focused, node });
    rows.push(node);
  }
  drawn.current = next;
  return (
    <div class="scroll far" style={{ height: `${height}px` }} ref={box} tabIndex={-1} role="region" aria-label={label}
      onScroll={(event) => setStep(Math.floor(event.currentTarget.scrollTop / ROW / STEP))}>
      <table data-table={name} aria-rowcount={count + 1}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th scope="col" class={column.left ? "left" : ""} style={column.width ? { width: column.width } : undefined}>
                {column.term ? <Term of={column.term}>{column.name}</Term> : column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <tr aria-hidden="true" style={{ height: `${from * ROW}px` }}><td colSpan={columns.length} class="gap" /></tr>}
          {rows}
          {to < count && <tr aria-hidden="true" style={{ height: `${(count - to) * ROW}px` }}><td colSpan={columns.length} class="gap" /></tr>}
        </tbody>
      </table>
      {count === 0 && <p class="nothing">no such account</p>}
    </div>
  );
}
