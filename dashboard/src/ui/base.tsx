// What every view is made of: terms that define themselves, numbers, panels, buttons.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Refused } from "../api";
import { clock, overview, terms, time, zone, zoneName } from "../app";
import { exact, fixed, isNegative, percent, short } from "../decimal";
import type { Decimal } from "../decimal";
import { useCell } from "../store";
import { definition, known } from "../terms";
import type { TermName } from "../terms";
import type { Basis, Standing, Validity } from "../types";

// ---- horizon and confidence ------------------------------------------------------------------------------------

/** Of the estimated parameters: "99 %, 1 d"; what is said when the server does not say. */
export function horizon(between = " over "): string {
  const known = terms.get()?.data.estimates ?? [];
  if (!known.length) return "";
  const unique = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  const confidences = unique(known.map((of) => of.confidence)).map((c) => percent(c, c * 100 === Math.round(c * 100) ? 0 : 1));
  const days = unique(known.map((of) => of.horizon_seconds / 86_400)).map((d) => `${Number(d.toFixed(2))}\u202fd`);
  return `${confidences.join(" / ")}${between}${days.join(" / ")}`;
}

// ---- hover -----------------------------------------------------------------------------------------------------

interface Shown {
  term: TermName;
  basis: Basis | undefined;
  exact: string | undefined;
  at: DOMRect;
}

function find(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>("[data-term]") : null;
}

const bases = new WeakMap<HTMLElement, Basis>();

/** One hover for the page: whatever says `data-term` defines itself under the pointer or the focus. */
export function Hover() {
  const [shown, setShown] = useState<Shown | null>(null);
  useEffect(() => {
    const show = (event: Event) => {
      const of = find(event.target);
      const term = of?.dataset.term;
      if (!of || !term || !known(term)) return setShown(null);
      const panel = of.closest<HTMLElement>("[data-panel]");
      const basis = panel ? bases.get(panel) : undefined;
      setShown({ term, basis: basis ?? overview.get() ?? undefined, exact: of.dataset.exact, at: of.getBoundingClientRect() });
    };
    const hide = () => setShown(null);
    const escape = (event: KeyboardEvent) => event.key === "Escape" && hide();
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerover", show);
      document.removeEventListener("focusin", show);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("keydown", escape);
    };
  }, []);
  if (!shown) return null;
  const of = definition(shown.term);
  const width = 320;
  const left = Math.max(8, Math.min(shown.at.left, innerWidth - width - 8));
  const below = shown.at.bottom + 190 < innerHeight;
  const edge = below ? { top: `${shown.at.bottom + 6}px` } : { bottom: `${innerHeight - shown.at.top + 6}px` };
  const style = { left: `${left}px`, width: `${width}px`, ...edge };
  const risk = of.estimate === "margin" ? horizon() : "";
  return (
    <div class="hover" role="tooltip" style={style}>
      <b>{of.name}</b>
      {shown.exact && <span class="hover-exact">{shown.exact}</span>}
      <p>{of.is}</p>
      {of.formula && <code>{of.formula}</code>}
      <dl>
        {risk && (<><dt>Covers</dt><dd>{risk}</dd></>)}
        {shown.basis && (
          <>
            <dt>As of</dt><dd>{time(shown.basis.as_of)} {zoneName()}</dd>
            <dt>Market</dt><dd>{time(shown.basis.snapshot)}</dd>
            <dt>Event</dt><dd>{shown.basis.sequence} · parameters v{shown.basis.parameters}</dd>
            <dt>Validity</dt><dd>{shown.basis.validity}</dd>
          </>
        )}
      </dl>
    </div>
  );
}

/** A word that defines itself under the pointer and the focus. */
export function Term({ of, children }: { of: TermName; children?: ComponentChildren }) {
  return <span class="term" data-term={of} tabIndex={0}>{children ?? definition(of).name}</span>;
}

export function termOf(name: string, otherwise: TermName): TermName {
  return known(name) ? name : otherwise;
}

// ---- numbers ---------------------------------------------------------------------------------------------------

/** An amount of money, from its text. */
export function Money({ of, term, places = 2, brief = false, signed = false }: { of: Decimal | undefined; term?: TermName; places?: number; brief?: boolean; signed?: boolean }) {
  if (of === undefined) return <span class="num none">–</span>;
  const text = brief ? short(of) : fixed(of, places);
  const plus = signed && !isNegative(of) && !/^0*(\.0*)?$/.test(of) ? "+" : "";
  const cls = isNegative(of) ? "num minus" : "num";
  return <span class={cls} data-term={term} data-exact={exact(of)} data-value={of}>{plus + text}</span>;
}

export function Num({ text, term, value }: { text: string; term?: TermName; value?: string | number }) {
  return <span class="num" data-term={term} data-value={value}>{text}</span>;
}

// ---- states ----------------------------------------------------------------------------------------------------

const VALIDITY: Record<Validity, [string, string]> = { normal: ["ok", "●"], degraded: ["warn", "◐"], halted: ["bad", "■"] };

/** A word with its own shape, so that nobody needs the colour. */
export function Valid({ of }: { of: Validity }) {
  const [cls, glyph] = VALIDITY[of] ?? VALIDITY.halted;
  return <span class={`state ${cls}`} data-term="validity"><i aria-hidden="true">{glyph}</i>{of}</span>;
}

const STANDING: Record<Standing, [string, string]> = {
  healthy: ["ok", "●"], call: ["warn", "◐"], unvalued: ["mute", "○"], liquidatable: ["bad", "▲"], insolvent: ["bad", "■"],
};

export function Stands({ of }: { of: Standing }) {
  const [cls, glyph] = STANDING[of] ?? STANDING.unvalued;
  return <span class={`state ${cls}`} data-term={of}><i aria-hidden="true">{glyph}</i>{of}</span>;
}

// ---- panels ----------------------------------------------------------------------------------------------------

/** What a panel's numbers were read from, in one line: what they cover, as of when, after which event. */
export function BasisLine({ of, risk = true }: { of: Basis | null | undefined; risk?: boolean }) {
  useCell(zone);
  useCell(terms);
  if (!of) return <span class="basis">no answer yet</span>;
  const covers = risk ? horizon(" · ") : "";
  return (
    <span class="basis">
      {covers && <span data-term="im">{covers}</span>}
      <span data-term="snapshot">{clock(of.as_of)} {zoneName()}</span>
      <span data-term="sequence">#{of.sequence}</span>
    </span>
  );
}

interface PanelProps {
  title: ComponentChildren;
  basis?: Basis | null | undefined;
  risk?: boolean;
  tools?: ComponentChildren;
  children: ComponentChildren;
  cls?: string;
  note?: ComponentChildren;
  id?: string;
}

export function Panel({ title, basis, risk = true, tools, children, cls = "", note, id }: PanelProps) {
  const name = useId();
  const mine = useRef<HTMLElement>(null);
  useEffect(() => {
    if (mine.current && basis) bases.set(mine.current, basis);
  });
  return (
    <section class={`panel ${cls}`} aria-labelledby={name} data-panel={id ?? ""} data-sequence={basis?.sequence} ref={mine}>
      <header>
        <h2 id={name}>{title}</h2>
        {basis !== undefined && <BasisLine of={basis} risk={risk} />}
        {tools && <div class="tools">{tools}</div>}
      </header>
      {children}
      {note && <p class="note">{note}</p>}
    </section>
  );
}

/** Why there is nothing to see. */
export function Nothing({ why }: { why: unknown }) {
  const text = why instanceof Refused ? `${why.problem.code.replace(/_/g, " ")}: ${why.problem.detail}` : String(why ?? "nothing yet");
  return <p class="nothing">{text}</p>;
}

export function Tabs<T extends string>({ of, at, to, label }: { of: readonly (readonly [T, string])[]; at: T; to: (of: T) => void; label: string }) {
  return (
    <div class="tabs" role="group" aria-label={label}>
      {of.map(([value, text]) => (
        <button type="button" aria-pressed={value === at} onClick={() => to(value)}>{text}</button>
      ))}
    </div>
  );
}

export function Pick({ label, of, at, to }: { label: string; of: readonly (string | readonly [string, string])[]; at: string; to: (of: string) => void }) {
  return (
    <label class="pick">
      <span>{label}</span>
      <select value={at} onChange={(event) => to(event.currentTarget.value)}>
        {of.map((one) => {
          const [value, text] = typeof one === "string" ? [one, one] : one;
          return <option value={value}>{text}</option>;
        })}
      </select>
    </label>
  );
}

// ---- export ----------------------------------------------------------------------------------------------------

function download(name: string, blob: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

export type Cellular = string | number | boolean | undefined | null;

function field(value: Cellular): string {
  const text = value === undefined || value === null ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export function csv(head: string[], rows: Cellular[][]): string {
  return [head, ...rows].map((row) => row.map(field).join(",")).join("\n") + "\n";
}

export function save(name: string, kind: string, text: string): void {
  download(name, new Blob([text], { type: kind }));
}

export function Csv({ name, of }: { name: string; of: () => [string[], Cellular[][]] | Promise<[string[], Cellular[][]]> }) {
  const run = async () => {
    const [head, rows] = await of();
    save(`${name}.csv`, "text/csv", csv(head, rows));
  };
  return <button type="button" class="quiet" onClick={() => void run()} title={`Save ${name} as CSV`}>CSV</button>;
}

/** Draws the picture of a panel, as it stands, into a PNG. */
export function Png({ name }: { name: string }) {
  const run = (event: MouseEvent) => {
    const panel = (event.currentTarget as HTMLElement).closest<HTMLElement>(".panel");
    const found = panel && picture(panel);
    if (found) void found.then((blob) => blob && download(`${name}.png`, blob));
  };
  return <button type="button" class="quiet" onClick={run} title={`Save ${name} as PNG`}>PNG</button>;
}

function picture(panel: HTMLElement): Promise<Blob | null> | null {
  const canvas = panel.querySelector<HTMLCanvasElement>(".uplot canvas, canvas.picture");
  if (canvas) return onPaper(canvas, canvas.width, canvas.height);
  const svg = panel.querySelector<SVGSVGElement>("svg.picture");
  if (!svg) return null;
  const box = svg.getBoundingClientRect();
  const copy = svg.cloneNode(true) as SVGSVGElement;
  paint(svg, copy);
  copy.setAttribute("width", String(box.width));
  copy.setAttribute("height", String(box.height));
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
  return image.decode().then(() => onPaper(image, box.width * 2, box.height * 2));
}

/** A picture apart from the page has no style sheet: what it says goes into it. */
function paint(from: Element, to: Element): void {
  const style = getComputedStyle(from);
  for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "text-anchor", "dominant-baseline"]) {
    to.setAttribute(name, style.getPropertyValue(name));
  }
  [...from.children].forEach((child, at) => to.children[at] && paint(child, to.children[at]));
}

function onPaper(of: CanvasImageSource, width: number, height: number): Promise<Blob | null> {
  const paper = document.createElement("canvas");
  paper.width = width;
  paper.height = height;
  const pen = paper.getContext("2d")!;
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--panel");
  pen.fillRect(0, 0, width, height);
  pen.drawImage(of, 0, 0, width, height);
  return new Promise((done) => paper.toBlob(done, "image/png"));
}
