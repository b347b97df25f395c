// View 2: margin over time, of all accounts, of an underlying's parameters, of one account; and what another method would charge.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { follow, get, long } from "../api";
import { alone, events, eventsSeen, feeds, href, mine, overview, parametersHistory, place, readings, say, time, totals, totalsSeen, who } from "../app";
import { approx, floatShort, percent, short } from "../decimal";
import { Ring } from "../ring";
import { useCell, useEvery } from "../store";
import { Csv, Money, Nothing, Num, Panel, Pick, Png, Tabs, Term } from "../ui/base";
import { Series } from "../ui/series";
import type { Band, Mark } from "../ui/series";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import type { Account, Answer, ComparedAt, Method, Sample, Totals } from "../types";

const SCOPES = [["system", "All accounts"], ["underlying", "Underlying"], ["account", "Account"]] as const;
type Scope = (typeof SCOPES)[number][0];

export function MarginView() {
  const { query } = useCell(place);
  const own = useOwn();
  const scope = (own ? "account" : (query.get("scope") ?? "system")) as Scope;
  return (
    <div class="grid">
      <div class="wide bar-top">
        {!own && <Tabs of={SCOPES} at={scope} to={(to) => say({ scope: to })} label="Of what" />}
        {scope === "underlying" && <UnderlyingPick />}
        {scope === "account" && <AccountPick />}
      </div>
      {scope === "system" && <System />}
      {scope === "system" && <MethodsOverTime />}
      {scope === "underlying" && <Underlying name={query.get("underlying") ?? "BTC"} />}
      {scope === "account" && <OneAccount id={query.get("id") ?? ""} />}
      {!own && <Compare account={scope === "account" ? (query.get("id") ?? "") : ""} />}
      <Changes />
    </div>
  );
}

function UnderlyingPick() {
  const { query } = useCell(place);
  const names = useCell(feeds).map((feed) => feed.asset);
  return <Pick label="Underlying" at={query.get("underlying") ?? "BTC"} of={names} to={(to) => say({ underlying: to })} />;
}

/** The accounts that this page may see, where it may not see all. */
export function useOwn(): string[] | null {
  useCell(who);
  return mine() ?? (alone() ? [] : null);
}

export function AccountPick() {
  const { query } = useCell(place);
  const own = useOwn();
  const [names, setNames] = useState<string[]>([]);
  const now = query.get("id") ?? "";
  useEffect(() => {
    if (own) {
      setNames(own);
      if (!own.includes(now) && own[0]) say({ id: own[0] });
      return;
    }
    void get<{ account: string }[]>("/v1/accounts?order=risk&limit=200").then((answer) => {
      const found = answer.data.map((row) => row.account);
      setNames(found);
      if (!now && found[0]) say({ id: found[0] });
    }, () => undefined);
  }, [own?.join()]);
  return (
    <label class="pick">
      <span>Account</span>
      <input list="account-names" value={now} spellcheck={false} onChange={(event) => say({ id: event.currentTarget.value.trim() })} />
      <datalist id="account-names">{names.map((name) => <option value={name} />)}</datalist>
    </label>
  );
}

/** Where parameters changed. */
function useMarks(): Mark[] {
  const history = useCell(parametersHistory);
  return useMemo(() => history.map((of) => ({ at: Date.parse(of.at) / 1000, text: `${of.what.decision.changes.length} changes` })), [history]);
}

/** Where the regime filter was sure of stress, and where a feed was not normal. */
function bands(from: number, to: number): Band[] {
  const found: Band[] = [];
  const list = readings.list();
  list.forEach((reading, at) => {
    const stress = Math.max(0, ...Object.values(reading.of).map((of) => of.regime ?? 0));
    if (stress > 0.5) found.push({ from: reading.at / 1000, to: (list[at + 1]?.at ?? reading.at + 5_000) / 1000, color: "--band-stress", text: `stress ${percent(stress)}` });
  });
  const open = new Map<string, number>();
  for (const event of events.list()) {
    if (event.channel !== "validity" || event.what.effect !== "validity") continue;
    const asset = String(event.what.feed ?? "");
    const at = Date.parse(event.at) / 1000;
    if (event.what.to === "normal") {
      const since = open.get(asset);
      if (since !== undefined) found.push({ from: since, to: at, color: "--band-feed", text: asset });
      open.delete(asset);
    } else if (!open.has(asset)) open.set(asset, at);
  }
  for (const [asset, since] of open) found.push({ from: since, to, color: "--band-feed", text: asset });
  return found.filter((band) => band.to >= from && band.from <= to);
}

const LINES = [
  { name: "Equity", color: "--s3", dash: [5, 3] },
  { name: "Initial margin", color: "--s1", fill: true, width: 2 },
  { name: "Maintenance margin", color: "--s2" },
];

const REACH = [["3600", "1 h"], ["86400", "1 d"], ["604800", "7 d"], ["Infinity", "all"]] as const;

function System() {
  const [kept, setKept] = useState<Sample[]>([]);
  useCell(totalsSeen);
  useCell(eventsSeen);
  const answer = useCell(overview);
  const marks = useMarks();
  const [withEquity, setWithEquity] = useState(false);
  const [reach, setReach] = useState<string>("Infinity");
  useEffect(() => {
    const pages = [0, 1, 2, 3, 4].map((page) => get<Sample[]>(`/v1/history/totals?limit=1000&skip=${page * 1000}`));
    void Promise.all(pages).then((answers) => setKept(answers.reverse().flatMap((of) => of.data)), () => undefined);
  }, []);
  const live = totals.list();
  const first = live[0] ? Date.parse(live[0].at) : Infinity;
  const every = [...kept.filter((sample) => Date.parse(sample.at) < first), ...live];
  // Before there was anything to margin there is nothing to see.
  const begins = Math.max(0, every.findIndex((sample) => approx(sample.im) > 0));
  const end = every.length ? Date.parse(every[every.length - 1]!.at) : 0;
  const all = every.slice(begins).filter((sample) => end - Date.parse(sample.at) <= Number(reach) * 1000);
  const x = all.map((sample) => Date.parse(sample.at) / 1000);
  const column = (of: (sample: Sample) => string) => all.map((sample) => approx(of(sample)));
  const lines = withEquity ? LINES : LINES.slice(1);
  const columns = [x, ...(withEquity ? [column((s) => s.equity)] : []), column((s) => s.im), column((s) => s.mm)];
  return (
    <Panel title={<>Margin of all accounts <span class="count">{all.length} samples</span></>} basis={answer} cls="wide" id="series"
      tools={
        <>
          <Tabs<string> of={REACH} at={reach} to={setReach} label="How far back" />
          <button type="button" class="quiet" aria-pressed={withEquity} onClick={() => setWithEquity(!withEquity)}>Equity</button>
          <Csv name="totals" of={() => [["at", "equity", "im", "mm", "call", "liquidatable", "insolvent", "insurance"], all.map((s) => [s.at, s.equity, s.im, s.mm, s.call, s.liquidatable, s.insolvent, s.insurance])]} />
          <Png name="margin" />
        </>
      }
      note={<><span class="key-mark" /> parameters changed <span class="key-band stress" /> stress regime (where the policy reads one) <span class="key-band feed" /> a feed is not normal. Drag to look closer, double-click to go back. Samples every ten seconds are kept by the server; every second, by this page.</>}>
      {all.length > 1 ? <Series label="Margin of all accounts" columns={columns} lines={lines} marks={marks} bands={bands(x[0] ?? 0, x[x.length - 1] ?? 0)} height={300} zero={!withEquity} format={(v) => short(v.toFixed(2))} /> : <Nothing why="waiting for samples" />}
    </Panel>
  );
}

interface Point {
  at: number;
  to: number;
}

/** How a parameter went: every decision is a step; before the first, where it came from. */
export function path(name: string, history: ReturnType<typeof parametersHistory.get>): Point[] {
  const points: Point[] = [];
  for (const of of [...history].reverse()) {
    for (const change of of.what.decision.changes) {
      if (nameOf(change.key) !== name) continue;
      const at = Date.parse(of.at) / 1000;
      if (!points.length) points.push({ at: at - 3_600, to: approx(change.from) });
      points.push({ at, to: approx(change.to) });
    }
  }
  return points;
}

export function nameOf(key: { knob: string; scope: Record<string, string> }): string {
  return `${key.knob}[${Object.values(key.scope).join(",") || "*"}]`;
}

/** What the server has kept of all accounts, read again while it is shown. */
function useKept(): Answer<Sample[]> | null {
  const [kept, setKept] = useState<Answer<Sample[]> | null>(null);
  useEvery(10_000, async (signal) => {
    const pages = [];
    for (let skip = 0; skip < 5_000; skip += 1_000) {
      const page = await get<Sample[]>(`/v1/history/totals?limit=1000&skip=${skip}`, signal);
      pages.push(page);
      if (page.data.length < 1_000) break;
    }
    if (!signal.aborted && pages[0]) setKept({ ...pages[0], data: pages.reverse().flatMap((page) => page.data) });
  }, []);
  return kept;
}

const BY_UNDERLYING = [
  { name: "Initial, scan loss", color: "--s1", fill: true, width: 2 },
  { name: "Maintenance, scan loss", color: "--s2" },
];

/** Margin of an underlying over time: what it would be asked by itself. */
function OfUnderlying({ name }: { name: string }) {
  const kept = useKept();
  const marks = useMarks();
  const all = (kept?.data ?? []).flatMap((sample) => {
    const found = sample.underlyings?.find((of) => of.asset === name);
    return found ? [{ at: sample.at, ...found }] : [];
  });
  const begins = Math.max(0, all.findIndex((sample) => approx(sample.im) > 0));
  const shown = all.slice(begins);
  const x = shown.map((sample) => Date.parse(sample.at) / 1000);
  const last = shown[shown.length - 1];
  return (
    <Panel title={<><Term of="scan_loss">Margin of {name}</Term> <span class="count">{shown.length} samples</span></>} basis={kept} cls="wide" id="series"
      tools={<><Csv name={`margin-${name}`} of={() => [["at", "im_scan_loss", "mm_scan_loss"], shown.map((of) => [of.at, of.im, of.mm])]} /><Png name={`margin-${name}`} /></>}
      note={<>Of every account the largest loss over the grid in {name} alone, added up over accounts. Scales, charges and what underlyings set off are of whole accounts. {last && <>Last: initial <span data-number="underlying-im" data-value={last.im}>{short(last.im)}</span>, maintenance <span data-number="underlying-mm" data-value={last.mm}>{short(last.mm)}</span>.</>}</>}>
      {shown.length > 1 ? <Series label={`Margin of ${name}`} columns={[x, shown.map((of) => approx(of.im)), shown.map((of) => approx(of.mm))]} lines={BY_UNDERLYING} marks={marks} bands={bands(x[0] ?? 0, x[x.length - 1] ?? 0)} height={300} zero format={(v) => short(v.toFixed(2))} /> : <Nothing why={kept ? `no account has been asked margin for ${name} yet` : "waiting for samples"} />}
    </Panel>
  );
}

/** What other methods would have asked for, over time. */
function MethodsOverTime() {
  const [answer, setAnswer] = useState<Answer<ComparedAt[]> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  useEvery(10_000, async (signal) => {
    try {
      const found = await get<ComparedAt[]>("/v1/history/compare?limit=1000", signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, []);
  const all = answer?.data ?? [];
  const names = [...new Set(all.flatMap((of) => of.methods.map((method) => method.preset)))];
  const method = (of: ComparedAt, name: string) => of.methods.find((method) => method.preset === name);
  const colors = ["--s2", "--s4", "--s5", "--s3"];
  const lines = [{ name: "In force", color: "--s1", width: 2 }, ...names.map((name, at) => ({ name, color: colors[at % 4]!, dash: at ? [2, 3] : [6, 3] }))];
  const own = all.map((of) => (of.methods[0] ? approx(of.methods[0].own_im) : null));
  const columns = [all.map((of) => Date.parse(of.at) / 1000), own, ...names.map((name) => all.map((of) => { const found = method(of, name); return found ? approx(found.im) : null; }))];
  const last = all[all.length - 1];
  const failures = last?.methods.filter((of) => of.failures).map((of) => `${of.preset} cannot margin ${of.failures}`) ?? [];
  return (
    <Panel title={<><Term of="compare">Other methods over time</Term> <span class="count">{all.length} comparisons</span></>} basis={answer} cls="wide" id="methods"
      tools={<><Csv name="methods" of={() => [["at", "event", "method", "im", "mm", "in_force_im", "in_force_mm", "accounts", "not_margined"], all.flatMap((of) => of.methods.map((m) => [of.at, of.sequence, m.preset, m.im, m.mm, m.own_im, m.own_mm, m.accounts, m.failures]))]} /><Png name="methods" /></>}
      note={<>Initial margin on the same book and market, on a scale of factors, computed beside the engine every ten seconds at most, since the server was started. {last && <>{last.methods.map((m) => `${m.preset} asks ${approx(m.own_im) > 0 ? percent(approx(m.im) / approx(m.own_im), 0) : "–"} of what is in force`).join("; ")}{failures.length ? ` (${failures.join(", ")})` : ""}.</>}</>}>
      {all.length > 1 ? <Series label="Initial margin under other methods" columns={columns} lines={lines} height={260} times format={(v) => short(v.toFixed(2))} /> : <Nothing why={why ?? "the first comparisons are being made"} />}
    </Panel>
  );
}

function Underlying({ name }: { name: string }) {
  return <><OfUnderlying name={name} /><Rates name={name} /></>;
}

function Rates({ name }: { name: string }) {
  const history = useCell(parametersHistory);
  const answer = useCell(overview);
  const knobs = ["price_scan_down", "price_scan_up", "vol_scan_up", "im_fraction"];
  const paths = knobs.map((knob) => path(`${knob}[${name}]`, history));
  const end = answer ? Date.parse(answer.as_of) / 1000 : 0;
  const x = [...new Set([...paths.flat().map((p) => p.at), ...(end ? [end] : [])])].sort((a, b) => a - b);
  const columns = paths.map((points) => x.map((at) => {
    let found: number | null = null;
    for (const point of points) if (point.at <= at) found = point.to;
    return found;
  }));
  const shown = knobs.map((_, at) => at).filter((at) => paths[at]!.length > 0);
  const colors = ["--s1", "--s2", "--s4", "--s5"];
  return (
    <Panel title={`Margin rates of ${name}`} basis={answer} cls="wide" id="rates"
      tools={<><Csv name={`rates-${name}`} of={() => [["at", ...knobs], x.map((at, i) => [new Date(at * 1000).toISOString(), ...columns.map((c) => c[i])])]} /><Png name={`rates-${name}`} /></>}
      note="What binds new risk, step by step as it was decided, under Policy with its causes.">
      {shown.length ? <Series label={`Margin rates of ${name}`} columns={[x, ...shown.map((at) => columns[at]!)]} lines={shown.map((at) => ({ name: knobs[at]!, color: colors[at]!, step: true, ...(knobs[at] === "price_scan_up" ? { dash: [6, 4] } : {}) }))} height={220} format={(v) => percent(v)} /> : <Nothing why="none of its parameters has moved" />}
    </Panel>
  );
}

export function useAccountHistory(id: string): { list: { at: number; totals: Totals }[]; latest: Answer<Account> | null } {
  const ring = useRef(new Ring<{ at: number; totals: Totals }>(3_600));
  const [latest, setLatest] = useState<Answer<Account> | null>(null);
  useEffect(() => {
    ring.current.clear();
    setLatest(null);
    if (!id) return;
    let waiting: Answer<Account> | null = null;
    let frame = 0;
    const take = (answer: Answer<Account>) => {
      const at = Date.parse(answer.as_of) / 1000;
      const last = ring.current.last();
      if (answer.data.totals && (!last || at - last.at >= 1)) ring.current.push({ at, totals: answer.data.totals });
      waiting = answer;
      if (!frame) frame = requestAnimationFrame(() => { frame = 0; setLatest(waiting); });
    };
    const leave = follow(`margin.${id}`, (message) => take(message as unknown as Answer<Account>));
    return () => {
      leave();
      cancelAnimationFrame(frame);
    };
  }, [id]);
  return { list: ring.current.list(), latest };
}

export function AccountSeries({ id, height = 300 }: { id: string; height?: number }) {
  const { list, latest } = useAccountHistory(id);
  const marks = useMarks();
  const x = list.map((of) => of.at);
  const columns = [x, list.map((of) => approx(of.totals.equity)), list.map((of) => approx(of.totals.im)), list.map((of) => approx(of.totals.mm))];
  return (
    <Panel title={`Margin of ${id}`} basis={latest} cls="wide" id="series"
      tools={<><Csv name={`margin-${id}`} of={() => [["at", "equity", "im", "mm"], list.map((of) => [new Date(of.at * 1000).toISOString(), of.totals.equity, of.totals.im, of.totals.mm])]} /><Png name={`margin-${id}`} /></>}
      note="Kept by this page since it began to follow the account, an hour at most: the server keeps no history of single accounts.">
      {list.length > 1 ? <Series label={`Margin of ${id}`} columns={columns} lines={LINES} marks={marks.filter((m) => m.at >= (x[0] ?? 0))} height={height} zero format={(v) => short(v.toFixed(2))} /> : <Nothing why="waiting for the account's margins to move" />}
    </Panel>
  );
}

function OneAccount({ id }: { id: string }) {
  return id ? <AccountSeries id={id} /> : <Panel title="Margin of an account" cls="wide"><Nothing why="choose an account" /></Panel>;
}

const USUAL = ["fixed", "span", "deribit-pm", "derive-pmrm2", "paradex"];

interface Compared {
  preset: string;
  method: Method | null;
  why: string;
}

/** What other methods would charge on the same book. */
function Compare({ account }: { account: string }) {
  const latest = useCell(overview);
  const [presets, setPresets] = useState<string[]>([]);
  const [rows, setRows] = useState<Compared[]>([]);
  const [basis, setBasis] = useState<Answer<Method> | null>(null);
  const [under, setUnder] = useState(false);
  const [why, setWhy] = useState<unknown>(null);
  useEffect(() => {
    void get<{ name: string }[]>("/v1/presets").then((answer) => setPresets(answer.data.map((of) => of.name)), setWhy);
  }, []);
  const begun = useRef("");
  useEffect(() => {
    setRows([]);
    begun.current = "";
  }, [account]);
  // A few at once, so that there is something to see; the others when they are asked for.
  useEffect(() => {
    const known = USUAL.filter((name) => presets.includes(name));
    if (!known.length || !latest || begun.current === account + "!") return;
    begun.current = account + "!";
    void run(known).catch(setWhy);
  });
  const run = async (names: string[]) => {
    setUnder(true);
    for (const preset of names) {
      let row: Compared;
      try {
        const answer = await long<Method>(`/v1/compare?preset=${preset}${account ? `&account=${encodeURIComponent(account)}` : ""}`);
        setBasis(answer);
        row = { preset, method: answer.data, why: answer.data.reason ?? "" };
      } catch (error) {
        row = { preset, method: null, why: error instanceof Error ? error.message : String(error) };
      }
      setRows((rows) => [...rows.filter((of) => of.preset !== preset), row]);
    }
    setUnder(false);
  };
  const ratio = (row: Compared) => (row.method && row.method.accounts > 0 && approx(row.method.own_im) > 0 ? approx(row.method.im) / approx(row.method.own_im) : undefined);
  const most = Math.max(1, ...rows.map((row) => ratio(row) ?? 0));
  const columns: Column<Compared>[] = [
    { name: "Method", left: true, of: (row) => row.preset, csv: (row) => row.preset },
    { name: "IM", term: "im", of: (row) => (row.method && row.method.accounts > 0 ? <Money of={row.method.im} term="im" /> : "–"), csv: (row) => row.method?.im, sort: (a, b) => approx(a.method?.im ?? "0") - approx(b.method?.im ?? "0") },
    { name: "MM", term: "mm", of: (row) => (row.method && row.method.accounts > 0 ? <Money of={row.method.mm} term="mm" /> : "–"), csv: (row) => row.method?.mm },
    { name: "In force", term: "im", of: (row) => (row.method && row.method.accounts > 0 ? <Money of={row.method.own_im} term="im" /> : "–"), csv: (row) => row.method?.own_im },
    { name: "Ratio", term: "compare", of: (row) => <Num text={ratio(row) === undefined ? "–" : percent(ratio(row)!, 0)} term="compare" />, csv: (row) => ratio(row), sort: (a, b) => (ratio(a) ?? 0) - (ratio(b) ?? 0) },
    { name: "", left: true, width: "26%", of: (row) => <span class="bar-track"><i class="bar" style={{ width: `${(100 * (ratio(row) ?? 0)) / most}%` }} /><i class="bar-tick" style={{ left: `${100 / most}%` }} /></span> },
    { name: "Accounts", of: (row) => (row.method ? `${row.method.accounts}${row.method.failures ? ` (${row.method.failures} not)` : ""}` : "–"), csv: (row) => row.method?.accounts },
    { name: "", left: true, of: (row) => <span class="faint clip" title={row.why}>{row.why}</span>, csv: (row) => row.why },
  ];
  return (
    <Panel title={<Term of="compare">{`What other methods would charge${account ? ` ${account}` : ""}`}</Term>} basis={basis} cls="wide" id="compare"
      tools={
        <>
          <Pick label="Preset" at="" of={[["", "choose"], ...presets.map((name) => [name, name] as const)]} to={(name) => name && void run([name]).catch(setWhy)} />
          <button type="button" class="quiet" disabled={under || !presets.length} onClick={() => void run(presets).catch(setWhy)}>{under ? "computing…" : "All"}</button>
          <TableCsv name="compare" columns={columns} rows={rows} />
        </>
      }
      note="On the present book and market, one method at a time. The tick is what is in force, on the accounts that the method margins. Entry prices are not told to other methods, so requirements alone are compared.">
      {why ? <Nothing why={why} /> : <Table name="compare" label="Methods" columns={columns} rows={rows} key_={(row) => row.preset} empty="choose a preset" />}
    </Panel>
  );
}

function Changes() {
  const history = useCell(parametersHistory);
  const rows = history.slice(0, 12);
  return (
    <Panel title="Parameter changes" cls="wide" id="changes" note={<a href={href("policy")}>All of them, with their causes, under Policy.</a>}>
      <Table name="changes" label="Parameter changes" rows={rows} key_={(row) => row.sequence} href={(row) => href("policy", { decision: row.sequence })}
        columns={[
          { name: "When", left: true, of: (row) => time(row.at) },
          { name: "Event", of: (row) => <Num text={String(row.sequence)} term="sequence" /> },
          { name: "Changes", of: (row) => row.what.decision.changes.length },
          { name: "Largest", left: true, of: (row) => {
            const size = (c: { from: string; to: string }) => Math.abs(Math.log(approx(c.to) / approx(c.from)));
            const top = [...row.what.decision.changes].sort((a, b) => size(b) - size(a))[0];
            return top ? `${nameOf(top.key)} ${floatShort(approx(top.from))} → ${floatShort(approx(top.to))}` : "";
          } },
        ]} empty="no change yet" />
    </Panel>
  );
}
