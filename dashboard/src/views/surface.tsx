// View 5: smiles with bid, ask, mark and fit, arbitrage flags, term structure, and how they were.
import { useEffect, useState } from "preact/hooks";
import { get, long } from "../api";
import { feeds, place, say, span, surfaces, time } from "../app";
import { float, percent } from "../decimal";
import { Ring } from "../ring";
import { useCell, useEvery } from "../store";
import { butterfly, calendar, reach, skew, vol } from "../svi";
import { Csv, Nothing, Num, Panel, Pick, Png, Valid } from "../ui/base";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import type { Answer, QuotedSmile, Smile, Surface } from "../types";

/** Kept of an underlying: ten minutes at one every two seconds. */
const KEPT = 300;

export function SurfaceView() {
  const { query } = useCell(place);
  const names = useCell(feeds).map((feed) => feed.asset).filter((asset) => !/^USD/.test(asset));
  const name = query.get("underlying") ?? names[0] ?? "BTC";
  return (
    <div class="grid">
      <div class="wide bar-top"><Pick label="Underlying" at={name} of={names.length ? names : [name]} to={(to) => say({ underlying: to, expiry: undefined })} /></div>
      <Of name={name} key={name} />
    </div>
  );
}

/** With the quotes that its smiles are on, where the server has them. */
async function quoted(answer: Answer<Surface>, signal: AbortSignal): Promise<Answer<Surface>> {
  try {
    const quotes = await long<QuotedSmile[]>(`/v1/surface/${answer.data.underlying}/quotes`, signal);
    const by = new Map(quotes.data.map((of) => [of.expiry, of.points]));
    for (const smile of answer.data.expiries) smile.points = by.get(smile.expiry) ?? smile.points;
  } catch {
    // The fit is there without them.
  }
  return answer;
}

function Of({ name }: { name: string }) {
  const { query } = useCell(place);
  const [why, setWhy] = useState<unknown>(null);
  const [back, setBack] = useState<number | null>(null);
  const [, draw] = useState(0);
  if (!surfaces.has(name)) surfaces.set(name, new Ring(KEPT));
  const ring = surfaces.get(name)!;
  useEvery(2_000, async (signal) => {
    try {
      const found = await get<Surface>(`/v1/surface/${name}`, signal);
      if (signal.aborted) return;
      // The same market is the same picture.
      if (ring.last()?.snapshot !== found.snapshot) ring.push(await quoted(found, signal));
      setWhy(null);
      draw((n) => n + 1);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, [name]);
  useEffect(() => setBack(null), [name]);
  const list = ring.list();
  const answer = back === null ? list[list.length - 1] : list[Math.min(back, list.length - 1)];
  if (!answer) return <Panel title={name} cls="wide"><Nothing why={why ?? "waiting"} /></Panel>;
  const smiles = answer.data.expiries;
  const chosen = smiles.find((of) => of.expiry === query.get("expiry")) ?? smiles[Math.min(2, smiles.length - 1)];
  const slider = (
    <label class="slider">
      <span data-term="snapshot">{time(answer.snapshot)}</span>
      <input type="range" min={0} max={Math.max(0, list.length - 1)} value={back ?? list.length - 1} aria-label="Instant of the market"
        onInput={(event) => { const to = Number(event.currentTarget.value); setBack(to >= list.length - 1 ? null : to); }} />
      <span class="faint">{back === null ? "latest" : `${list.length - 1 - back} before the latest`}</span>
    </label>
  );
  return (
    <>
      <Panel title={chosen ? `${name} smile of ${chosen.expiry.slice(0, 10)}` : `${name} has no smile`} basis={answer} risk={false} cls="two" id="smile"
        tools={<>{slider}{chosen && <Csv name={`smile-${name}`} of={() => [["strike", "fit", "bid", "ask", "mark"], chosen.points.map((p) => [p.strike, p.fit, p.bid, p.ask, p.mark])]} />}<Png name={`smile-${name}`} /></>}>
        {chosen ? <SmilePicture of={chosen} /> : <Nothing why="no smile" />}
      </Panel>
      <Panel title="Term structure" basis={answer} risk={false} id="term" tools={<Png name={`term-${name}`} />}>
        <TermPicture of={smiles} at={chosen} />
      </Panel>
      <Smiles of={smiles} answer={answer} chosen={chosen} name={name} />
      <Panel title="Marks" basis={answer} risk={false} id="marks">
        <Table name="marks" label="Marks of perpetuals and futures" rows={[{ instrument: `${name} index`, price: answer.data.index }, ...answer.data.marks]} key_={(row) => row.instrument} columns={[
          { name: "Instrument", left: true, of: (row) => row.instrument },
          { name: "Price", term: "index", of: (row) => <Num text={float(row.price, row.price > 100 ? 2 : 4)} term="index" value={row.price} /> },
          { name: "Over index", of: (row) => percent(row.price / answer.data.index - 1, 2, true) },
        ]} />
      </Panel>
    </>
  );
}

interface Flagged {
  of: Smile;
  rr25: number;
  bf25: number;
  butterfly: boolean;
  calendar: boolean;
}

function Smiles({ of, answer, chosen, name }: { of: Smile[]; answer: Answer<Surface>; chosen: Smile | undefined; name: string }) {
  const rows: Flagged[] = of.map((smile, at) => ({ of: smile, ...skew(smile), butterfly: butterfly(smile), calendar: at > 0 && calendar(of[at - 1]!, smile) }));
  const flag = (bad: boolean) => <span class={`state ${bad ? "bad" : "ok"}`}><i aria-hidden="true">{bad ? "■" : "●"}</i>{bad ? "arbitrage" : "none"}</span>;
  const columns: Column<Flagged>[] = [
    { name: "Expiry", left: true, of: (row) => row.of.expiry.slice(0, 10), csv: (row) => row.of.expiry },
    { name: "In", term: "tau", of: (row) => <Num text={span(row.of.tau * 31_536_000)} term="tau" />, csv: (row) => row.of.tau },
    { name: "Forward", term: "forward", of: (row) => <Num text={float(row.of.forward, row.of.forward > 100 ? 2 : 4)} term="forward" value={row.of.forward} />, csv: (row) => row.of.forward },
    { name: "ATM", term: "atm", of: (row) => <Num text={percent(row.of.atm)} term="atm" value={row.of.atm} />, csv: (row) => row.of.atm, sort: (a, b) => a.of.atm - b.of.atm },
    { name: "RR25", term: "rr25", of: (row) => <Num text={percent(row.rr25, 1, true)} term="rr25" />, csv: (row) => row.rr25 },
    { name: "BF25", term: "bf25", of: (row) => <Num text={percent(row.bf25, 1, true)} term="bf25" />, csv: (row) => row.bf25 },
    { name: "RMSE", term: "rmse", of: (row) => <Num text={float(row.of.rmse_vol_points, 2)} term="rmse" />, csv: (row) => row.of.rmse_vol_points, sort: (a, b) => a.of.rmse_vol_points - b.of.rmse_vol_points },
    { name: "Quotes", term: "quotes", of: (row) => <Num text={`${row.of.quotes}${row.of.refused ? ` (${row.of.refused} refused)` : ""}`} term="quotes" />, csv: (row) => row.of.quotes },
    { name: "Butterfly", term: "butterfly_arbitrage", left: true, of: (row) => flag(row.butterfly), csv: (row) => row.butterfly },
    { name: "Calendar", term: "calendar_arbitrage", left: true, of: (row) => flag(row.calendar), csv: (row) => row.calendar },
    { name: "Validity", term: "validity", left: true, of: (row) => <Valid of={row.of.validity} />, csv: (row) => row.of.validity },
  ];
  return (
    <Panel title="Expiries" basis={answer} risk={false} cls="two" id="expiries" tools={<TableCsv name={`surface-${name}`} columns={columns} rows={rows} />}>
      <Table name="expiries" label="Expiries" columns={columns} rows={rows} key_={(row) => row.of.expiry} onChoose={(row) => say({ expiry: row.of.expiry })} chosen={(row) => row.of === chosen} />
    </Panel>
  );
}

function ticks(least: number, most: number, count: number): number[] {
  const rough = (most - least) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((by) => by * unit).find((by) => by >= rough) ?? rough;
  const first = Math.ceil(least / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((most - first) / step + 1e-9) + 1) }, (_, at) => first + at * step);
}

function SmilePicture({ of }: { of: Smile }) {
  const [width, height, left, bottom, top, right] = [760, 320, 48, 34, 14, 16];
  const half = Math.min(reach(of), Math.max(0.05, ...of.points.map((p) => Math.abs(Math.log(p.strike / of.forward)) * 1.15), of.points.length ? 0 : 3 * of.atm * Math.sqrt(of.tau)));
  const strikes = Array.from({ length: 121 }, (_, at) => of.forward * Math.exp(-half + (2 * half * at) / 120));
  const curve = strikes.map((strike) => vol(of, Math.log(strike / of.forward)));
  const seen = of.points.flatMap((p) => [p.bid, p.ask, p.mark]).filter((v): v is number => v !== undefined);
  const [low, high] = [Math.min(...curve, ...seen), Math.max(...curve, ...seen)];
  const room = (high - low) * 0.1 || 0.02;
  const [least, most] = [Math.max(0, low - room), high + room];
  const [from, to] = [strikes[0]!, strikes[120]!];
  const x = (strike: number) => left + ((strike - from) / (to - from)) * (width - left - right);
  const y = (v: number) => top + ((most - v) / (most - least)) * (height - top - bottom);
  const digits = of.forward > 1000 ? 0 : of.forward > 10 ? 1 : 3;
  const inside = of.points.filter((p) => p.strike >= from && p.strike <= to);
  return (
    <>
      <svg class="picture broad" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Smile: volatility at the forward ${percent(of.atm)}, ${of.points.length} quotes drawn`}>
        {ticks(least, most, 6).map((v) => <g><line class="axis" x1={left} x2={width - right} y1={y(v)} y2={y(v)} /><text x={left - 6} y={y(v)} text-anchor="end" dominant-baseline="central">{percent(v, 1)}</text></g>)}
        {ticks(from, to, 8).map((k) => <text x={x(k)} y={height - bottom + 16} text-anchor="middle">{float(k, digits)}</text>)}
        <line class="axis zero" x1={x(of.forward)} x2={x(of.forward)} y1={top} y2={height - bottom} />
        <text x={x(of.forward) + 5} y={top + 8}>forward</text>
        <text x={width - right} y={height - 3} text-anchor="end">strike</text>
        <polyline class="fit" points={strikes.map((k, at) => `${x(k).toFixed(1)},${y(curve[at]!).toFixed(1)}`).join(" ")} />
        {inside.map((p) => (
          <g>
            {p.bid !== undefined && p.ask !== undefined && <line class="spread" x1={x(p.strike)} x2={x(p.strike)} y1={y(p.bid)} y2={y(p.ask)} />}
            {p.bid !== undefined && <path class="bid" d={`M${x(p.strike) - 4} ${y(p.bid)}h8`} />}
            {p.ask !== undefined && <path class="ask" d={`M${x(p.strike) - 4} ${y(p.ask)}h8`} />}
            {p.mark !== undefined && <circle class="mark" cx={x(p.strike)} cy={y(p.mark)} r="2.6" />}
          </g>
        ))}
      </svg>
      <div class="legend"><span><i class="l-fit" />fit (SVI)</span><span><i class="l-bid" />bid</span><span><i class="l-ask" />ask</span><span><i class="l-mark" />mark</span>{!of.points.length && <span class="faint">no quotes are known since the server was started</span>}</div>
    </>
  );
}

function TermPicture({ of, at }: { of: Smile[]; at: Smile | undefined }) {
  if (of.length === 0) return <Nothing why="no smile" />;
  const [width, height, left, bottom, top, right] = [420, 320, 48, 34, 14, 16];
  const root = (tau: number) => Math.sqrt(tau);
  const [from, to] = [0, root(of[of.length - 1]!.tau) * 1.05];
  const values = of.map((smile) => smile.atm);
  const room = (Math.max(...values) - Math.min(...values)) * 0.25 || 0.02;
  const [least, most] = [Math.min(...values) - room, Math.max(...values) + room];
  const x = (tau: number) => left + ((root(tau) - from) / (to - from)) * (width - left - right);
  const y = (v: number) => top + ((most - v) / (most - least)) * (height - top - bottom);
  let last = -100;
  return (
    <svg class="picture" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Term structure: ${of.map((smile) => `${span(smile.tau * 31_536_000)} ${percent(smile.atm)}`).join(", ")}`}>
      {ticks(least, most, 6).map((v) => <g><line class="axis" x1={left} x2={width - right} y1={y(v)} y2={y(v)} /><text x={left - 6} y={y(v)} text-anchor="end" dominant-baseline="central">{percent(v, 1)}</text></g>)}
      {of.map((smile) => {
        const place = x(smile.tau);
        if (place - last < 42) return null;
        last = place;
        return <text x={place} y={height - bottom + 16} text-anchor="middle">{span(smile.tau * 31_536_000)}</text>;
      })}
      <text x={width - right} y={height - 3} text-anchor="end">time to expiry (root scale)</text>
      <polyline class="fit" points={of.map((smile) => `${x(smile.tau).toFixed(1)},${y(smile.atm).toFixed(1)}`).join(" ")} />
      {of.map((smile) => <circle class={smile === at ? "mark chosen" : "mark"} cx={x(smile.tau)} cy={y(smile.atm)} r={smile === at ? 5 : 3} />)}
    </svg>
  );
}
