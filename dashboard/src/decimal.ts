// Money arrives as decimals in text and is shown from the text: no float is between the server and the eye.
// `approx` is for pixels alone.

export type Decimal = string;

interface Parts {
  negative: boolean;
  whole: string;
  fraction: string;
}

function parts(text: Decimal): Parts | null {
  const found = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!found) return null;
  const whole = found[2]!.replace(/^0+(?=\d)/, "");
  return { negative: found[1] === "-", whole, fraction: found[3] ?? "" };
}

/** The units of a number at so many places, rounded half away from zero. */
function scaled(of: Parts, places: number): bigint {
  const digits = (of.fraction + "0".repeat(places)).slice(0, places);
  let units = BigInt(of.whole + digits);
  if ((of.fraction.charCodeAt(places) || 48) >= 53) units += 1n;
  return of.negative ? -units : units;
}

function group(whole: string): string {
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** With thousands apart and so many places; a real minus sign, none before a zero. */
export function fixed(text: Decimal, places = 2): string {
  const of = parts(text);
  if (!of) return text;
  const units = scaled(of, places);
  const size = units < 0n ? -units : units;
  const digits = size.toString().padStart(places + 1, "0");
  const whole = group(digits.slice(0, digits.length - places));
  const fraction = places > 0 ? "." + digits.slice(digits.length - places) : "";
  return (units < 0n ? "\u2212" : "") + whole + fraction;
}

/** As it is, with thousands apart: every digit the server said. */
export function exact(text: Decimal): string {
  const of = parts(text);
  if (!of) return text;
  const zero = /^0*$/.test(of.whole + of.fraction);
  return (of.negative && !zero ? "\u2212" : "") + group(of.whole) + (of.fraction ? "." + of.fraction : "");
}

/** Short, for where there is little room: 31.0 M. */
export function short(text: Decimal): string {
  const of = parts(text);
  if (!of) return text;
  const size = of.whole.length;
  const [drop, unit] = size > 12 ? [12, "T"] : size > 9 ? [9, "G"] : size > 6 ? [6, "M"] : size > 3 ? [3, "k"] : [0, ""];
  if (!drop && /^0*$/.test(of.whole + of.fraction)) return "0";
  if (!drop) return fixed(text, size >= 3 ? 1 : 2);
  const places = size - drop >= 3 ? 1 : 2;
  const moved = of.whole.slice(0, size - drop) + "." + of.whole.slice(size - drop) + of.fraction;
  return fixed((of.negative ? "-" : "") + moved, places) + "\u202f" + unit;
}

/** a + b + ..., exactly. */
export function sum(texts: Iterable<Decimal>): Decimal {
  let total = 0n;
  const places = 18;
  for (const text of texts) {
    const of = parts(text);
    if (of) total += scaled(of, places);
  }
  const size = (total < 0n ? -total : total).toString().padStart(places + 1, "0");
  const fraction = size.slice(-places).replace(/0+$/, "");
  return (total < 0n ? "-" : "") + size.slice(0, -places) + (fraction ? "." + fraction : "");
}

export function negate(text: Decimal): Decimal {
  return text.startsWith("-") ? text.slice(1) : /^0*(\.0*)?$/.test(text) ? text : "-" + text;
}

export function difference(a: Decimal, b: Decimal): Decimal {
  return sum([a, negate(b)]);
}

/** For pixels, colours and ratios: never written out as money. */
export function approx(text: Decimal | undefined): number {
  return text === undefined ? NaN : Number(text);
}

export function isNegative(text: Decimal): boolean {
  return text.startsWith("-") && !/^-0*(\.0*)?$/.test(text);
}

/** A share as a percentage with a sign where asked. */
/** So many of something, in words that fit the number. */
export function counted(count: number, of: string): string {
  return `${count} ${of}${count === 1 ? "" : "s"}`;
}

export function percent(x: number, places = 1, signed = false): string {
  if (!Number.isFinite(x)) return "\u2013";
  const text = (Math.abs(x) * 100).toFixed(places);
  const zero = Number(text) === 0;
  const sign = x < 0 && !zero ? "\u2212" : signed && !zero ? "+" : "";
  return `${sign}${text}\u202f%`;
}

/** A float that is no money: Greeks, volatilities. */
export function float(x: number | undefined, places = 2): string {
  if (x === undefined || !Number.isFinite(x)) return "\u2013";
  const size = Math.abs(x);
  if (size !== 0 && size < 0.5 * 10 ** -places) {
    return x.toExponential(1).replace("-", "\u2212").replace("e\u2212", "e-").replace("e-", "e\u2212");
  }
  const [whole, fraction] = size.toFixed(places).split(".");
  const zero = Number(size.toFixed(places)) === 0;
  return (x < 0 && !zero ? "\u2212" : "") + group(whole!) + (fraction ? "." + fraction : "");
}

export function floatShort(x: number | undefined): string {
  if (x === undefined || !Number.isFinite(x)) return "\u2013";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size >= 1e4) return short(x.toFixed(2));
  return float(x, size >= 100 ? 0 : size >= 1 ? 2 : 4);
}
