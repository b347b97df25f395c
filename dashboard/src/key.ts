// A key for servers that ask for one: kept by this tab alone. What is read carries it; a socket, which cannot carry it in its head, is told a
// proof, as docs/server.md says.

const NAME = "plimsoll.key";

export interface Key {
  name: string;
  secret: string;
}

export function key(): Key | null {
  try {
    const [name, secret] = (sessionStorage.getItem(NAME) ?? "").split(".");
    return name && secret ? { name, secret } : null;
  } catch {
    return null;
  }
}

/** `KEY.SECRET`; nothing takes it back. */
export function keep(text: string): void {
  if (text) sessionStorage.setItem(NAME, text);
  else sessionStorage.removeItem(NAME);
}

export function head(): Record<string, string> {
  const of = key();
  return of ? { authorization: `Bearer ${of.name}.${of.secret}` } : {};
}

const bytes = (text: string) => new TextEncoder().encode(text);
const hex = (of: Uint8Array) => [...of].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function unhex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

async function hmac(secret: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const by = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", by, message));
}

async function sha256(of: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", of));
}

/** What a socket is told: the proof of `GET /v1/ws` (RFC 5802, section 3, with HMAC-SHA256). */
export async function claim(of: Key, audience: string): Promise<Record<string, unknown>> {
  const time = Date.now();
  // Above every one before it, in another tab too.
  const nonce = time * 1000 + Math.floor(Math.random() * 1000);
  const client = await hmac(unhex(of.secret.replace(/^plim_/, "")), bytes("plimsoll client key"));
  const stored = await sha256(client.slice());
  const nothing = hex(await sha256(new Uint8Array()));
  const mac = await hmac(stored, bytes(`plimsoll1\n${audience}\nGET\n/v1/ws\n\n${nothing}\n${time}\n${nonce}`));
  return { op: "auth", key: of.name, time, nonce, proof: hex(mac.map((byte, at) => byte ^ client[at]!)) };
}
