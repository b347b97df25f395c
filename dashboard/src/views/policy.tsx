// View 6: how parameters move: in force, announced, within which bounds, and for each change what caused it.
import { useState } from "preact/hooks";
import { get } from "../api";
import { events, eventsSeen, href, parameters, parametersHistory, place, readings, say, time, zoneName } from "../app";
import { approx, counted, exact, float, percent } from "../decimal";
import { useCell, useEvery } from "../store";
import { Csv, Nothing, Num, Panel, Png, Term, save, termOf } from "../ui/base";
import { Series } from "../ui/series";
import { Table, TableCsv } from "../ui/table";
import type { Column } from "../ui/table";
import { TwoWay } from "./heatmap";
import { nameOf, path } from "./margin";
import type { Answer, Change, DecisionEffect, Happened, Parameter } from "../types";

export function PolicyView() {
  const answer = useCell(parameters);
  const history = useCell(parametersHistory);
  const { query } = useCell(place);
  if (!answer) return <Nothing why="waiting for the parameters" />;
  // What is announced is what people come for.
  const announced = answer.data.values.find((value) => value.ramp.legs.length > 0);
  const name = query.get("parameter") ?? (announced ?? answer.data.values[0])?.name ?? "";
  const of = answer.data.values.find((value) => value.name === name);
  const found = history.find((decision) => String(decision.sequence) === query.get("decision")) ?? history[0];
  return (
    <div class="grid">
      <Values answer={answer.data.values} basis={answer} name={name} />
      {of && <OneParameter of={of} history={history} />}
      <div class="stack"><Regime /><Proposals /></div>
      <Readings />
      <Decisions history={history} chosen={found} />
      {found && <Decision of={found} />}
    </div>
  );
}

const short = (text: string) => exact(text);

function ends(of: Parameter): string {
  const last = of.ramp.legs[of.ramp.legs.length - 1];
  return last ? time(last.ends) : "";
}

function Values({ answer, basis, name }: { answer: Parameter[]; basis: NonNullable<ReturnType<typeof parameters.get>>; name: string }) {
  const columns: Column<Parameter>[] = [
    { name: "Parameter", left: true, of: (row) => <span data-term={termOf(row.name.replace(/(_up|_down)?\[.*/, ""), "initial")}>{row.name}</span>, csv: (row) => row.name, sort: (a, b) => a.name.localeCompare(b.name) },
    { name: "Initial", term: "initial", of: (row) => <Num text={short(row.initial)} term="initial" value={row.initial} />, csv: (row) => row.initial, sort: (a, b) => approx(a.initial) - approx(b.initial) },
    { name: "Maintenance", term: "maintenance", of: (row) => <Num text={short(row.maintenance)} term="maintenance" value={row.maintenance} />, csv: (row) => row.maintenance },
    { name: "Announced", term: "ramp", left: true, of: (row) => (row.ramp.legs.length ? <span class="state warn"><i aria-hidden="true">◢</i>to {ends(row)}</span> : <span class="faint">level</span>), csv: (row) => JSON.stringify(row.ramp.legs) },
    { name: "Least", term: "bounds", of: (row) => <span class="num faint">{row.minimum ?? "–"}</span>, csv: (row) => row.minimum },
    { name: "", left: true, width: "16%", of: (row) => <Between of={row} /> },
    { name: "Largest", term: "bounds", of: (row) => <span class="num faint">{row.maximum ?? "–"}</span>, csv: (row) => row.maximum },
  ];
  return (
    <Panel title={<>Parameters in force <span class="count">policy {basis.data.policy} · set {basis.data.params} {basis.data.params_id} · v{basis.parameters}</span></>} basis={basis} cls="two tall" id="parameters"
      tools={<><TableCsv name="parameters" columns={columns} rows={answer} /><button type="button" class="quiet" onClick={() => save("parameters.json", "application/json", JSON.stringify(basis, null, 2))}>JSON</button><button type="button" class="quiet" onClick={() => void exportMarkdown()}>Markdown</button></>}>
      <Table name="parameters" label="Parameters in force" columns={columns} rows={answer} key_={(row) => row.name} onChoose={(row) => say({ parameter: row.name })} chosen={(row) => row.name === name} />
    </Panel>
  );
}

/** Where a value is between its bounds, on a scale of ratios. */
function Between({ of }: { of: Parameter }) {
  const [least, most, now, then] = [of.minimum, of.maximum, of.initial, of.maintenance].map(approx) as [number, number, number, number];
  if (!(least > 0 && most > least)) return null;
  const at = (value: number) => (100 * Math.log(Math.max(least, Math.min(most, value)) / least)) / Math.log(most / least);
  return <span class="between" aria-hidden="true"><i class="then" style={{ left: `${at(then)}%` }} /><i class="now" style={{ left: `${at(now)}%` }} /></span>;
}

/** Where maintenance is at an instant: legs run beside each other, and each adds its part. */
function maintenance(of: Parameter, at: number): number {
  const part = (leg: Parameter["ramp"]["legs"][number]) => {
    const [starts, ends] = [Date.parse(leg.starts) / 1000, Date.parse(leg.ends) / 1000];
    return approx(leg.rise) * Math.max(0, Math.min(1, ends > starts ? (at - starts) / (ends - starts) : 1));
  };
  return of.ramp.legs.reduce((level, leg) => level + part(leg), approx(of.ramp.from));
}

/** The announced path of maintenance, from now on. */
function announced(of: Parameter, now: number): { at: number; to: number }[] {
  const bends = of.ramp.legs.flatMap((leg) => [Date.parse(leg.starts) / 1000, Date.parse(leg.ends) / 1000]);
  const times = [...new Set([now, ...bends.filter((at) => at > now)])].sort((a, b) => a - b);
  return times.map((at) => ({ at, to: maintenance(of, at) }));
}

function OneParameter({ of, history }: { of: Parameter; history: Happened<DecisionEffect>[] }) {
  const points = path(of.name, history);
  const basis = parameters.get();
  const now = basis ? Date.parse(basis.as_of) / 1000 : 0;
  if (!points.length) points.push({ at: now - 3_600, to: approx(of.initial) });
  points.push({ at: now, to: approx(of.initial) });
  const ahead = announced(of, now);
  const x = [...new Set([...points.map((p) => p.at), ...ahead.map((p) => p.at)])].sort((a, b) => a - b);
  const initial = x.map((at) => {
    if (at > now) return null;
    let found: number | null = null;
    for (const point of points) if (point.at <= at) found = point.to;
    return found;
  });
  const path_ = x.map((at) => ahead.find((p) => p.at === at)?.to ?? null);
  const changes = history.flatMap((decision) => decision.what.decision.changes.filter((change) => nameOf(change.key) === of.name).map((change) => ({ at: decision.at, sequence: decision.sequence, change })));
  return (
    <Panel title={of.name} basis={basis} id="path" tools={<><Csv name={of.name} of={() => [["at", "initial", "maintenance_announced"], x.map((at, i) => [new Date(at * 1000).toISOString(), initial[i], path_[i]])]} /><Png name={of.name} /></>}
      note={<>{of.ramp.legs.length ? `Maintenance goes to ${of.initial} by ${ends(of)} ${zoneName()}.` : "Maintenance is level with initial."} Bounds {of.minimum ?? "–"} to {of.maximum ?? "–"}.</>}>
      {x.length > 1 && <Series label={of.name} columns={[x, initial, path_]} lines={[{ name: "Initial", color: "--s1", step: true, width: 2 }, { name: "Maintenance, announced", color: "--s2", dash: [5, 3] }]} height={200} format={(v) => float(v, 4)} />}
      <Table name="changes-of" label={`Changes of ${of.name}`} rows={changes.slice(0, 6)} key_={(row) => row.sequence} href={(row) => href("policy", { parameter: of.name, decision: row.sequence })} empty="has not changed"
        columns={[
          { name: "When", left: true, of: (row) => time(row.at) },
          { name: "From", of: (row) => row.change.from },
          { name: "To", of: (row) => row.change.to },
          { name: "Causes", left: true, of: (row) => <span class="faint words" title={row.change.text}>{row.change.text.split(": ").slice(1).join(": ").replace(/ %/g, "\u202f%").replace(/ -/g, " \u2212")}</span> },
        ]} />
    </Panel>
  );
}

function Regime() {
  const answer = useCell(parameters);
  const of = answer?.data.readings ?? {};
  const rows = Object.entries(of).filter(([, causes]) => causes.regime !== undefined);
  const list = readings.list();
  const names = rows.map(([name]) => name);
  const columns = [list.map((r) => r.at / 1000), ...names.map((name) => list.map((r) => r.of[name]?.regime ?? null))];
  const colors = ["--s1", "--s2", "--s3", "--s4", "--s5"];
  return (
    <Panel title={<Term of="regime">Regime probabilities</Term>} basis={answer} risk={false} id="regime" tools={names.length > 0 && <Png name="regime" />}>
      {names.length === 0 && <Nothing why={`policy ${answer?.data.policy ?? ""} reads no regime: its readings are beside`} />}
      {names.length > 0 && list.length > 1 && <Series label="Probability of the stressed regime" columns={columns} lines={names.map((name, at) => ({ name, color: colors[at % 5]! }))} height={160} zero format={(v) => percent(v, 0)} />}
      {names.length > 0 && <table><tbody>{rows.map(([name, causes]) => <tr><th scope="row" class="left">{name}</th><td><Num text={percent(causes.regime!)} term="regime" /></td></tr>)}</tbody></table>}
    </Panel>
  );
}

function Readings() {
  const answer = useCell(parameters);
  const of = answer?.data.readings ?? {};
  const causes = [...new Set(Object.values(of).flatMap((one) => Object.keys(one)))].sort();
  const assets = Object.keys(of);
  return (
    <Panel title={<Term of="readings">Evidence: the last readings</Term>} basis={answer} risk={false} cls="two" id="readings"
      tools={<Csv name="readings" of={() => [["underlying", ...causes], assets.map((asset) => [asset, ...causes.map((cause) => of[asset]?.[cause])])]} />}>
      <div class="scroll" tabIndex={0} role="region" aria-label="Readings">
        <table data-table="readings">
          <thead><tr><th scope="col" class="left">Underlying</th>{causes.map((cause) => <th scope="col">{cause.replace(/_/g, " ")}</th>)}</tr></thead>
          <tbody>{assets.map((asset) => <tr><th scope="row" class="left">{asset}</th>{causes.map((cause) => <td><Num text={float(of[asset]?.[cause], 3)} term="readings" /></td>)}</tr>)}</tbody>
        </table>
      </div>
    </Panel>
  );
}

function Decisions({ history, chosen }: { history: Happened<DecisionEffect>[]; chosen: Happened<DecisionEffect> | undefined }) {
  const columns: Column<Happened<DecisionEffect>>[] = [
    { name: "When", left: true, of: (row) => time(row.at), csv: (row) => row.at },
    { name: "Set", of: (row) => <Num text={`v${row.what.decision.version}`} term="parameters" />, csv: (row) => row.what.decision.version },
    { name: "Event", of: (row) => <Num text={String(row.sequence)} term="sequence" />, csv: (row) => row.sequence },
    { name: "Changes", of: (row) => row.what.decision.changes.length, csv: (row) => row.what.decision.changes.length },
    { name: "Affected", term: "affected", of: (row) => <Num text={String(row.what.endangered.length)} term="affected" />, csv: (row) => row.what.endangered.length },
  ];
  return (
    <Panel title="Decisions" id="decisions" cls="tall" tools={<TableCsv name="decisions" columns={columns} rows={history} />}>
      <Table name="decisions" label="Decisions" columns={columns} rows={history.slice(0, 200)} key_={(row) => row.sequence} onChoose={(row) => say({ decision: row.sequence })} chosen={(row) => row === chosen} empty="no decision yet" />
    </Panel>
  );
}

/** Parts per billion of the logarithm: what each cause added. */
const PPB = 1e9;

function Decision({ of }: { of: Happened<DecisionEffect> }) {
  const changes = of.what.decision.changes;
  const causes = [...new Set(changes.flatMap((change) => change.causes.map(([cause]) => cause)))];
  const accounts = of.what.endangered.map(String);
  return (
    <Panel title={<>Decision of {time(of.at)} <span class="count">v{of.what.decision.version} · event {of.sequence}</span></>} cls="two" id="decision"
      tools={<><Csv name={`decision-${of.sequence}`} of={() => [["parameter", "from", "to", ...causes.map((cause) => `${cause}_ln`)], changes.map((change) => [nameOf(change.key), change.from, change.to, ...causes.map((cause) => (cause_(change, cause) ?? 0) / PPB)])]} /><button type="button" class="quiet" onClick={() => void exportDecision(of)}>JSON</button><button type="button" class="quiet" onClick={() => save(`decision-${of.sequence}.md`, "text/markdown", markdown(of))}>Markdown</button></>}
      note={<><Term of="causes_sum">Causes are parts of the logarithm of the change</Term> and add up to it{of.what.decision.notes?.length ? `; ${counted(of.what.decision.notes.length, "note")}: ${of.what.decision.notes.map((note) => Object.values(note).join(" ")).slice(0, 4).join(", ")}` : ""}.</>}>
      <div class="scroll" tabIndex={0} role="region" aria-label="Changes and their causes">
        <table data-table="causes">
          <thead><tr><th scope="col" class="left">Parameter</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Change</th>{causes.map((cause) => <th scope="col">{cause.replace(/_/g, " ")}</th>)}<th scope="col" class="bar-head"><span class="unseen">change</span></th></tr></thead>
          <tbody>
            {changes.map((change) => {
              const total = change.causes.reduce((sum, [, value]) => sum + value, 0) / PPB;
              return (
                <tr data-sum={total} data-log={Math.log(approx(change.to) / approx(change.from))}>
                  <th scope="row" class="left">{nameOf(change.key)}</th><td>{change.from}</td><td>{change.to}</td>
                  <td><Num text={percent(total, 2, true)} term="causes_sum" /></td>
                  {causes.map((cause) => { const part = cause_(change, cause); return <td>{part === undefined ? <span class="faint">·</span> : <Num text={percent(part / PPB, 2, true)} term="causes_sum" />}</td>; })}
                  <td class="bar-cell both"><TwoWay share={-total / 0.3} /></td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Evidence of={of} />
      {accounts.length > 0 && <p class="accounts"><Term of="affected">Accounts affected</Term>: {accounts.slice(0, 60).map((id) => <a href={href("account", { id })}>{id}</a>)}{accounts.length > 60 && ` and ${accounts.length - 60} more`}</p>}
    </Panel>
  );
}

/** What was read of each underlying that a decision moved: the causes that it names, and the others. */
function evidence(of: Happened<DecisionEffect>): [string, [string, number][]][] {
  const moved = new Set(of.what.decision.changes.map((change) => change.key.scope.underlying ?? Object.values(change.key.scope)[0]));
  const all = Object.entries(of.readings ?? {}).filter(([asset]) => moved.has(asset) || moved.has(undefined));
  return all.map(([asset, causes]) => [asset, Object.entries(causes).sort(([a], [b]) => a.localeCompare(b))]);
}

function Evidence({ of }: { of: Happened<DecisionEffect> }) {
  const rows = evidence(of);
  if (!rows.length) return <p class="note">What it rested on is being read.</p>;
  const causes = [...new Set(rows.flatMap(([, read]) => read.map(([cause]) => cause)))].sort();
  return (
    <>
      <h3><Term of="readings">Evidence: what was read when it was decided</Term></h3>
      <div class="scroll" tabIndex={0} role="region" aria-label="What was read when it was decided">
        <table data-table="evidence">
          <thead><tr><th scope="col" class="left">Underlying</th>{causes.map((cause) => <th scope="col">{cause.replace(/_/g, " ")}</th>)}</tr></thead>
          <tbody>{rows.map(([asset, read]) => <tr><th scope="row" class="left">{asset}</th>{causes.map((cause) => { const found = read.find(([name]) => name === cause)?.[1]; return <td><Num text={float(found, 3)} term="readings" value={found ?? ""} /></td>; })}</tr>)}</tbody>
        </table>
      </div>
    </>
  );
}

function cause_(change: Change, cause: string): number | undefined {
  return change.causes.find(([name]) => name === cause)?.[1];
}

/** A decision as the server has it, whole paths included. */
async function exportDecision(of: Happened<DecisionEffect>): Promise<void> {
  const at = parametersHistory.get().findIndex((other) => other.sequence === of.sequence);
  const { data } = await get<Happened<DecisionEffect>[]>(`/v1/parameters/history?limit=5&skip=${Math.max(0, at - 1)}`);
  const whole = data.find((other) => other.sequence === of.sequence) ?? of;
  save(`decision-${of.sequence}.json`, "application/json", JSON.stringify(whole, null, 2));
}

/** A decision as a post for a forum. */
export function markdown(of: Happened<DecisionEffect>): string {
  const decision = of.what.decision;
  const row = (change: Change) => {
    const causes = change.causes.map(([name, value]) => `${name} ${percent(value / PPB, 2, true)}`).join(", ");
    const end = change.maintenance.legs[change.maintenance.legs.length - 1]?.ends ?? "at once";
    return `| \`${nameOf(change.key)}\` | ${change.from} | ${change.to} | ${end} | ${causes} |`;
  };
  const accounts = of.what.endangered.map(String);
  return [
    `# Parameters v${decision.version}, ${of.at}`, "",
    `Decided by event ${of.sequence} of the journal. New risk is bound at once, existing positions along the announced path. Causes are parts of the logarithm of the change and add up to it.`, "",
    "| parameter | from | to | maintenance until | causes |", "|---|---|---|---|---|", ...decision.changes.map(row), "",
    "What was read when it was decided:", "", "| underlying | reading | value |", "|---|---|---|", ...evidence(of).flatMap(([asset, read]) => read.map(([cause, value]) => `| ${asset} | ${cause} | ${value} |`)), "",
    accounts.length ? `Accounts that it makes liquidatable unless they act (${accounts.length}): ${accounts.join(", ")}.` : "It makes no account liquidatable.", "",
  ].join("\n");
}

async function exportMarkdown(): Promise<void> {
  const answer = parameters.get() as Answer<{ values: Parameter[]; policy: string; params: string; params_id: string }>;
  const rows = answer.data.values.map((of) => `| \`${of.name}\` | ${of.initial} | ${of.maintenance} | ${of.minimum ?? ""} | ${of.maximum ?? ""} | ${of.ramp.legs.length ? ends(of) : ""} |`);
  const text = [
    `# Parameters in force, v${answer.parameters}`, "", `Policy ${answer.data.policy}, set ${answer.data.params} (${answer.data.params_id}), as of ${answer.as_of}, event ${answer.sequence}.`, "",
    "| parameter | initial | maintenance | least | largest | announced until |", "|---|---|---|---|---|---|", ...rows, "", ...parametersHistory.get().slice(0, 5).map(markdown),
  ].join("\n");
  save("parameters.md", "text/markdown", text);
}

function Proposals() {
  const [answer, setAnswer] = useState<Answer<Record<string, unknown>[]> | null>(null);
  useCell(eventsSeen);
  useEvery(5_000, async (signal) => {
    const found = await get<Record<string, unknown>[]>("/v1/proposals", signal);
    if (!signal.aborted) setAnswer(found);
  }, []);
  const recent = events.list().filter((event) => event.channel === "params").length;
  return (
    <Panel title="Votes, in force or to come" basis={answer} risk={false} id="proposals" note={recent ? `${recent} decision(s) while this page was open.` : undefined}>
      {!answer?.data.length ? <p class="nothing">no vote</p> : <pre tabIndex={0} role="region" aria-label="Votes">{JSON.stringify(answer.data, null, 2)}</pre>}
    </Panel>
  );
}
