// How decimals are written: through the very module of the page.
import { build } from "vite";
import path from "node:path";

const CASES = [
  ["fixed", ["61305790.386847"], "61 305 790.39"],
  ["fixed", ["-0.004"], "0.00"],
  ["fixed", ["-0.005"], "−0.01"],
  ["fixed", ["0.995"], "1.00"],
  ["fixed", ["9007199254740993.125", 3], "9 007 199 254 740 993.125"],
  ["fixed", ["not a number"], "not a number"],
  ["exact", ["-12345678901234567890.000001"], "−12 345 678 901 234 567 890.000001"],
  ["exact", ["-0"], "0"],
  ["short", ["61305790.386847"], "61.31 M"],
  ["short", ["999999.99"], "1 000.0 k"],
  ["short", ["-1234.5"], "−1.23 k"],
  ["short", ["0.00"], "0"],
  ["sum", [["0.1", "0.2"]], "0.3"],
  ["sum", [["9007199254740993", "-0.000001"]], "9007199254740992.999999"],
  ["difference", ["1", "1.000000000000000001"], "-0.000000000000000001"],
  ["negate", ["0"], "0"],
  ["isNegative", ["-0.000"], false],
  ["percent", [-0.0001, 1, true], "0.0 %"],
];

/** Fails at the first that is written otherwise. */
export async function sentences(here) {
  const built = await build({ root: here, configFile: false, logLevel: "error", build: { write: false, minify: false, lib: { entry: path.join(here, "src/decimal.ts"), formats: ["es"] } } });
  const code = [built].flat()[0].output[0].code;
  const module_ = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  for (const [name, given, expected] of CASES) {
    const found = module_[name](...given);
    const plain = typeof found === "string" ? found.replace(/\u202f/g, " ") : found;
    if (plain !== expected) throw new Error(`${name}(${JSON.stringify(given)}) is ${JSON.stringify(plain)}: expected ${JSON.stringify(expected)}`);
  }
  return `${CASES.length} cases`;
}
