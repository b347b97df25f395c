// View 7: what would be liquidatable, what is being liquidated, and how it went.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { eventsSeen, href, overview, place, say, span, time } from "../app";
import { approx, counted, exact, percent, short, sum } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Money, Nothing, Num, Panel, Pick, Png, Stands, Term } from "../ui/base";
import { heatPng } from "../ui/heat";
import { Series } from "../ui/series";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import { BookMap, useBookHeat } from "./heatmap";
import type { Answer, Happened, Liquidations, Plan, Sample, Standing } from "../types";

export function LiquidationsView() {
  return (
    <div class="grid">
      <Map />
      <Live />
      <Replay />
    </div>
  );
}

const MEASURES = [["notional", "Notional"], ["accounts", "Accounts"], ["shortfall", "Shortfall"]] as const;

function Map() {
  const { query } = useCell(place);
  const measure = (query.get("measure") ?? "notional") as "notional" | "accounts" | "shortfall";
  const { answer, why } = useBookHeat("0");
  const [at, setAt] = useState<[number, number] | null>(null);
  const title = <Term of="notional">Liquidatable, against moves of spot and volatility</Term>;
  if (!answer) return <Panel title={title} cls="wide"><Nothing why={why ?? "computing"} /></Panel>;
  const of = answer.data;
  const cell = at ? of.cells[at[0]]?.[at[1]] : undefined;
  const value = (v: number, s: number) => Number(of.cells[v]?.[s]?.[measure] ?? 0);
  const text = (v: number, s: number) => { const found = of.cells[v]?.[s]?.[measure]; return typeof found === "number" ? String(found) : short(found ?? ""); };
  return (
    <Panel title={title} basis={answer} cls="wide" id="map"
      tools={<><Pick label="Measure" at={measure} of={MEASURES} to={(to) => say({ measure: to })} /><Csv name="liquidatable" of={() => [["vol", "spot", "accounts", "notional", "shortfall"], of.vol.flatMap((vol, v) => of.spot.map((spot, s) => { const c = of.cells[v]![s]!; return [vol, spot, c.accounts, c.notional, c.shortfall]; }))]} /><button type="button" class="quiet" onClick={() => heatPng("liquidatable", { label: `Liquidatable ${measure}`, spot: of.spot, vol: of.vol, value, text, scale: "magnitude", worst: undefined })}>PNG</button></>}
      note={cell && at ? <>At spot {percent(of.spot[at[1]]!, 0, true)}, vol {percent(of.vol[at[0]]!, 0, true)}: {cell.accounts} accounts with a notional of {exact(cell.notional)}, and a shortfall of {exact(cell.shortfall)}. <a href={href("overview", { order: "risk", count: cell.accounts, name: "nearest to liquidation" })}>As many accounts, nearest first</a></> : "Equity after the move against the maintenance margin of the present. A cell says what is in it."}>
      <BookMap answer={answer} measure={measure} at={at} onAt={setAt} />
    </Panel>
  );
}

function PlanTable({ of }: { of: Plan }) {
  return (
    <table data-table="plan">
      <thead><tr><th scope="col" class="left">Step</th><th scope="col">Quantity</th><th scope="col"><Term of="plan_cost">Cost</Term></th><th scope="col"><Term of="gain">Gain</Term></th></tr></thead>
      <tbody>
        {of.steps.map((step) => <tr><th scope="row" class="left">{step.instrument}</th><td><Num text={exact(step.quantity)} term="quantity" /></td><td><Money of={step.cost} term="plan_cost" /></td><td><Money of={step.gain} term="gain" /></td></tr>)}
        <tr class="total"><th scope="row" class="left">IM excess {of.restores ? "restored" : "not restored"}</th><td colSpan={3}><Money of={of.im_excess_before} term="im_excess" /> → <Money of={of.im_excess_after} term="im_excess" /></td></tr>
      </tbody>
    </table>
  );
}

const planOf = (row: Happened) => row.what.plan as Plan;

const PLANS: Column<Happened>[] = [
  { name: "When", left: true, of: (row) => time(row.at) },
  { name: "Intent", of: (row) => String(row.what.intent) },
  { name: "Account", left: true, of: (row) => String(row.what.account) },
  { name: "First step", left: true, of: (row) => { const step = planOf(row).steps[0]; return step ? `${exact(step.quantity)} ${step.instrument}` : "–"; } },
  { name: "Steps", term: "plan", of: (row) => planOf(row).steps.length },
  { name: "Missing", term: "im_excess", of: (row) => <Money of={planOf(row).im_excess_before} term="im_excess" /> },
  { name: "After", term: "im_excess", of: (row) => <Money of={planOf(row).im_excess_after} term="im_excess" /> },
];

function Live() {
  const [answer, setAnswer] = useState<Answer<Liquidations> | null>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  useCell(eventsSeen);
  useEvery(1_000, async (signal) => {
    const found = await get<Liquidations>("/v1/liquidations?limit=100", signal);
    if (!signal.aborted) setAnswer(found);
  }, []);
  const open = answer?.data.open ?? [];
  const one = open.find((of) => of.intent === chosen) ?? open[0];
  const columns: Column<Liquidations["open"][number]>[] = [
    { name: "Intent", of: (row) => row.intent, csv: (row) => row.intent, width: "5rem" },
    { name: "Account", left: true, of: (row) => row.account, csv: (row) => row.account },
    { name: "Since", left: true, of: (row) => time(row.since), csv: (row) => row.since },
    { name: "Steps", term: "plan", of: (row) => row.plan.steps.length, csv: (row) => row.plan.steps.length },
    { name: "Missing", term: "im_excess", of: (row) => <Money of={row.plan.im_excess_before} term="im_excess" />, csv: (row) => row.plan.im_excess_before, sort: (a, b) => approx(a.plan.im_excess_before) - approx(b.plan.im_excess_before) },
  ];
  const happened = (answer?.data.happened ?? []).slice(0, 60);
  const plans = (answer?.data.happened ?? []).filter((of) => of.what.effect === "liquidate").slice(0, 12);
  return (
    <>
      <Panel title={<Term of="intents">Under way</Term>} basis={answer} cls="two" id="queue" tools={<TableCsv name="liquidations" columns={columns} rows={open} />}>
        <Table name="queue" label="Liquidations under way" columns={columns} rows={open} key_={(row) => row.intent} onChoose={(row) => setChosen(row.intent)} chosen={(row) => row === one} empty="no liquidation is under way" />
        {one && <PlanTable of={one.plan} />}
        {!one && plans.length > 0 && <h3>Plans lately</h3>}
        {!one && plans.length > 0 && <Table name="plans" label="Plans lately" columns={PLANS} rows={plans} key_={(row) => row.sequence} href={(row) => href("account", { id: String(row.what.account) })} />}
      </Panel>
      <Panel title="Lately" basis={answer} risk={false} id="lately" cls="tall">
        <ol class="log" tabIndex={0} aria-label="What happened lately">{happened.map((of) => <Line of={of} />)}</ol>
        {!happened.length && <p class="nothing">nothing yet</p>}
      </Panel>
    </>
  );
}

function sentence(what: Record<string, unknown>): string {
  const of = what as Record<string, string & { steps: unknown[]; restores: boolean }>;
  switch (what.effect) {
    case "liquidate": return `plan ${String(of.intent)} of ${counted(of.plan!.steps.length, "step")}${of.plan!.restores ? "" : ", does not restore"}`;
    case "withdrawn": return `plan ${String(of.intent)} withdrawn: ${of.why}`;
    case "seized": return `${exact(of.amount!)} ${of.asset} seized for ${exact(of.paid!)}`;
    case "covered": return `debt covered: insurance ${exact(of.insurance!)}, socialised ${exact(of.socialised!)}`;
    case "deleveraged": return `deleveraged ${exact(of.quantity!)} ${of.instrument} against ${of.against}`;
    case "settled": return `${of.instrument} settled at ${exact(of.value_of_lot!)} a lot, ${String(of.accounts)} accounts`;
    case "unvalued": return `cannot be valued: ${of.reason}`;
    default: return Object.entries(what).filter(([name]) => name !== "effect" && name !== "account").map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`).join(", ");
  }
}

function Line({ of }: { of: Happened }) {
  const what = of.what;
  const account = typeof what.account === "string" ? what.account : undefined;
  return (
    <li>
      <time>{time(of.at).slice(5)}</time>
      {account ? <a href={href("account", { id: account })}>{account}</a> : <span>{String(what.effect)}</span>}
      {what.effect === "standing" ? <span><Stands of={what.from as Standing} /> → <Stands of={what.to as Standing} /></span> : <span>{sentence(what)}</span>}
    </li>
  );
}

interface Moment {
  at: number;
  plans: number;
  withdrawn: number;
  taken: number;
  covered: string;
  socialised: string;
}

/** The course of it, from what the server kept: play it again, or hold it at an instant. */
function Replay() {
  const [happened, setHappened] = useState<Happened[]>([]);
  const [samples, setSamples] = useState<Sample[]>([]);
  const [at, setAt] = useState<number | null>(null);
  const [playing, setPlaying] = useState(false);
  const latest = useCell(overview);
  const read = async (signal: AbortSignal) => {
    const pages = [0, 1, 2, 3, 4];
    const [events, totals] = await Promise.all([
      Promise.all(pages.map((page) => get<Liquidations>(`/v1/liquidations?limit=1000&skip=${page * 1000}`, signal))),
      Promise.all(pages.map((page) => get<Sample[]>(`/v1/history/totals?limit=1000&skip=${page * 1000}`, signal))),
    ]);
    if (signal.aborted) return;
    setHappened(events.flatMap((of) => of.data.happened).reverse());
    const list = totals.reverse().flatMap((of) => of.data);
    setSamples(list.slice(Math.max(0, list.findIndex((of) => approx(of.im) > 0))));
  };
  useEvery(15_000, (signal) => (playing ? undefined : read(signal)), [playing]);
  const moments = useMemo(() => {
    const list: Moment[] = [];
    let [plans, withdrawn, taken, covered, socialised] = [0, 0, 0, "0", "0"];
    for (const of of happened) {
      const what = of.what;
      if (what.effect === "liquidate") plans += 1;
      else if (what.effect === "withdrawn") withdrawn += 1;
      else if (what.effect === "seized" || what.effect === "deleveraged") taken += 1;
      else if (what.effect === "covered") [covered, socialised] = [sum([covered, String(what.insurance)]), sum([socialised, String(what.socialised)])];
      list.push({ at: Date.parse(of.at) / 1000, plans, withdrawn, taken, covered, socialised });
    }
    return list;
  }, [happened]);
  useEffect(() => {
    if (!playing) return;
    const timer = setInterval(() => setAt((now) => {
      const next = (now ?? 0) + Math.max(1, Math.round(samples.length / 300));
      if (next >= samples.length - 1) setPlaying(false);
      return Math.min(next, samples.length - 1);
    }), 66);
    return () => clearInterval(timer);
  }, [playing, samples.length]);
  const here = Math.min(at ?? samples.length - 1, samples.length - 1);
  const sample = samples[here];
  if (!sample) return <Panel title="Course" cls="wide"><Nothing why="nothing was kept yet" /></Panel>;
  const now = Date.parse(sample.at) / 1000;
  let found: Moment | undefined;
  for (const moment of moments) if (moment.at <= now) found = moment;
  const shown = samples.slice(0, here + 1);
  const x = samples.map((of) => Date.parse(of.at) / 1000);
  const until = (value: (of: Sample) => number) => samples.map((of, i) => (i <= here ? value(of) : null));
  const recent = happened.filter((of) => Date.parse(of.at) / 1000 <= now).slice(-8).reverse();
  return (
    <Panel title="Course of calls and liquidations" basis={latest} cls="wide" id="replay"
      tools={
        <>
          <button type="button" class="quiet" onClick={() => { if (!playing && here >= samples.length - 1) setAt(0); setPlaying(!playing); }}>{playing ? "Pause" : "Replay"}</button>
          <label class="slider"><input type="range" min={0} max={samples.length - 1} value={here} aria-label="Instant of the replay" onInput={(event) => { setPlaying(false); setAt(Number(event.currentTarget.value)); }} /></label>
          <Csv name="course" of={() => [["at", "call", "liquidatable", "insolvent", "unvalued", "equity", "im", "mm", "insurance"], shown.map((s) => [s.at, s.call, s.liquidatable, s.insolvent, s.unvalued, s.equity, s.im, s.mm, s.insurance])]} />
          <Png name="course" />
        </>
      }
      note="From the samples and events that the server keeps, 5 000 of each. The replay begins at the oldest of them.">
      <div class="facts">
        <span><label>at</label> {time(sample.at)}</span>
        <span><label data-term="call">call</label> <Num text={String(sample.call)} term="call" /></span>
        <span><label data-term="liquidatable">liquidatable</label> <Num text={String(sample.liquidatable)} term="liquidatable" /></span>
        <span><label data-term="insolvent">insolvent</label> <Num text={String(sample.insolvent)} term="insolvent" /></span>
        <span><label data-term="plan">plans so far</label> <Num text={String(found?.plans ?? 0)} term="plan" /></span>
        <span><label>cured or replaced</label> <Num text={String(found?.withdrawn ?? 0)} /></span>
        <span><label>taken over, deleveraged</label> <Num text={String(found?.taken ?? 0)} /></span>
        <span><label data-term="insurance">fund</label> <Money of={sample.insurance} term="insurance" /></span>
        <span><label data-term="insurance">fund paid</label> <Money of={found?.covered ?? "0"} term="insurance" /></span>
        <span><label>socialised</label> <Money of={found?.socialised ?? "0"} term="shortfall" /></span>
      </div>
      <div class="split">
        <Series label="Accounts in call and liquidatable" columns={[x, until((s) => s.call), until((s) => s.liquidatable), until((s) => s.insolvent)]} lines={[{ name: "Call", color: "--s4", step: true }, { name: "Liquidatable", color: "--s2", step: true, width: 2 }, { name: "Insolvent", color: "--s5", step: true }]} height={190} zero whole format={(v) => String(Math.round(v))} sync="replay" />
        <Series label="Margin and the insurance fund" columns={[x, until((s) => approx(s.im)), until((s) => approx(s.mm)), until((s) => approx(s.insurance))]} lines={[{ name: "Initial margin", color: "--s1" }, { name: "Maintenance margin", color: "--s2" }, { name: "Insurance fund (right)", color: "--s3", axis: "y2", dash: [5, 3] }]} height={190} format={(v) => short(v.toFixed(2))} sync="replay" />
      </div>
      <ol class="log short" tabIndex={0} aria-label="Events up to the instant">{recent.map((of) => <Line of={of} />)}</ol>
      {recent.length > 0 && <p class="note">{span(now - Date.parse(recent[0]!.at) / 1000)} since the last of these.</p>}
    </Panel>
  );
}
