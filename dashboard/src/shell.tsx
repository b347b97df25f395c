// The frame: where one is, whether what one sees is alive, and how it is shown.
import { useEffect, useReducer } from "preact/hooks";
import { closed, connection } from "./api";
import { alone, feeds as allFeeds, href, mine, overview, parameters, place, readOnly, setTheme, setZone, span, theme, time, who, zone, zoneName } from "./app";
import { keep, key } from "./key";
import { Hover, Valid, horizon } from "./ui/base";
import { useCell } from "./store";
import { AccountView } from "./views/account";
import { FeedsView } from "./views/feeds";
import { HeatView } from "./views/heatmap";
import { LiquidationsView } from "./views/liquidations";
import { MarginView } from "./views/margin";
import { OverviewView } from "./views/overview";
import { PolicyView } from "./views/policy";
import { SurfaceView } from "./views/surface";

const VIEWS = [
  ["overview", "Overview", OverviewView],
  ["margin", "Margin", MarginView],
  ["heatmap", "Scenarios", HeatView],
  ["account", "Account", AccountView],
  ["surface", "Surface", SurfaceView],
  ["policy", "Policy", PolicyView],
  ["liquidations", "Liquidations", LiquidationsView],
  ["feeds", "System", FeedsView],
] as const;

/** Views of the market, for whoever may see no account; those of one's own accounts besides. */
const MARKET = ["surface", "policy"];
const OWN = ["account", "margin", "heatmap", ...MARKET];

/** Views that this page may show. */
function views(): readonly (typeof VIEWS)[number][] {
  const names = mine() ? OWN : MARKET;
  return alone() ? names.flatMap((name) => VIEWS.filter(([of]) => of === name)) : VIEWS;
}

/** Alt and a digit go to a view. */
function keys(event: KeyboardEvent): void {
  const at = Number(event.key) - 1;
  const view = views()[at];
  if (event.altKey && view) {
    location.hash = href(view[0]);
    event.preventDefault();
  }
}

export function Shell() {
  const here = useCell(place);
  useEffect(() => {
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, []);
  useCell(who);
  const shown = views();
  const [name, title, View] = shown.find(([name]) => name === here.view) ?? shown[0]!;
  useEffect(() => {
    // On a narrow page the bar of views scrolls: where one is stays in sight.
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${title} · Plimsoll`;
  }, [title]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>To the content</a>
      <nav aria-label="Views">
        <div class="brand"><svg viewBox="0 0 32 32" aria-hidden="true"><circle cx="16" cy="16" r="10" /><path d="M1 16h30" /></svg>Plimsoll</div>
        <ul>
          {shown.map(([of, text], at) => (
            <li><a href={href(of)} aria-current={of === name ? "page" : undefined} title={`Alt+${at + 1}`}>{text}</a></li>
          ))}
        </ul>
        <div class="settings">
          {readOnly && <span class="badge">read only</span>}
          {alone() && <span class="badge" data-own={mine()?.length ?? 0}>{mine() ? "own accounts" : "market"}</span>}
          <KeyForm />
          <Zone />
          <Colours />
          <a class="quiet" href="/docs/">API</a>
        </div>
      </nav>
      <div class="side">
        <Status />
        <main id="main" tabIndex={-1} data-view={name}><h1 class="unseen">{title}</h1><View key={name} /></main>
      </div>
      <Hover />
    </div>
  );
}

function Zone() {
  const now = useCell(zone);
  return <button type="button" class="quiet" aria-label={`Time zone: ${now === "utc" ? "UTC" : "local"}`} onClick={() => setZone(now === "utc" ? "local" : "utc")}>{now === "utc" ? "UTC" : "Local time"}</button>;
}

function Colours() {
  const now = useCell(theme);
  return <button type="button" class="quiet" aria-label={`Colours: ${now}`} onClick={() => setTheme(now === "dark" ? "light" : "dark")}>{now === "dark" ? "Dark" : "Light"}</button>;
}

/** Where the server asks for a key, or has been told one. */
function KeyForm() {
  const why = useCell(closed);
  const known = key();
  const tell = (text: string) => {
    keep(text);
    location.reload();
  };
  if (known) return <button type="button" class="quiet" title={`Forget key ${known.name}`} onClick={() => tell("")}>Key {known.name}</button>;
  if (!why) return null;
  const submit = (event: Event) => {
    event.preventDefault();
    tell(new FormData(event.currentTarget as HTMLFormElement).get("key")?.toString().trim() ?? "");
  };
  return <form class="key" onSubmit={submit}><input name="key" type="password" autocomplete="off" aria-label="Key and secret" placeholder="KEY.SECRET" /></form>;
}

function Status() {
  const link = useCell(connection);
  const all = useCell(overview);
  const market = useCell(parameters);
  // Who may not see everybody is told of what the parameters were read from.
  const latest = all ?? market;
  const why = useCell(closed);
  useCell(zone);
  const [, draw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => draw(undefined as never), 1_000);
    return () => clearInterval(timer);
  }, []);
  const feeds = useCell(allFeeds);
  const troubled = feeds.filter((feed) => feed.validity !== "normal");
  const ages = feeds.flatMap((feed) => (feed.age_ms === undefined ? [] : [feed.age_ms / 1000]));
  return (
    <>
      <div class="status" role="status" aria-live="off" data-link={link.link}>
        <span class={`link ${link.link}`}><i aria-hidden="true" />{link.link}</span>
        {latest && (
          <>
            <Valid of={latest.validity} />
            <span><label data-term="snapshot">as of</label> {time(latest.as_of)} {zoneName()}</span>
            <span><label data-term="sequence">event</label> <b data-status="sequence">{latest.sequence}</b></span>
            <span><label data-term="parameters">parameters</label> v{latest.parameters}</span>
            <span><label data-term="age">oldest price</label> {ages.length ? span(Math.max(...ages)) : "none yet"}</span>
            {horizon() && <span><label data-term="im">margins cover</label> {horizon()}</span>}
          </>
        )}
      </div>
      {why && !mine() && link.link !== "lost" && <div class="alarm warn" role="alert" data-alarm="closed">The server shows less to whoever has no key: {why}</div>}
      {link.link === "lost" && (
        <div class="alarm bad" role="alert">
          Connection lost {span((Date.now() - link.since) / 1000)} ago. What is shown is as of {latest ? time(latest.as_of) : "–"}; trying again.
        </div>
      )}
      {link.link !== "lost" && troubled.length > 0 && (
        <div class={`alarm ${troubled.some((feed) => feed.validity === "halted") ? "bad" : "warn"}`} role="alert" data-alarm="feeds">
          {troubled.map((feed) => (
            <a href={href("feeds")}>{feed.asset} <Valid of={feed.validity} /> <em>{feed.causes.map((cause) => String(cause).replace(/_/g, " ")).join(", ")}</em></a>
          ))}
        </div>
      )}
    </>
  );
}
