// View 1: all accounts together; each number opens the accounts behind it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, long } from "../api";
import { href, overview, place, say, span, totals, totalsSeen } from "../app";
import { approx, difference, exact, float, floatShort, percent, short } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Money, Nothing, Num, Panel, Pick, Stands, Term, Valid } from "../ui/base";
import { FarTable, Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import { definition } from "../terms";
import { TwoWay } from "./heatmap";
import type { AccountRow, Answer, Bucket, Contributors, Greeks, Overview, Sample, Standing } from "../types";
import type { TermName } from "../terms";

export function OverviewView() {
  const answer = useCell(overview);
  if (!answer) return <Nothing why="waiting for the first answer" />;
  const of = answer.data;
  return (
    <div class="grid">
      <Headline of={of} answer={answer} />
      <Distance of={of} answer={answer} />
      <FeedsBrief of={of} answer={answer} />
      <ProtocolGreeks />
      <BehindFor />
      <AccountsFor of={of} />
    </div>
  );
}

function BehindFor() {
  const { query } = useCell(place);
  const [greek, underlying] = [query.get("greek"), query.get("underlying")];
  return greek && underlying && isGreek(greek) ? <Behind greek={greek} underlying={underlying} expiry={query.get("expiry")} key={`${greek} ${underlying} ${query.get("expiry") ?? ""}`} /> : null;
}

/** Drawn again when there are others, and not whenever a sum moves. */
function AccountsFor({ of }: { of: Overview }) {
  const counts = JSON.stringify([of.accounts, of.standings]);
  return useMemo(() => <Accounts of={of} />, [counts]);
}

/** The last three minutes. */
const SPARK = 180;

/** Drawn again when there is another sample, and not with every sum. */
function Spark({ of }: { of: (sample: Sample) => number }) {
  const seen = useCell(totalsSeen);
  return useMemo(() => <Line of={of} />, [seen]);
}

function Line({ of }: { of: (sample: Sample) => number }) {
  const list = totals.list().slice(-SPARK);
  const count = list.length;
  if (count < 2) return <svg class="spark" aria-hidden="true" />;
  const values = list.map(of);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, at) => `${((at / (count - 1)) * 100).toFixed(1)},${(most > least ? 22 - (20 * (value - least)) / (most - least) : 12).toFixed(1)}`);
  return <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"><polyline points={points.join(" ")} /></svg>;
}

function Headline({ of, answer }: { of: Overview; answer: Answer<Overview> }) {
  const usage = approx(of.im) / approx(of.equity);
  const tiles: [string, TermName, string, string, string, ((sample: Sample) => number) | null][] = [
    ["Accounts", "accounts", String(of.accounts), href("overview", { order: "name" }), `${of.valued} valued`, null],
    ["Equity", "equity", short(of.equity), href("overview", { order: "risk" }), exact(of.equity), (sample) => approx(sample.equity)],
    ["Initial margin", "im", short(of.im), href("overview", { order: "risk" }), `${percent(usage)} of equity`, (sample) => approx(sample.im)],
    ["Maintenance margin", "mm", short(of.mm), href("overview", { order: "risk" }), `${short(difference(of.equity, of.mm))} above it`, (sample) => approx(sample.mm)],
    ["Insurance fund", "insurance", short(of.insurance), href("liquidations"), `backstop lost ${short(of.backstop_lost)}`, (sample) => approx(sample.insurance)],
    ["Liquidations", "intents", String(of.intents), href("liquidations"), `${of.standings.liquidatable ?? 0} liquidatable`, (sample) => sample.liquidatable],
  ];
  const raw: Record<string, string> = { Equity: of.equity, "Initial margin": of.im, "Maintenance margin": of.mm, "Insurance fund": of.insurance, Accounts: String(of.accounts), Liquidations: String(of.intents) };
  const standings: Standing[] = ["healthy", "call", "liquidatable", "insolvent", "unvalued"];
  return (
    <Panel title="All accounts" basis={answer} cls="wide" id="headline" tools={<Csv name="overview" of={() => [["measure", "value"], Object.entries(raw)]} />}>
      <div class="tiles">
        {tiles.map(([name, term, text, to, under, spark]) => (
          <a class="tile" href={to} data-term={term} data-exact={exact(raw[name] ?? "")}>
            <span class="tile-name">{name}</span>
            <span class="tile-num num" data-number={name} data-value={raw[name]}>{text}</span>
            <span class="tile-under">{under}</span>
            {spark && <Spark of={spark} />}
          </a>
        ))}
      </div>
      <div class="standings">
        {standings.map((standing) => (
          <a class={of.standings[standing] ? "" : "zero"} href={href("overview", { standing })} data-standing={standing} data-value={of.standings[standing] ?? 0}>
            <Stands of={standing} /> <span class="num">{of.standings[standing] ?? 0}</span>
          </a>
        ))}
      </div>
    </Panel>
  );
}

function bucketName(bucket: Bucket): string {
  if (bucket.from === undefined) return "below 0";
  if (bucket.to === undefined) return `over ${percent(bucket.from, 0)}`;
  return `${percent(bucket.from, 0)} – ${percent(bucket.to, 0)}`;
}

function Distance({ of, answer }: { of: Overview; answer: Answer<Overview> }) {
  const most = Math.max(1, ...of.distance.map((bucket) => bucket.accounts));
  const largest = Math.max(1, ...of.distance.map((bucket) => approx(bucket.mm)));
  let before = 0;
  const rows = of.distance.map((bucket) => {
    const row = { bucket, skip: before };
    before += bucket.accounts;
    return row;
  });
  return (
    <Panel title={<Term of="distance">Distance to liquidation</Term>} basis={answer} id="distance"
      tools={<Csv name="distance" of={() => [["from", "to", "accounts", "mm"], of.distance.map((b) => [b.from, b.to, b.accounts, b.mm])]} />}
      note="MM excess over MM. A row opens its accounts.">
      <table class="bars" data-table="distance">
        <thead><tr><th scope="col" class="left">MM excess / MM</th><th scope="col">Accounts</th><th class="bar-head" scope="col"><span class="unseen">share</span></th><th scope="col"><Term of="mm">MM</Term></th><th class="bar-head" scope="col"><span class="unseen">share</span></th></tr></thead>
        <tbody>
          {rows.map(({ bucket, skip }, at) => (
            <tr>
              <th scope="row" class="left"><a href={href("overview", { order: "risk", skip, count: bucket.accounts, name: bucketName(bucket) })}>{bucketName(bucket)}</a></th>
              <td><Num text={String(bucket.accounts)} value={bucket.accounts} term="distance" /></td>
              <td class="bar-cell"><i class={`bar d${at}`} style={{ width: `${(100 * bucket.accounts) / most}%` }} /></td>
              <td><Money of={bucket.mm} brief term="mm" /></td>
              <td class="bar-cell"><i class={`bar d${at}`} style={{ width: `${(100 * approx(bucket.mm)) / largest}%` }} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function FeedsBrief({ of, answer }: { of: Overview; answer: Answer<Overview> }) {
  return (
    <Panel title="Data age and validity" basis={answer} risk={false} id="feeds">
      <table data-table="feeds-brief">
        <thead><tr><th scope="col" class="left">Feed</th><th scope="col"><Term of="index">Price</Term></th><th scope="col"><Term of="confidence">±</Term></th><th scope="col"><Term of="age">Age</Term></th><th scope="col" class="left"><Term of="validity">Validity</Term></th></tr></thead>
        <tbody>
          {of.feeds.map((feed) => (
            <tr>
              <th scope="row" class="left"><a href={href("feeds")}>{feed.asset}</a></th>
              <td><Num term="index" text={float(feed.price, (feed.price ?? 0) > 100 ? 2 : 4)} value={feed.price ?? ""} /></td>
              <td><Num term="confidence" text={percent(feed.confidence ?? NaN, 2)} /></td>
              <td><Num term="age" text={feed.age_ms === undefined ? "–" : span(feed.age_ms / 1000)} /></td>
              <td class="left"><Valid of={feed.validity} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

interface Net {
  underlying: string;
  delta: number;
  delta_cash: number;
  gamma: number;
  vega: number;
  theta: number;
}

function net(rows: Greeks[]): Net[] {
  const all = new Map<string, Net>();
  for (const row of rows) {
    const of = all.get(row.underlying) ?? { underlying: row.underlying, delta: 0, delta_cash: 0, gamma: 0, vega: 0, theta: 0 };
    of.delta += row.delta;
    of.delta_cash += row.delta_cash;
    of.gamma += row.gamma;
    of.vega += row.vega_per_point;
    of.theta += row.theta_per_day;
    all.set(row.underlying, of);
  }
  return [...all.values()];
}

const GREEKS = { delta: "delta", delta_cash: "delta_cash", gamma: "gamma", vega_per_point: "vega_per_point", theta_per_day: "theta_per_day", vanna: "vanna", volga: "volga" } satisfies Record<string, TermName>;
type Greek = keyof typeof GREEKS;

function isGreek(name: string): name is Greek {
  return name in GREEKS;
}

/** A sum of all accounts that opens those behind it. */
function Opens({ of, greek, underlying }: { of: number; greek: Greek; underlying: string }) {
  return <a class="opens" href={href("overview", { greek, underlying })} title="Accounts behind it, the largest first" onClick={(event) => event.stopPropagation()}><Num term={greek} text={floatShort(of)} value={of} /></a>;
}

/** How many of the accounts behind a Greek are asked for. */
const BEHIND = 200;

function Behind({ greek, underlying, expiry }: { greek: Greek; underlying: string; expiry: string | null }) {
  const [answer, setAnswer] = useState<Answer<Contributors> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  const shown = useRef<HTMLDivElement>(null);
  useEvery(5_000, async (signal) => {
    try {
      const found = await long<Contributors>(`/v1/greeks/${underlying}/accounts?by=${greek}&limit=${BEHIND}${expiry ? `&expiry=${encodeURIComponent(expiry)}` : ""}`, signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, [greek, underlying, expiry]);
  useEffect(() => shown.current?.scrollIntoView({ block: "nearest" }), []);
  type Row = Contributors["rows"][number];
  const rows = answer?.data.rows ?? [];
  const names = Object.keys(GREEKS) as Greek[];
  const most = Math.max(1e-12, ...rows.map((row) => Math.abs(row.greeks[greek])));
  const columns: Column<Row>[] = [
    { name: "Account", left: true, of: (row) => row.account, csv: (row) => row.account },
    ...names.map((name): Column<Row> => ({ name: definition(name).name, term: name, of: (row) => <Num term={name} text={floatShort(row.greeks[name])} value={row.greeks[name]} />, csv: (row) => row.greeks[name], sort: (a, b) => a.greeks[name] - b.greeks[name] })),
    { name: "", left: true, width: "12%", of: (row) => <span class="two-way"><TwoWay share={row.greeks[greek] / most} /></span> },
  ];
  return (
    <div class="wide" ref={shown}>
      <Panel title={<>Accounts behind <Term of={greek}>{definition(greek).name}</Term> of {underlying} <span class="count">{answer ? `${rows.length} of ${answer.data.accounts} · together ${floatShort(Math.abs(answer.data.sum) < most * 1e-9 ? 0 : answer.data.sum)}` : ""}</span></>} basis={answer} risk={false} cls="tall" id="behind"
        tools={<><Pick label="By" at={greek} of={names.map((name) => [name, definition(name).name] as const)} to={(to) => say({ greek: to })} /><TableCsv name={`behind-${greek}-${underlying}`} columns={columns} rows={rows} /><a class="quiet" href={href("overview", { order: "risk" })}>Close</a></>}
        note="The largest contribution first, whatever its sign.">
        {answer ? <Table name="behind" label={`Accounts behind ${greek} of ${underlying}`} columns={columns} rows={rows} key_={(row) => row.account} href={(row) => href("account", { id: row.account })} empty="nobody holds any of it" /> : <Nothing why={why ?? "computing"} />}
      </Panel>
    </div>
  );
}

const NET: Column<Net>[] = [
  { name: "Underlying", left: true, of: (row) => <b>{row.underlying}</b>, csv: (row) => row.underlying },
  { name: "Delta", term: "delta", of: (row) => <Opens of={row.delta} greek="delta" underlying={row.underlying} />, csv: (row) => row.delta },
  { name: "Delta cash", term: "delta_cash", of: (row) => <Opens of={row.delta_cash} greek="delta_cash" underlying={row.underlying} />, csv: (row) => row.delta_cash },
  { name: "Gamma", term: "gamma", of: (row) => <Opens of={row.gamma} greek="gamma" underlying={row.underlying} />, csv: (row) => row.gamma },
  { name: "Vega", term: "vega_per_point", of: (row) => <Opens of={row.vega} greek="vega_per_point" underlying={row.underlying} />, csv: (row) => row.vega },
  { name: "Theta", term: "theta_per_day", of: (row) => <Opens of={row.theta} greek="theta_per_day" underlying={row.underlying} />, csv: (row) => row.theta },
];

function ProtocolGreeks() {
  const [answer, setAnswer] = useState<Answer<Greeks[]> | null>(null);
  const [why, setWhy] = useState<unknown>(null);
  useEvery(2_000, async (signal) => {
    try {
      const found = await get<Greeks[]>("/v1/greeks", signal);
      if (!signal.aborted) setAnswer(found), setWhy(null);
    } catch (error) {
      if (!signal.aborted) setWhy(error);
    }
  }, []);
  const rows = answer ? net(answer.data) : [];
  const flat = rows.length > 0 && rows.every((row) => Math.abs(row.delta_cash) < 0.005 && Math.abs(row.vega) < 0.005);
  return (
    <Panel title="Protocol Greeks" basis={answer} risk={false} id="greeks" tools={<TableCsv name="greeks" columns={NET} rows={rows} />}
      note={flat ? "All accounts together net to zero: every position has its other side here. A number opens the accounts behind it." : "A number opens the accounts behind it."}>
      {answer ? <Table name="net-greeks" label="Greeks of all accounts" columns={NET} rows={rows} key_={(row) => row.underlying} href={(row) => href("overview", { greek: "delta_cash", underlying: row.underlying })} /> : <Nothing why={why ?? "waiting"} />}
    </Panel>
  );
}

const PAGE = 200;

const ACCOUNTS: Column<AccountRow>[] = [
  { name: "#", width: "4.5rem", of: (_, at) => <span class="faint">{at + 1}</span> },
  { name: "Account", left: true, of: (row) => row.account, csv: (row) => row.account },
  { name: "Standing", term: "standing", left: true, width: "8rem", of: (row) => <Stands of={row.standing} />, csv: (row) => row.standing },
  { name: "Equity", term: "equity", of: (row) => <Money of={row.totals?.equity} term="equity" />, csv: (row) => row.totals?.equity },
  { name: "IM", term: "im", of: (row) => <Money of={row.totals?.im} term="im" />, csv: (row) => row.totals?.im },
  { name: "MM", term: "mm", of: (row) => <Money of={row.totals?.mm} term="mm" />, csv: (row) => row.totals?.mm },
  { name: "IM excess", term: "im_excess", of: (row) => <Money of={row.totals?.im_excess} term="im_excess" />, csv: (row) => row.totals?.im_excess },
  { name: "MM excess", term: "mm_excess", of: (row) => <Money of={row.totals?.mm_excess} term="mm_excess" />, csv: (row) => row.totals?.mm_excess },
  { name: "Distance", term: "distance", of: (row) => <Room of={row} />, csv: (row) => room(row) },
  { name: "Validity", term: "validity", left: true, width: "7rem", of: (row) => <Valid of={row.validity} />, csv: (row) => row.validity },
];

function room(row: AccountRow): number | undefined {
  const mm = approx(row.totals?.mm);
  return mm > 0 ? approx(row.totals?.mm_excess) / mm : undefined;
}

function Room({ of }: { of: AccountRow }) {
  const found = room(of);
  return <Num term="distance" text={found === undefined ? "–" : percent(found, 0)} />;
}

function Accounts({ of }: { of: Overview }) {
  const { query } = useCell(place);
  const standing = (query.get("standing") ?? "") as Standing | "";
  const order = query.get("order") ?? "risk";
  const base = Number(query.get("skip") ?? 0);
  const bound = query.get("count");
  const all = standing ? (of.standings[standing] ?? 0) : of.accounts;
  const count = bound === null ? Math.max(0, all - base) : Math.min(Number(bound), Math.max(0, all - base));
  const filter = `standing=${standing}&order=${order}&skip=${base}`;
  const pages = useRef(new Map<number, AccountRow[]>());
  const [basis, setBasis] = useState<Answer<unknown> | null>(null);
  const sight = useRef<[number, number]>([0, 0]);
  const [, draw] = useState(0);
  const under = useRef(false);
  const again = useRef(false);
  // One question at a time: while one scrolls, what is in sight by then is asked for next.
  const read = async (signal?: AbortSignal): Promise<void> => {
    if (under.current) {
      again.current = true;
      return;
    }
    under.current = true;
    try {
      do {
        again.current = false;
        await readOnce(sight.current[0], sight.current[1], signal);
      } while (again.current);
    } finally {
      under.current = false;
    }
  };
  const readOnce = async (from: number, to: number, signal?: AbortSignal) => {
    if (to <= from) return;
    const limit = Math.min(PAGE, to - from);
    const path = `/v1/accounts?order=${order}${standing ? `&standing=${standing}` : ""}&skip=${base + from}&limit=${limit}`;
    const answer = await get<AccountRow[]>(path, signal);
    if (signal?.aborted) return;
    if (pages.current.size > 400) pages.current.clear();
    answer.data.forEach((row, at) => {
      const old = pages.current.get(from + at)?.[0];
      if (JSON.stringify(old) !== JSON.stringify(row)) pages.current.set(from + at, [row]);
    });
    setBasis(answer);
  };
  useEffect(() => {
    pages.current.clear();
    draw((n) => n + 1);
  }, [filter]);
  // What is in sight is read again every half second.
  useEvery(500, (signal) => read(signal), [filter]);
  const everything = async (): Promise<[string[], (string | number | undefined)[][]]> => {
    const rows: AccountRow[] = [];
    for (let skip = base; skip < base + count; skip += 1_000) {
      const limit = Math.min(1_000, base + count - skip);
      const answer = await get<AccountRow[]>(`/v1/accounts?order=${order}${standing ? `&standing=${standing}` : ""}&skip=${skip}&limit=${limit}`);
      rows.push(...answer.data);
    }
    const said = ACCOUNTS.filter((column) => column.csv);
    return [said.map((column) => column.name), rows.map((row) => said.map((column) => column.csv!(row) as string | number | undefined))];
  };
  const name = query.get("name") ?? (standing || "all");
  return (
    <Panel title={<>Accounts <span class="count">{count}{name !== "all" ? ` · ${name}` : ""}</span></>} basis={basis} cls="wide" id="accounts"
      tools={
        <>
          <Pick label="Standing" at={standing} of={[["", "all"], "healthy", "call", "liquidatable", "insolvent", "unvalued"]}
            to={(to) => say({ standing: to, skip: undefined, count: undefined, name: undefined })} />
          <Pick label="Order" at={order} of={[["risk", "nearest to liquidation"], ["name", "name"]]} to={(to) => say({ order: to, skip: undefined, count: undefined, name: undefined })} />
          <Csv name="accounts" of={everything} />
        </>
      }>
      <FarTable name="accounts" label="Accounts" columns={ACCOUNTS} count={count} height={430} row={(at) => pages.current.get(at)?.[0]}
        onSight={(from, to) => { sight.current = [from, to]; void read().catch(() => undefined); }}
        open={(row) => { location.hash = href("account", { id: row.account }); }} />
    </Panel>
  );
}
