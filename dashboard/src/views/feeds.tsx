// View 8: how far every feed may be relied on, for what; how the server keeps up; where the journal stands.
import { useState } from "preact/hooks";
import { get } from "../api";
import { head } from "../key";
import { events, eventsSeen, overview, span, time } from "../app";
import { float, percent } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Nothing, Num, Panel, Term, Valid } from "../ui/base";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import type { Answer, Feed, JournalPosition, Validity } from "../types";

export function FeedsView() {
  return (
    <div class="grid">
      <Feeds />
      <Events />
      <Journal />
      <Speed />
    </div>
  );
}

// What a validity allows, as docs/engine.md has it.
const PURPOSES: [string, Record<Validity, [string, string]>][] = [
  ["New risk", { normal: ["ok", "yes"], degraded: ["bad", "refused"], halted: ["bad", "refused"] }],
  ["Less risk, deposits", { normal: ["ok", "yes"], degraded: ["ok", "yes"], halted: ["ok", "yes"] }],
  ["Margin", { normal: ["ok", "at the price"], degraded: ["warn", "widened by its band"], halted: ["warn", "at the last price"] }],
  ["Liquidation", { normal: ["ok", "yes"], degraded: ["warn", "where every price of the band says so"], halted: ["bad", "nobody"] }],
];

const word = (text: unknown) => String(text).replace(/_/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

function Feeds() {
  const answer = useCell(overview);
  const rows = answer?.data.feeds ?? [];
  const columns: Column<Feed>[] = [
    { name: "Feed", left: true, of: (row) => <b>{row.asset}</b>, csv: (row) => row.asset },
    { name: "Validity", term: "validity", left: true, of: (row) => <Valid of={row.validity} />, csv: (row) => row.validity },
    { name: "Causes", term: "causes", left: true, of: (row) => row.causes.map(word).join(", ") || <span class="faint">–</span>, csv: (row) => row.causes.join(" ") },
    { name: "Price", term: "index", of: (row) => <Num text={float(row.price, (row.price ?? 0) > 100 ? 2 : 4)} term="index" value={row.price ?? ""} />, csv: (row) => row.price },
    { name: "±", term: "confidence", of: (row) => <Num text={percent(row.confidence ?? NaN, 2)} term="confidence" />, csv: (row) => row.confidence },
    { name: "Age", term: "age", of: (row) => <Num text={row.age_ms === undefined ? "–" : span(row.age_ms / 1000)} term="age" />, csv: (row) => row.age_ms },
    ...PURPOSES.map(([name, by]): Column<Feed> => ({ name, left: true, of: (row) => { const [cls, text] = by[row.validity]; return <span class={`state ${cls}`}><i aria-hidden="true">{cls === "ok" ? "●" : cls === "warn" ? "◐" : "■"}</i>{text}</span>; }, csv: (row) => by[row.validity][1] })),
    { name: "Quarantined sources", term: "quarantined", left: true, of: (row) => (row.quarantined.length ? <span class="state warn"><i aria-hidden="true">◐</i>{row.quarantined.map(word).join("; ")}</span> : <span class="faint">none</span>), csv: (row) => row.quarantined.join("; ") },
  ];
  return (
    <Panel title="Feeds, by purpose" basis={answer} risk={false} cls="wide" id="feeds" tools={<TableCsv name="feeds" columns={columns} rows={rows} />}>
      <Table name="feeds" label="Feeds" columns={columns} rows={rows} key_={(row) => row.asset} />
    </Panel>
  );
}

function Events() {
  useCell(eventsSeen);
  const rows = events.list().filter((event) => event.channel === "validity").reverse().slice(0, 100);
  return (
    <Panel title="Changes of validity since this page was opened" cls="two" id="validity-log" tools={<Csv name="validity" of={() => [["at", "sequence", "what"], rows.map((row) => [row.at, row.sequence, JSON.stringify(row.what)])]} />}>
      <Table name="validity-log" label="Changes of validity" rows={rows} key_={(row, at) => `${row.sequence}-${at}`} empty="none" columns={[
        { name: "When", left: true, of: (row) => time(row.at) },
        { name: "Event", of: (row) => <Num text={String(row.sequence)} term="sequence" /> },
        { name: "Feed", left: true, of: (row) => String(row.what.feed ?? "") },
        { name: "From", left: true, of: (row) => (row.what.from ? <Valid of={row.what.from as Validity} /> : String(row.what.effect)) },
        { name: "To", left: true, of: (row) => (row.what.to ? <Valid of={row.what.to as Validity} /> : "") },
        { name: "Causes", left: true, of: (row) => ((row.what.causes as unknown[]) ?? []).map(word).join(", ") },
      ]} />
    </Panel>
  );
}

function Journal() {
  const [answer, setAnswer] = useState<Answer<JournalPosition> | null>(null);
  const [rate, setRate] = useState<number | null>(null);
  const [last, setLast] = useState<[number, number] | null>(null);
  useEvery(1_000, async (signal) => {
    const found = await get<JournalPosition>("/v1/journal", signal);
    if (signal.aborted) return;
    const now = performance.now();
    if (last && now > last[0]) setRate(((found.data.applied - last[1]) / (now - last[0])) * 1000);
    setLast([now, found.data.applied]);
    setAnswer(found);
  }, []);
  const of = answer?.data;
  return (
    <Panel title="Journal and queue" basis={answer} risk={false} id="journal">
      {of ? (
        <table data-table="journal">
          <tbody>
            <tr><th scope="row" class="left"><Term of="journal">Applied, and on disk</Term></th><td><Num text={String(of.applied)} term="journal" value={of.applied} /></td></tr>
            <tr><th scope="row" class="left"><Term of="saved">In the newest saved state</Term></th><td><Num text={String(of.snapshot)} term="saved" value={of.snapshot} /></td></tr>
            <tr><th scope="row" class="left">To replay after a restart</th><td><Num text={String(of.applied - of.snapshot)} term="saved" /></td></tr>
            <tr><th scope="row" class="left"><Term of="waiting">Waiting (ingest lag)</Term></th><td><Num text={String(of.waiting)} term="waiting" value={of.waiting} /></td></tr>
            <tr><th scope="row" class="left"><Term of="conflated">Conflated</Term></th><td><Num text={String(of.conflated)} term="conflated" value={of.conflated} /></td></tr>
            <tr><th scope="row" class="left">Events a second</th><td><Num text={rate === null ? "–" : float(rate, 1)} /></td></tr>
          </tbody>
        </table>
      ) : <Nothing why="waiting" />}
    </Panel>
  );
}

interface Timing {
  name: string;
  kind: "step" | "request";
  count: number;
  mean: number;
  p50: number;
  p99: number;
}

/** A quantile of a histogram: the upper edge of the bucket it is in. */
function quantile(buckets: [number, number][], q: number): number {
  const total = buckets[buckets.length - 1]?.[1] ?? 0;
  for (const [edge, count] of buckets) if (total > 0 && count >= q * total) return edge;
  return NaN;
}

function timings(text: string): Timing[] {
  const found = new Map<string, { kind: "step" | "request"; name: string; sum: number; count: number; buckets: [number, number][] }>();
  const line = /^plimsoll_(step|request)_seconds_(sum|count|bucket)\{([^}]*)\} (\S+)$/gm;
  for (const [, kind, what, labels, value] of text.matchAll(line)) {
    const name = /(?:event|route)="([^"]*)"/.exec(labels!)?.[1] ?? "";
    const key = `${kind} ${name}`;
    const of = found.get(key) ?? { kind: kind as "step", name, sum: 0, count: 0, buckets: [] };
    if (what === "sum") of.sum = Number(value);
    else if (what === "count") of.count = Number(value);
    else of.buckets.push([Number(/le="([^"]*)"/.exec(labels!)?.[1]?.replace("+Inf", "Infinity")), Number(value)]);
    found.set(key, of);
  }
  return [...found.values()].map((of) => ({ name: of.name, kind: of.kind, count: of.count, mean: of.sum / of.count, p50: quantile(of.buckets, 0.5), p99: quantile(of.buckets, 0.99) }));
}

function seconds(value: number): string {
  if (!Number.isFinite(value)) return value === Infinity ? "over 3 s" : "–";
  return value < 1e-3 ? `${float(value * 1e6, 0)}\u202fµs` : value < 1 ? `${float(value * 1e3, value < 0.1 ? 1 : 0)}\u202fms` : `${float(value, 1)}\u202fs`;
}

function Speed() {
  const [rows, setRows] = useState<Timing[]>([]);
  useEvery(3_000, async (signal) => {
    const response = await fetch("/metrics", { signal, headers: head() });
    if (response.ok) setRows(timings(await response.text()));
  }, []);
  const columns = (first: string): Column<Timing>[] => [
    { name: first, left: true, of: (row) => row.name, csv: (row) => row.name, sort: (a, b) => a.name.localeCompare(b.name) },
    { name: "Count", of: (row) => <Num text={float(row.count, 0)} />, csv: (row) => row.count, sort: (a, b) => a.count - b.count },
    { name: "Mean", of: (row) => <Num text={seconds(row.mean)} />, csv: (row) => row.mean, sort: (a, b) => a.mean - b.mean },
    { name: "50 % within", of: (row) => <Num text={seconds(row.p50)} />, csv: (row) => row.p50 },
    { name: "99 % within", of: (row) => <Num text={seconds(row.p99)} />, csv: (row) => row.p99, sort: (a, b) => a.p99 - b.p99 },
  ];
  const of = (kind: Timing["kind"]) => rows.filter((row) => row.kind === kind).sort((a, b) => b.count - a.count);
  return (
    <>
      <div class="stack">
        <Panel title={<Term of="step">Recompute time, by event</Term>} id="steps" tools={<TableCsv name="steps" columns={columns("Event")} rows={of("step")} />}>
          <Table name="steps" label="Recompute time" columns={columns("Event")} rows={of("step")} key_={(row) => row.name} empty="waiting" />
        </Panel>
        <Refusals />
      </div>
      <Panel title={<Term of="request">Answer time, by route</Term>} id="requests" cls="two tall" tools={<TableCsv name="requests" columns={columns("Route")} rows={of("request")} />}>
        <Table name="requests" label="Answer time" columns={columns("Route")} rows={of("request")} key_={(row) => row.name} empty="waiting" />
      </Panel>
    </>
  );
}

function Refusals() {
  const answer = useCell(overview);
  const rows = Object.entries(answer?.data.refused ?? {}).map(([code, count]) => ({ code, count }));
  return (
    <Panel title={<Term of="refused">Refused events</Term>} basis={answer} risk={false} id="refused">
      <Table name="refused" label="Refused events" rows={rows} key_={(row) => row.code} empty="none" columns={[{ name: "Code", left: true, of: (row) => word(row.code) }, { name: "Count", of: (row) => <Num text={String(row.count)} term="refused" /> }]} />
    </Panel>
  );
}
