// View 3: profit and loss over spot and volatility, of an account or of the whole book; tails beside it.
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, long } from "../api";
import { href, place, say } from "../app";
import { approx, fixed, isNegative, negate, percent, short, sum } from "../decimal";
import type { Decimal } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Money, Nothing, Panel, Pick, Tabs, Term } from "../ui/base";
import { HeatGrid, heatPng } from "../ui/heat";
import { AccountPick, useOwn } from "./margin";
import type { Answer, BookCell, BookHeat, Heat, Leg, Margin } from "../types";
import type { TermName } from "../terms";

const SCOPES = [["book", "Whole book"], ["account", "Account"]] as const;
const MEASURES = [
  ["losses", "Losses of losers"], ["accounts", "Liquidatable accounts"], ["notional", "Liquidatable notional"], ["shortfall", "Shortfall"], ["pnl", "Net profit and loss"],
] as const;
type Measure = (typeof MEASURES)[number][0];
const DAYS = [["0", "now"], ["1", "1 d"], ["7", "7 d"], ["30", "30 d"]] as const;

export function HeatView() {
  const { query } = useCell(place);
  const own = useOwn();
  const scope = (own ? "account" : (query.get("scope") ?? "book")) as "book" | "account";
  const days = query.get("days") ?? "0";
  return (
    <div class="grid">
      <div class="wide bar-top">
        {!own && <Tabs of={SCOPES} at={scope} to={(to) => say({ scope: to })} label="Of what" />}
        {scope === "account" && <AccountPick />}
        <Tabs of={DAYS} at={days as "0"} to={(to) => say({ days: to })} label="Days that pass" />
      </div>
      {scope === "book" ? <Book days={days} /> : query.get("id") ? <One id={query.get("id")!} days={days} key={query.get("id")!} /> : <Panel title="Scenarios of an account" cls="wide"><Nothing why="choose an account" /></Panel>}
    </div>
  );
}

function termOfMeasure(measure: Measure): TermName {
  return measure === "accounts" ? "endangered" : measure;
}

function textOf(cell: BookCell | undefined, measure: Measure): string {
  const found = cell?.[measure];
  return found === undefined ? "" : typeof found === "number" ? String(found) : short(found);
}

export function useBookHeat(days: string): { answer: Answer<BookHeat> | null; why: unknown } {
  const [answer, setAnswer] = useState<Answer<BookHeat> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  useEvery(5_000, async (signal) => {
    try {
      const found = await long<BookHeat>(`/v1/heatmap?days=${days}`, signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, [days]);
  return { answer, why };
}

export function BookMap({ answer, measure, at, onAt }: { answer: Answer<BookHeat>; measure: Measure; at: [number, number] | null; onAt: (at: [number, number]) => void }) {
  const of = answer.data;
  const value = (v: number, s: number) => Number(of.cells[v]?.[s]?.[measure] ?? 0);
  return (
    <HeatGrid label={`${MEASURES.find(([name]) => name === measure)![1]} over spot and volatility`} spot={of.spot} vol={of.vol} value={value}
      text={(v, s) => textOf(of.cells[v]?.[s], measure)} scale={measure === "pnl" ? "diverging" : "magnitude"} worst={measure === "losses" ? of.worst : undefined} at={at} onAt={onAt} />
  );
}

function bookCsv(of: BookHeat): [string[], (string | number)[][]] {
  const rows = of.vol.flatMap((vol, v) => of.spot.map((spot, s) => {
    const cell = of.cells[v]![s]!;
    return [vol, spot, cell.pnl, cell.losses, cell.accounts, cell.notional, cell.shortfall];
  }));
  const tails = of.tails.map(({ vol, spot, cell }) => [vol, spot, cell.pnl, cell.losses, cell.accounts, cell.notional, cell.shortfall]);
  return [["vol", "spot", "pnl", "losses", "accounts", "notional", "shortfall"], [...rows, ...tails]];
}

function Book({ days }: { days: string }) {
  const { query } = useCell(place);
  const measure = (query.get("measure") ?? "losses") as Measure;
  const { answer, why } = useBookHeat(days);
  const [at, setAt] = useState<[number, number] | null>(null);
  if (!answer) return <Panel title="Scenarios of the whole book" cls="wide"><Nothing why={why ?? "computing"} /></Panel>;
  const of = answer.data;
  const cell = at ? of.cells[at[0]]?.[at[1]] : of.cells[of.worst[0]]?.[of.worst[1]];
  const [v, s] = at ?? of.worst;
  const value = (v: number, s: number) => Number(of.cells[v]?.[s]?.[measure] ?? 0);
  const most = Math.max(1, ...of.tails.map((tail) => Math.abs(Number(tail.cell[measure]))));
  const png = () => heatPng("scenarios-book", { label: `${measure}, whole book, ${days} d`, spot: of.spot, vol: of.vol, value, text: (v, s) => textOf(of.cells[v]?.[s], measure), scale: measure === "pnl" ? "diverging" : "magnitude", worst: of.worst });
  return (
    <>
      <Panel title={<Term of={termOfMeasure(measure)}>{MEASURES.find(([name]) => name === measure)![1]}</Term>} basis={answer} cls="wide" id="heat"
        tools={<><Pick label="Measure" at={measure} of={MEASURES} to={(to) => say({ measure: to })} /><Csv name="scenarios-book" of={() => bookCsv(of)} /><button type="button" class="quiet" onClick={png}>PNG</button></>}
        note="All underlyings move alike. Positions are repriced in full; collateral and requirements stay what they are at present. The frame marks the worst cell.">
        <BookMap answer={answer} measure={measure} at={at} onAt={setAt} />
      </Panel>
      <Panel title={`At spot ${percent(of.spot[s]!, 0, true)}, vol ${percent(of.vol[v]!, 0, true)}`} basis={answer} id="cell">
        {cell && (
          <table data-table="cell">
            <tbody>
              {MEASURES.map(([name, text]) => (
                <tr><th scope="row" class="left"><Term of={termOfMeasure(name)}>{text}</Term></th><td>{name === "accounts" ? <span class="num">{cell.accounts}</span> : <Money of={cell[name]} term={termOfMeasure(name)} />}</td></tr>
              ))}
            </tbody>
          </table>
        )}
        <p class="note"><a href={href("overview", { order: "risk" })}>The accounts nearest to liquidation</a></p>
      </Panel>
      <BookSplit answer={answer} at={[v, s]} />
      <Panel title={<Term of="tails">Tails, vol +100 %</Term>} basis={answer} id="tails" cls="wide">
        <table class="bars" data-table="tails">
          <thead><tr><th scope="col" class="left">Spot</th><th scope="col">{MEASURES.find(([name]) => name === measure)![1]}</th><th scope="col" class="bar-head"><span class="unseen">share</span></th></tr></thead>
          <tbody>
            {of.tails.map((tail) => (
              <tr><th scope="row" class="left">{percent(tail.spot, 0, true)}</th><td><span class="num" data-term={termOfMeasure(measure)}>{textOf(tail.cell, measure)}</span></td>
                <td class="bar-cell"><i class="bar" style={{ width: `${(100 * Math.abs(Number(tail.cell[measure]))) / most}%` }} /></td></tr>
            ))}
          </tbody>
        </table>
      </Panel>
    </>
  );
}

/** What those that lose in a cell, lose on: by underlying, and by expiry. */
function BookSplit({ answer, at: [v, s] }: { answer: Answer<BookHeat>; at: [number, number] }) {
  const rows = answer.data.parts.map((part) => ({ underlying: part.underlying, expiry: part.expiry?.slice(0, 10) ?? "no expiry", pnl: negate(part.losses[v]?.[s] ?? "0") }));
  const by = (of: (row: (typeof rows)[number]) => string) => {
    const all = new Map<string, Decimal[]>();
    for (const row of rows) all.set(of(row), [...(all.get(of(row)) ?? []), row.pnl]);
    return [...all].map(([name, parts]) => ({ name, pnl: sum(parts) }));
  };
  const legs = rows.map((row) => ({ name: `${row.underlying} ${row.expiry}`, pnl: row.pnl })).filter((row) => approx(row.pnl) !== 0).sort((a, b) => approx(a.pnl) - approx(b.pnl));
  return (
    <Panel title={<><Term of="losses">Losses of losers</Term> by underlying and expiry</>} basis={answer} cls="two tall" id="book-split"
      tools={<Csv name="losses-split" of={() => [["underlying", "expiry", "pnl"], rows.map((row) => [row.underlying, row.expiry, row.pnl])]} />}
      note="What those that lose in the cell under the pointer, lose on; they may gain on a part and lose more elsewhere.">
      <div class="split top">
        <div>
          <SplitTable head="By underlying" rows={by((row) => row.underlying)} />
          <SplitTable head="By expiry" rows={by((row) => row.expiry).sort((a, b) => a.name.localeCompare(b.name))} />
        </div>
        <div class="scroll" tabIndex={0} role="region" aria-label="By underlying and expiry"><SplitTable head="By underlying and expiry" rows={legs} /></div>
      </div>
    </Panel>
  );
}

function One({ id, days }: { id: string; days: string }) {
  const [answer, setAnswer] = useState<Answer<Heat> | null>(null);
  const [legs, setLegs] = useState<Answer<Leg[]> | null>(null);
  const [margin, setMargin] = useState<Answer<Margin> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  const [at, setAt] = useState<[number, number] | null>(null);
  useEvery(5_000, async (signal) => {
    try {
      const [heat, split, report] = [await long<Heat>(`/v1/accounts/${encodeURIComponent(id)}/heatmap?days=${days}`, signal), await long<Leg[]>(`/v1/accounts/${encodeURIComponent(id)}/heatmap/legs?days=${days}`, signal), await get<Margin>(`/v1/accounts/${encodeURIComponent(id)}/margin`, signal)];
      if (signal.aborted) return;
      setAnswer(heat);
      setLegs(split);
      setMargin(report);
      setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, [id, days]);
  useEffect(() => setAt(null), [id]);
  if (!answer) return <Panel title={`Scenarios of ${id}`} cls="wide"><Nothing why={why ?? "computing"} /></Panel>;
  const of = answer.data;
  const value = (v: number, s: number) => approx(of.pnl[v]?.[s]);
  const text = (v: number, s: number) => short(of.pnl[v]?.[s] ?? "");
  const [v, s] = at ?? of.worst;
  const csv = (): [string[], (string | number)[][]] => [["vol", "spot", "pnl"], of.vol.flatMap((vol, v) => of.spot.map((spot, s) => [vol, spot, of.pnl[v]![s]!]))];
  const png = () => heatPng(`scenarios-${id}`, { label: `Profit and loss of ${id}, ${days} d`, spot: of.spot, vol: of.vol, value, text, scale: "diverging", worst: of.worst });
  return (
    <>
      <Panel title={<Term of="pnl">Profit and loss of {id}</Term>} basis={answer} cls="wide" id="heat"
        tools={<><a class="quiet" href={href("account", { id })}>Account</a><Csv name={`scenarios-${id}`} of={csv} /><button type="button" class="quiet" onClick={png}>PNG</button></>}
        note="All underlyings move alike, by full reprice. The frame marks the worst cell; the pointer or the arrow keys split a cell below.">
        <HeatGrid label={`Profit and loss of ${id} over spot and volatility`} spot={of.spot} vol={of.vol} value={value} text={text} scale="diverging" worst={of.worst} at={at} onAt={setAt} />
      </Panel>
      <Split legs={legs} at={[v, s]} heat={of} />
      <Tails margin={margin} />
    </>
  );
}

/** A cell by leg, and by expiry. */
function Split({ legs, at, heat }: { legs: Answer<Leg[]> | null; at: [number, number]; heat: Heat }) {
  const [v, s] = at;
  const rows = useMemo(() => {
    const pnl = (leg: Leg) => leg.pnl[v]?.[s] ?? "0";
    return [...(legs?.data ?? [])].map((leg) => ({ name: leg.instrument, expiry: leg.expiry, pnl: pnl(leg) })).sort((a, b) => approx(a.pnl) - approx(b.pnl));
  }, [legs, v, s]);
  const expiries = useMemo(() => {
    const all = new Map<string, Decimal[]>();
    for (const row of rows) {
      const name = row.expiry ? row.expiry.slice(0, 10) : "no expiry";
      all.set(name, [...(all.get(name) ?? []), row.pnl]);
    }
    return [...all].sort(([a], [b]) => a.localeCompare(b)).map(([name, parts]) => ({ name, pnl: sum(parts) }));
  }, [rows]);
  const title = `At spot ${percent(heat.spot[s]!, 0, true)}, vol ${percent(heat.vol[v]!, 0, true)}`;
  if (!legs) return <Panel title={title}><Nothing why="computing" /></Panel>;
  return (
    <Panel title={title} basis={legs} id="cell" cls="two tall" tools={<Csv name="cell" of={() => [["instrument", "expiry", "pnl"], rows.map((r) => [r.name, r.expiry, r.pnl])]} />}>
      <div class="split top">
        <SplitTable head="By leg" rows={rows} />
        <SplitTable head="By expiry" rows={expiries} />
      </div>
    </Panel>
  );
}

export function SplitTable({ head, rows, total = true }: { head: string; rows: { name: string; pnl: Decimal }[]; total?: boolean }) {
  const most = Math.max(1e-9, ...rows.map((row) => Math.abs(approx(row.pnl))));
  return (
    <table class="bars" data-table={head}>
      <thead><tr><th scope="col" class="left">{head}</th><th scope="col"><Term of="pnl">P&L</Term></th><th scope="col" class="bar-head"><span class="unseen">share</span></th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}><th scope="row" class="left">{row.name}</th><td><Money of={row.pnl} term="pnl" signed /></td><td class="bar-cell both"><TwoWay share={approx(row.pnl) / most} /></td></tr>
        ))}
        {total && <tr class="total"><th scope="row" class="left">Together</th><td><Money of={sum(rows.map((row) => row.pnl))} term="pnl" signed /></td><td /></tr>}
      </tbody>
    </table>
  );
}

/** A bar from the middle: losses to the left. */
export function TwoWay({ share }: { share: number }) {
  const width = `${Math.min(50, Math.abs(share) * 50)}%`;
  return <i class={`bar two ${share < 0 ? "loss" : "gain"}`} style={share < 0 ? { right: "50%", width } : { left: "50%", width }} />;
}

function Tails({ margin }: { margin: Answer<Margin> | null }) {
  if (!margin) return <Panel title={<Term of="tails">Tails</Term>}><Nothing why="computing" /></Panel>;
  const labels = margin.data.scenarios;
  const together = labels.map((_, at) => sum(margin.data.underlyings.map((under) => under.pnl[at] ?? "0")));
  const seen = new Set<string>();
  const rows = labels.map((name, at) => ({ name, pnl: together[at]! })).filter((row) => / x 0\.\d/.test(row.name) && !seen.has(row.name) && seen.add(row.name));
  const worst = margin.data.underlyings.filter((under) => under.worst);
  return (
    <Panel title={<Term of="tails">Tails and worst scenarios</Term>} basis={margin} id="tails" tools={<Csv name="tails" of={() => [["scenario", "pnl"], rows.map((r) => [r.name, r.pnl])]} />}
      note="Weighted, as they count in the scan.">
      <SplitTable head="Tail" rows={rows} total={false} />
      <table data-table="worst">
        <thead><tr><th scope="col" class="left">Underlying</th><th scope="col" class="left"><Term of="worst">Worst scenario</Term></th><th scope="col"><Term of="scan_loss">Scan loss</Term></th></tr></thead>
        <tbody>{worst.map((under) => <tr><th scope="row" class="left">{under.asset}</th><td class="left">{under.worst}</td><td><Money of={under.scan_loss} term="scan_loss" /></td></tr>)}</tbody>
      </table>
    </Panel>
  );
}

export function signedShort(text: Decimal): string {
  return (isNegative(text) ? "" : "+") + fixed(text);
}
