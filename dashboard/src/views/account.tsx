// View 4: one account: what it holds, how its margin comes about, where it would be liquidated, and what would be.
import { useEffect, useState } from "preact/hooks";
import { get, long, post } from "../api";
import { href, place, readOnly, say } from "../app";
import { approx, difference, exact, float, floatShort, negate, percent, sum } from "../decimal";
import type { Decimal } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Money, Nothing, Num, Panel, Png, Stands, Term, termOf } from "../ui/base";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import { AccountPick, AccountSeries, useAccountHistory } from "./margin";

import type { Account, Answer, Boundary, Greeks, Margin, Position, WhatIf } from "../types";
import type { TermName } from "../terms";

export function AccountView() {
  const { query } = useCell(place);
  const id = query.get("id") ?? "";
  return (
    <div class="grid">
      <div class="wide bar-top"><AccountPick />{id && <a class="quiet" href={href("heatmap", { scope: "account", id })}>Scenarios</a>}{id && <a class="quiet" href={href("margin", { scope: "account", id })}>Other methods</a>}</div>
      {id ? <One id={id} key={id} /> : <Panel title="Account" cls="wide"><Nothing why="choose an account" /></Panel>}
    </div>
  );
}

/** Asked for again and again while shown. */
function useAnswer<T>(path: string, ms: number, ask: (path: string, signal?: AbortSignal) => Promise<Answer<T>> = get): { answer: Answer<T> | null; why: unknown } {
  const [answer, setAnswer] = useState<Answer<T> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  useEvery(ms, async (signal) => {
    try {
      const found = await ask(path, signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, [path]);
  return { answer, why };
}

function One({ id }: { id: string }) {
  const { answer: margin, why } = useAnswer<Margin>(`/v1/accounts/${encodeURIComponent(id)}/margin`, 1_000);
  const { answer: account } = useAnswer<Account>(`/v1/accounts/${encodeURIComponent(id)}`, 1_000);
  return (
    <>
      <Head id={id} why={why} />
      <Waterfall margin={margin} why={why} />
      <Positions account={account} />
      <Boundaries id={id} />
      <Ladder id={id} />
      {!readOnly && <Would id={id} account={account} />}
      <Explain id={id} />
      <AccountSeries id={id} height={220} />
    </>
  );
}

function Head({ id, why }: { id: string; why: unknown }) {
  const { latest } = useAccountHistory(id);
  const of = latest?.data;
  const totals = of?.totals;
  const cells: [TermName, Decimal | undefined][] = [
    ["equity", totals?.equity], ["im", totals?.im], ["mm", totals?.mm], ["im_excess", totals?.im_excess], ["mm_excess", totals?.mm_excess], ["unrealised", totals?.unrealised],
  ];
  const mm = approx(totals?.mm);
  return (
    <Panel title={id} basis={latest} cls="wide" id="account" tools={of && <Stands of={of.standing} />}>
      {!of && <Nothing why={why ?? "waiting"} />}
      {totals && (
        <div class="tiles">
          {cells.map(([term, value]) => (
            <div class="tile" data-term={term} data-exact={value && exact(value)}>
              <span class="tile-name"><Term of={term}>{NAMES[term] ?? term}</Term></span>
              <span class="tile-num" data-number={term}><Money of={value} term={term} /></span>
              {term === "mm_excess" && <span class="tile-under">{mm > 0 ? `${percent(approx(value) / mm, 0)} of MM` : "nothing needed"}</span>}
              {term === "im" && <span class="tile-under">{percent(approx(value) / approx(totals.equity))} of equity</span>}
            </div>
          ))}
        </div>
      )}
    </Panel>
  );
}

const NAMES: Partial<Record<TermName, string>> = {
  equity: "Equity", im: "Initial margin", mm: "Maintenance margin", im_excess: "IM excess", mm_excess: "MM excess", unrealised: "Unrealised",
};

interface Stair {
  name: string;
  term: TermName;
  im: Decimal;
  mm: Decimal | undefined;
  detail: string;
  /** What is part of another row is drawn and not added. */
  kind: "add" | "part" | "total";
}

function stairs(of: Margin): Stair[] {
  const held = of.underlyings.filter((under) => approx(under.scan_loss) !== 0 || approx(under.mm_scan_loss) !== 0);
  const scans = sum(of.underlyings.map((under) => under.scan_loss));
  const alone = sum([of.totals.aggregate, of.netting_benefit]);
  const list: Stair[] = [
    { name: "Each position by itself", term: "netting", im: alone, mm: undefined, detail: "standalone worst losses", kind: "add" },
    { name: "Offsets within an underlying", term: "netting", im: difference(scans, alone), mm: undefined, detail: "to the scan losses", kind: "add" },
    ...held.map((under): Stair => ({ name: `Scan loss ${under.asset}`, term: "scan_loss", im: under.scan_loss, mm: under.mm_scan_loss, detail: under.worst ?? "", kind: "part" })),
    { name: "Offsets across underlyings", term: "aggregate", im: difference(of.totals.aggregate, scans), mm: undefined, detail: "the common factor", kind: "add" },
    { name: "Scale", term: "base", im: difference(of.base.im, of.totals.aggregate), mm: difference(of.base.mm, sum(of.underlyings.map((under) => under.mm_scan_loss))), detail: "im_scale, mm_scale; of MM with offsets across", kind: "add" },
  ];
  for (const added of of.addons) {
    const name = `${added.part[0]!.toUpperCase()}${added.part.slice(1).replace(/_/g, " ")}${added.asset ? ` ${added.asset}` : ""}`;
    list.push({ name, term: termOf(added.part, "addons"), im: added.im, mm: added.mm, detail: (added.inputs ?? []).join(", "), kind: "add" });
  }
  list.push({ name: "Rounding guard", term: "guard", im: of.guard.im, mm: of.guard.mm, detail: "", kind: "add" });
  list.push({ name: "Open orders", term: "orders", im: of.orders.im, mm: of.orders.mm, detail: "", kind: "add" });
  list.push({ name: "Premium relief", term: "relief", im: negate(of.relief.im), mm: negate(of.relief.mm), detail: "", kind: "add" });
  const shown = list.filter((stair) => approx(stair.im) !== 0 || approx(stair.mm ?? "0") !== 0);
  shown.push({ name: "Requirement", term: "im", im: of.totals.im, mm: of.totals.mm, detail: "", kind: "total" });
  return shown;
}

function Waterfall({ margin, why }: { margin: Answer<Margin> | null; why: unknown }) {
  if (!margin) return <Panel title="How the margin comes about"><Nothing why={why ?? "waiting"} /></Panel>;
  const rows = stairs(margin.data);
  let [level, within] = [0, 0];
  const placed = rows.map((row) => {
    const size = approx(row.im);
    if (row.kind === "total") return { row, from: 0, to: size };
    if (row.kind === "part") return { row, from: within, to: (within += size) };
    return { row, from: level, to: (level += size) };
  });
  const high = Math.max(1e-9, ...placed.flatMap(({ from, to }) => [from, to]));
  const low = Math.min(0, ...placed.flatMap(({ from, to }) => [from, to]));
  const at = (value: number) => (100 * (value - low)) / (high - low);
  const added = sum(rows.filter((row) => row.kind === "add").map((row) => row.im));
  return (
    <Panel title="How the margin comes about" basis={margin} cls="wide" id="waterfall" tools={<Csv name={`margin-${margin.data.account}`} of={() => [["part", "im", "mm", "inputs"], rows.map((row) => [row.name, row.im, row.mm, row.detail])]} />}>
      <div class="scroll" tabIndex={0} role="region" aria-label="Margin, part by part">
        <table class="bars" data-table="waterfall" data-sum={added}>
          <thead><tr><th scope="col" class="left">Part</th><th scope="col"><Term of="im">IM</Term></th><th scope="col" class="bar-head wide-bar"><span class="unseen">stairs of initial margin</span></th><th scope="col"><Term of="mm">MM</Term></th><th scope="col" class="left">From</th></tr></thead>
          <tbody>
            {placed.map(({ row, from, to }) => (
              <tr class={row.kind}>
                <th scope="row" class="left"><Term of={row.term}>{row.name}</Term></th>
                <td><Money of={row.im} term={row.term} /></td>
                <td class="bar-cell"><i class={`bar stair ${row.kind === "total" ? "whole" : row.kind === "part" ? "faded" : to < from ? "gain" : "loss"}`} style={{ left: `${at(Math.min(from, to))}%`, width: `${Math.max(0.3, Math.abs(at(to) - at(from)))}%` }} /></td>
                <td><Money of={row.mm} term={row.term} /></td>
                <td class="left faint clip" title={row.detail}>{row.detail}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

const POSITIONS: Column<Position>[] = [
  { name: "Instrument", left: true, of: (row) => row.instrument, csv: (row) => row.instrument, sort: (a, b) => a.instrument.localeCompare(b.instrument) },
  { name: "Quantity", term: "quantity", of: (row) => <Num text={exact(row.quantity)} term="quantity" value={row.quantity} />, csv: (row) => row.quantity, sort: (a, b) => approx(a.quantity) - approx(b.quantity) },
  { name: "Cost", term: "cost", of: (row) => <Money of={row.cost} term="cost" />, csv: (row) => row.cost, sort: (a, b) => approx(a.cost) - approx(b.cost) },
  { name: "Value", term: "value", of: (row) => <Money of={row.value} term="value" />, csv: (row) => row.value, sort: (a, b) => approx(a.value) - approx(b.value) },
];

function Positions({ account }: { account: Answer<Account> | null }) {
  const of = account?.data;
  return (
    <Panel title={<>Positions <span class="count">{of?.positions.length ?? ""}</span></>} basis={account} risk={false} id="positions" cls="two tall" tools={<TableCsv name="positions" columns={POSITIONS} rows={of?.positions ?? []} />}>
      <Table name="positions" label="Positions" columns={POSITIONS} rows={of?.positions ?? []} key_={(row) => row.instrument} empty="holds no position" />
      <table data-table="collateral">
        <thead><tr><th scope="col" class="left">Collateral</th><th scope="col">Amount</th></tr></thead>
        <tbody>{(of?.collateral ?? []).map((held) => <tr><th scope="row" class="left">{held.asset}</th><td><Num text={exact(held.amount)} term="quantity" /></td></tr>)}</tbody>
      </table>
      {of && of.orders.length > 0 && (
        <Table name="orders" label="Open orders" rows={of.orders} key_={(row) => row.id} columns={[
          { name: "Order", left: true, of: (row) => row.id }, { name: "Instrument", left: true, of: (row) => row.instrument },
          { name: "Quantity", of: (row) => exact(row.quantity) }, { name: "Limit", term: "limit", of: (row) => exact(row.limit) },
        ]} />
      )}
    </Panel>
  );
}

const LADDER: Column<Greeks>[] = [
  { name: "Underlying", left: true, of: (row) => row.underlying, csv: (row) => row.underlying },
  { name: "Expiry", left: true, of: (row) => row.expiry?.slice(0, 10) ?? "–", csv: (row) => row.expiry },
  { name: "Delta", term: "delta", of: (row) => <Num text={floatShort(row.delta)} term="delta" />, csv: (row) => row.delta, sort: (a, b) => a.delta - b.delta },
  { name: "Delta cash", term: "delta_cash", of: (row) => <Num text={floatShort(row.delta_cash)} term="delta_cash" />, csv: (row) => row.delta_cash, sort: (a, b) => a.delta_cash - b.delta_cash },
  { name: "Gamma", term: "gamma", of: (row) => <Num text={floatShort(row.gamma)} term="gamma" />, csv: (row) => row.gamma },
  { name: "Vega", term: "vega_per_point", of: (row) => <Num text={floatShort(row.vega_per_point)} term="vega_per_point" />, csv: (row) => row.vega_per_point, sort: (a, b) => a.vega_per_point - b.vega_per_point },
  { name: "Theta", term: "theta_per_day", of: (row) => <Num text={floatShort(row.theta_per_day)} term="theta_per_day" />, csv: (row) => row.theta_per_day, sort: (a, b) => a.theta_per_day - b.theta_per_day },
  { name: "Rho", term: "rho_per_bp", of: (row) => <Num text={floatShort(row.rho_per_bp)} term="rho_per_bp" />, csv: (row) => row.rho_per_bp },
  { name: "Vanna", term: "vanna", of: (row) => <Num text={floatShort(row.vanna)} term="vanna" />, csv: (row) => row.vanna },
  { name: "Volga", term: "volga", of: (row) => <Num text={floatShort(row.volga)} term="volga" />, csv: (row) => row.volga },
];

function Ladder({ id }: { id: string }) {
  const { answer, why } = useAnswer<Greeks[]>(`/v1/accounts/${encodeURIComponent(id)}/greeks`, 2_000);
  return (
    <Panel title="Greeks by expiry" basis={answer} risk={false} cls="wide" id="ladder" tools={<TableCsv name={`greeks-${id}`} columns={LADDER} rows={answer?.data ?? []} />}>
      {answer ? <Table name="ladder" label="Greeks by underlying and expiry" columns={LADDER} rows={answer.data} key_={(row, at) => `${row.underlying}${row.expiry ?? ""}${at}`} empty="no Greeks" /> : <Nothing why={why ?? "waiting"} />}
    </Panel>
  );
}

const DAY_COLORS = ["var(--s1)", "var(--s2)", "var(--s4)", "var(--s5)"];

function Boundaries({ id }: { id: string }) {
  const { answer, why } = useAnswer<Boundary>(`/v1/accounts/${encodeURIComponent(id)}/liquidation`, 10_000, long);
  const title = <Term of="boundary">Where it would be liquidated</Term>;
  if (!answer) return <Panel title={title}><Nothing why={why ?? "computing"} /></Panel>;
  const of = answer.data;
  const days = [...new Set(of.points.map((point) => point.days))];
  const [width, height, left, bottom, top, right] = [400, 290, 42, 38, 10, 22];
  const x = (vol: number) => left + ((vol + 0.5) / 1.5) * (width - left - right);
  const y = (spot: number) => top + ((0.6 - spot) / 1.2) * (height - top - bottom);
  const lines = days.flatMap((day, at) => (["spot_up", "spot_down"] as const).map((side) => {
    const points = of.points.filter((point) => point.days === day && point[side] !== undefined);
    return { day, at, side, points: points.map((point) => `${x(point.vol).toFixed(1)},${y((side === "spot_down" ? -1 : 1) * Math.abs(point[side]!)).toFixed(1)}`) };
  })).filter((line) => line.points.length > 0);
  const near = of.nearest;
  return (
    <Panel title={title} basis={answer} id="boundary"
      tools={<><Csv name={`liquidation-${id}`} of={() => [["days", "vol", "spot_down", "spot_up", "mm_excess"], of.points.map((p) => [p.days, p.vol, p.spot_down, p.spot_up, p.mm_excess])]} /><Png name={`liquidation-${id}`} /></>}
      note={near ? <><b>Nearest:</b> <span data-term="nearest">spot {percent(near.spot, 1, true)}, vol {percent(near.vol, 0, true)}, in {float(near.days, 0)} d</span>; distance {float(near.distance, 2)} (price scans and halves of vol).</> : "Nowhere in the range of moves that are tried."}>
      <svg class="picture" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={near ? `Liquidation surface; nearest point at spot ${percent(near.spot, 1, true)}, vol ${percent(near.vol, 0, true)}` : "Liquidation surface: nowhere in range"}>
        {[-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6].map((spot) => <g><line class={spot === 0 ? "axis zero" : "axis"} x1={left} x2={width - right} y1={y(spot)} y2={y(spot)} /><text x={left - 6} y={y(spot)} text-anchor="end" dominant-baseline="central">{percent(spot, 0, true)}</text></g>)}
        {[-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1].map((vol) => <g><line class={vol === 0 ? "axis zero" : "axis"} x1={x(vol)} x2={x(vol)} y1={top} y2={height - bottom} /><text x={x(vol)} y={height - bottom + 16} text-anchor="middle">{percent(vol, 0, true)}</text></g>)}
        <text x={(left + width) / 2} y={height - 4} text-anchor="middle">move of volatility; up the side, of spot</text>
        {lines.map((line) => line.points.length > 1
          ? <polyline class="boundary" style={{ stroke: DAY_COLORS[line.at % 4] }} stroke-dasharray={["", "6 3", "2 3", "8 3 2 3"][line.at % 4]} points={line.points.join(" ")} />
          : <circle r="3" style={{ fill: DAY_COLORS[line.at % 4] }} cx={line.points[0]!.split(",")[0]} cy={line.points[0]!.split(",")[1]} />)}
        <circle class="here" cx={x(0)} cy={y(0)} r="4" />
        {near && near.spot >= -0.6 && near.spot <= 0.6 && <g class="near"><line x1={x(0)} y1={y(0)} x2={x(near.vol)} y2={y(near.spot)} /><circle cx={x(near.vol)} cy={y(near.spot)} r="5" /></g>}
      </svg>
      <div class="legend">{days.map((day, at) => <span><i style={{ background: DAY_COLORS[at % 4] }} />{day === 0 ? "now" : `in ${day} d`}</span>)}</div>
    </Panel>
  );
}

interface LegText {
  instrument: string;
  quantity: string;
}

function legsOf(text: string): LegText[] {
  return text.split(",").filter(Boolean).map((part) => {
    const at = part.lastIndexOf(":");
    return { instrument: part.slice(0, at), quantity: part.slice(at + 1) };
  });
}

/** What trades at the mark would make of it; the address says them, so that a link reproduces it. */
function Would({ id, account }: { id: string; account: Answer<Account> | null }) {
  const { query } = useCell(place);
  const said = query.get("legs") ?? "";
  const legs = legsOf(said);
  const [names, setNames] = useState<string[]>([]);
  const [next, setNext] = useState<LegText>({ instrument: "", quantity: "" });
  const [answer, setAnswer] = useState<Answer<WhatIf> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    void get<{ instrument: string; settled: boolean }[]>("/v1/instruments").then((found) => setNames(found.data.filter((of) => !of.settled).map((of) => of.instrument)), () => undefined);
  }, []);
  useEvery(2_000, async (signal) => {
    if (!legs.length) return setAnswer(null);
    try {
      const found = await post<WhatIf>(`/v1/accounts/${encodeURIComponent(id)}/what-if`, { legs }, signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setAnswer(null), setWhy(error);
    }
  }, [id, said]);
  const tell = (list: LegText[]) => say({ legs: list.map((leg) => `${leg.instrument}:${leg.quantity}`).join(",") });
  const add = (event: Event) => {
    event.preventDefault();
    if (!next.instrument || !/^[+-]?\d+(\.\d+)?$/.test(next.quantity)) return setWhy("a leg is an instrument and a quantity such as -0.5");
    tell([...legs, { instrument: next.instrument, quantity: next.quantity.replace(/^\+/, "") }]);
    setNext({ instrument: "", quantity: "" });
  };
  const close = () => tell((account?.data.positions ?? []).slice(0, 50).map((of) => ({ instrument: of.instrument, quantity: negate(of.quantity) })));
  const share = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    } catch {
      // The address bar has it too.
    }
  };
  const rows: [TermName, string][] = [["equity", "Equity"], ["im", "Initial margin"], ["mm", "Maintenance margin"], ["im_excess", "IM excess"], ["mm_excess", "MM excess"]];
  return (
    <Panel title="What if" basis={answer} cls="wide" id="what-if"
      tools={<><button type="button" class="quiet" onClick={close} disabled={!account?.data.positions.length}>Close all</button><button type="button" class="quiet" onClick={() => tell([])} disabled={!legs.length}>Clear</button><button type="button" class="quiet" onClick={() => void share()} disabled={!legs.length}>{copied ? "copied" : "Copy link"}</button></>}>
      <div class="would">
        <form onSubmit={add}>
          {legs.map((leg, at) => (
            <div class="leg"><span>{leg.instrument}</span><span class="num">{leg.quantity}</span><button type="button" class="quiet" aria-label={`Remove ${leg.instrument}`} onClick={() => tell(legs.filter((_, other) => other !== at))}>×</button></div>
          ))}
          <div class="leg">
            <input aria-label="Instrument" list="instruments" placeholder="instrument" value={next.instrument} spellcheck={false} onInput={(event) => setNext({ ...next, instrument: event.currentTarget.value.trim() })} />
            <input aria-label="Quantity" class="num" placeholder="± quantity" inputMode="decimal" value={next.quantity} onInput={(event) => setNext({ ...next, quantity: event.currentTarget.value.trim() })} />
            <button type="submit">Add</button>
            <datalist id="instruments">{names.map((name) => <option value={name} />)}</datalist>
          </div>
          {why !== null && <Nothing why={why} />}
        </form>
        {answer && (
          <table data-table="what-if">
            <thead><tr><th scope="col" class="left">With these trades at the mark</th><th scope="col">Before</th><th scope="col">After</th><th scope="col">Change</th></tr></thead>
            <tbody>
              {rows.map(([term, name]) => {
                const [before, after] = [answer.data.before.totals[term as "im"], answer.data.after.totals[term as "im"]];
                return <tr><th scope="row" class="left"><Term of={term}>{name}</Term></th><td><Money of={before} term={term} /></td><td><Money of={after} term={term} /></td><td><Money of={sum([after, negate(before)])} term={term} signed /></td></tr>;
              })}
              <tr class="total"><th scope="row" class="left">{answer.data.check.allowed ? "Allowed" : "Refused"}</th><td colSpan={3}><span class={`state ${answer.data.check.allowed ? "ok" : "bad"}`}><i aria-hidden="true">{answer.data.check.allowed ? "●" : "■"}</i>{answer.data.check.allowed ? "may be done" : answer.data.check.reason.replace(/_/g, " ")}</span></td></tr>
            </tbody>
          </table>
        )}
      </div>
    </Panel>
  );
}

function Explain({ id }: { id: string }) {
  const { answer, why } = useAnswer<{ text: string; maintenance?: string }>(`/v1/accounts/${encodeURIComponent(id)}/explain`, 5_000);
  return (
    <Panel title="In words" basis={answer} cls="wide" id="explain">
      {answer ? <pre tabIndex={0} role="region" aria-label="The margin in words">{answer.data.text}{answer.data.maintenance ? `\n\nWhat binds existing positions\n${answer.data.maintenance}` : ""}</pre> : <Nothing why={why ?? "waiting"} />}
    </Panel>
  );
}

